"""curves.png: every figure is drawn unchanged, for one step and for ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from swiftkit.training import curves


@pytest.mark.parametrize("count", [1, 2, 59, 61, 10_000])
def test_curves_of_one_point_and_of_ten_thousand(count: int, tmp_path: Path) -> None:
    steps = list(range(1, count + 1))
    losses = [3 / step**0.3 for step in steps]
    data = curves.Curves((steps, losses), (steps[::100], losses[::100]), (steps[-1], losses[-1]))
    figure = curves.draw(data, "a run")
    line = next(line for line in figure.axes[0].lines if line.get_gid() == "train")
    assert list(line.get_xdata()) == steps
    assert list(line.get_ydata()) == losses
    assert line.get_marker() == ("o" if count <= curves.MAX_DOTS else "")
    low, high = figure.axes[0].get_xlim()
    assert low < 1 <= count < high
    curves.save(data, "a run", tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000
    assert list(tmp_path.iterdir()) == [tmp_path / "c.png"]


def test_the_running_mean_of_a_straight_line_is_the_line() -> None:
    line = [float(n) for n in range(200)]
    assert curves.running_mean(line)[5:-5] == pytest.approx(line[5:-5])
    assert len(curves.running_mean(line)) == 200
