"""curves.png: training and validation loss in one picture, with the best step marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftkit.system.events import Best, Eval, Event, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_DOTS = 60  # up to this many steps each one is a dot; with more, only the line is readable
TRAIN, VALIDATION, BEST = "#4878a8", "#d1662a", "#2a7d3f"
SMOOTHED = "#1f4e79"


@dataclass(frozen=True)
class Curves:
    """What is drawn: (steps, losses) of training and of validation, and (step, loss) of the best checkpoint."""

    train: tuple[list[int], list[float]]
    validation: tuple[list[int], list[float]]
    best: tuple[int, float] | None


def from_events(events: Iterable[Event]) -> Curves:
    """The figures of effective events, unchanged."""
    train: tuple[list[int], list[float]] = ([], [])
    validation: tuple[list[int], list[float]] = ([], [])
    best_step: int | None = None
    for event in events:
        if isinstance(event, Step | Eval):
            steps, losses = train if isinstance(event, Step) else validation
            steps.append(event.step)
            losses.append(event.loss)
        elif isinstance(event, Best):
            best_step = event.step
    losses_at = dict(zip(*validation, strict=True))
    best = (best_step, losses_at[best_step]) if best_step in losses_at else None
    return Curves(train, validation, best)


def draw(curves: Curves, title: str) -> Figure:
    """The picture. Training losses are not smoothed; more than `MAX_DOTS` are thin, below their running mean."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 5.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    steps, _ = curves.train
    _draw_training(axes, curves)
    if curves.validation[0]:
        style: dict[str, Any] = {"linewidth": 2, "marker": "o", "markersize": 5, "zorder": 4}
        axes.plot(*curves.validation, color=VALIDATION, label="validation loss", gid="validation", **style)
    if curves.best:
        step, loss = curves.best
        label = f"best: {loss:.4f} at step {step}"
        axes.plot([step], [loss], "*", color=BEST, markersize=20, zorder=3, gid="best", label=label)
        axes.axvline(step, color=BEST, linewidth=0.8, linestyle=":")
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss (cross entropy, nats per token)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, min(steps, default=1) - 0.5), max(high, max(steps, default=1) + 0.5))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if steps or curves.validation[0]:
        axes.legend(frameon=False)
    return figure


def _draw_training(axes: Axes, curves: Curves) -> None:
    steps, losses = curves.train
    is_long = len(steps) > MAX_DOTS
    axes.plot(
        steps,
        losses,
        color=TRAIN,
        linewidth=0.6 if is_long else 1.4,
        alpha=0.45 if is_long else 1,
        marker="" if is_long else "o",
        markersize=4,
        label="training loss",
        gid="train",
    )
    if is_long:
        axes.plot(steps, running_mean(losses), color=SMOOTHED, linewidth=1.8, label="training loss, running mean")


def running_mean(losses: list[float], window: int | None = None) -> list[float]:
    """Mean of each loss and its neighbors, at most `window` of them (default: a fiftieth of all)."""
    half = max(1, (window or len(losses) // 50) // 2)
    sums = [0.0]
    for loss in losses:
        sums.append(sums[-1] + loss)
    bounds = [(max(0, i - half), min(len(losses), i + half + 1)) for i in range(len(losses))]
    return [(sums[end] - sums[start]) / (end - start) for start, end in bounds]


def save(curves: Curves, title: str, path: Path) -> None:
    """Write the picture as PNG, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    draw(curves, title).savefig(partial, format="png")
    partial.replace(path)
