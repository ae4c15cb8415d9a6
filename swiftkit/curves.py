"""curves.png: training and validation loss in one picture, with the best step marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swiftkit.events import Event

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 60  # up to here every training step is a dot, beyond it the line alone is readable


@dataclass(frozen=True)
class Curves:
    """What is drawn: (steps, losses) of training and of validation, and the (step, loss) of the best."""

    train: tuple[list[int], list[float]]
    validation: tuple[list[int], list[float]]
    best: tuple[int, float] | None


def curves(lived: Iterable[Event]) -> Curves:
    """The numbers of events.jsonl (see `events.lived`), unchanged."""
    train: tuple[list[int], list[float]] = ([], [])
    validation: tuple[list[int], list[float]] = ([], [])
    best = None
    for event in lived:
        if event["event"] in ("step", "eval"):
            steps, losses = train if event["event"] == "step" else validation
            steps.append(event["step"])
            losses.append(event["loss"])
        elif event["event"] == "best":
            best = (event["step"], event["loss"])
    return Curves(train, validation, best)


def draw(data: Curves, title: str) -> Figure:
    """The picture; training losses are drawn as they are, and beyond `DOTS` of them thin, under their mean."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 5.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    steps, losses = data.train
    many = len(steps) > DOTS
    axes.plot(
        steps,
        losses,
        color="#4878a8",
        linewidth=0.6 if many else 1.4,
        alpha=0.45 if many else 1,
        marker="" if many else "o",
        markersize=4,
        label="training loss",
        gid="train",
    )
    if many:
        axes.plot(steps, smoothed(losses), color="#1f4e79", linewidth=1.8, label="training loss, running mean")
    if data.validation[0]:
        axes.plot(
            *data.validation,
            color="#d1662a",
            linewidth=2,
            marker="o",
            markersize=5,
            zorder=4,
            label="validation loss",
            gid="validation",
        )
    if data.best:
        axes.plot(
            *zip(data.best, strict=True),
            color="#2a7d3f",
            marker="*",
            markersize=20,
            zorder=3,
            linestyle="",
            gid="best",
            label=f"best: {data.best[1]:.4f} at step {data.best[0]}",
        )
        axes.axvline(data.best[0], color="#2a7d3f", linewidth=0.8, linestyle=":")
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss (cross entropy, nats a token)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, min(steps, default=1) - 0.5), max(high, max(steps, default=1) + 0.5))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if steps or data.validation[0]:
        axes.legend(frameon=False)
    return figure


def smoothed(losses: list[float], window: int | None = None) -> list[float]:
    """Mean of each loss and its neighbours, at most `window` (a fiftieth of all) of them."""
    half = max(1, (window or len(losses) // 50) // 2)
    sums = [0.0]
    for loss in losses:
        sums.append(sums[-1] + loss)
    spans = [(max(0, i - half), min(len(losses), i + half + 1)) for i in range(len(losses))]
    return [(sums[b] - sums[a]) / (b - a) for a, b in spans]


def save(data: Curves, title: str, path: Path) -> None:
    """Write the picture as PNG, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    draw(data, title).savefig(partial, format="png")
    partial.replace(path)
