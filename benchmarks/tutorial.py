"""The five experiments of the classic tutorial: does each show its classic curves with three seeds?

    python benchmarks/tutorial.py [SEEDS] [--experiments NAME ...]

`CLAIMS` says what the curves of each config in `examples/tutorial/` must look like; the slow tests check it.
The smallest form is `python benchmarks/tutorial.py 1 --experiments 2-underfitting`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from swiftkit.system import events
from swiftkit.system.events import Eval, Step

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "examples" / "tutorial"
SEEDS = (42, 43, 44)


@dataclass(frozen=True)
class Curves:
    """Losses of a run, in nats per token.

    Attributes:
        train: training loss of every step.
        validation: step and validation loss of every evaluation.
    """

    train: list[float]
    validation: list[tuple[int, float]]

    @property
    def first_train(self) -> float:
        """Training loss of the first step."""
        return self.train[0]

    @property
    def lowest(self) -> float:
        """Lowest validation loss."""
        return min(loss for _, loss in self.validation)

    @property
    def last(self) -> float:
        """Validation loss at the end."""
        return self.validation[-1][1]

    def mean_train(self, start: float, end: float) -> float:
        """Mean training loss between two points of the run, 0 to 1."""
        steps = len(self.train)
        return statistics.fmean(self.train[int(start * steps) : max(int(end * steps), int(start * steps) + 1)])

    def validation_at(self, point: float) -> float:
        """Validation loss of the evaluation that is nearest to a point of the run, 0 to 1."""
        return min(self.validation, key=lambda item: abs(item[0] - point * self.validation[-1][0]))[1]


def failed(curves: Curves) -> bool:
    """After the warm-up (5 % of the steps) no training loss is lower than the first."""
    return min(curves.train[math.ceil(0.05 * len(curves.train)) :]) >= curves.first_train


def underfitting(curves: Curves) -> bool:
    """Every validation loss is lower than the previous one, training loss decreases, and over half of it remains."""
    is_decreasing = all(b < a for (_, a), (_, b) in pairwise(curves.validation))
    half = curves.first_train / 2
    return is_decreasing and half < curves.mean_train(0.66, 1) < curves.mean_train(0, 0.33) and curves.last > half


def overfitting(curves: Curves) -> bool:
    """Validation loss: a minimum in the first half, then up by over a quarter; training loss: down by over half."""
    best = next(step for step, loss in curves.validation if loss == curves.lowest)
    return (
        curves.validation[0][1] > curves.lowest
        and best < len(curves.train) / 2
        and curves.last > 1.25 * curves.lowest
        and curves.mean_train(0.9, 1) < 0.5 * statistics.fmean(curves.train[max(0, best - 5) : best + 5])
    )


def still_falling(curves: Curves) -> bool:
    """In the second half validation loss falls by over a tenth; the lowest is among the last two evaluations."""
    last_two = [loss for _, loss in curves.validation[-2:]]
    return curves.last < 0.9 * curves.validation_at(0.5) and curves.lowest in last_two


def done(curves: Curves) -> bool:
    """In the last third validation loss varies by under 5 % of its whole decrease, and ends that near its minimum."""
    decrease = curves.validation[0][1] - curves.lowest
    late = [loss for step, loss in curves.validation if step >= 0.66 * curves.validation[-1][0]]
    limit = 0.05 * decrease
    return decrease > 0 and max(late) - min(late) < limit and curves.last - curves.lowest < limit


CLAIMS: dict[str, Callable[[Curves], bool]] = {
    "1-failed": failed,
    "2-underfitting": underfitting,
    "3-overfitting": overfitting,
    "4-still-falling": still_falling,
    "5-done": done,
}


def trained(name: str, seed: int, folder: Path) -> Curves:
    """The curves of an experiment, which is run in `folder`; a training that diverges has curves, too.

    Raises:
        RuntimeError: there was no training.
    """
    words = [sys.executable, "-m", "swiftkit", "sft", "--config", str(CONFIGS / f"{name}.yaml")]
    words += ["--seed", str(seed), "--output_dir", str(folder / f"{name}-{seed}"), "--json"]
    process = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    if not process.stdout:
        raise RuntimeError(process.stderr)
    reported = list(events.read(Path(json.loads(process.stdout)["run"]) / "events.jsonl"))
    return Curves(
        [event.loss for event in reported if isinstance(event, Step)],
        [(event.step, event.loss) for event in reported if isinstance(event, Eval)],
    )


def main(num_seeds: int, names: list[str]) -> None:
    """Print the table."""
    print("| experiment | seed | training: first, last tenth | validation: first, lowest, last | as claimed |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for seed in SEEDS[:num_seeds]:
                curves = trained(name, seed, Path(folder))
                training = f"{curves.first_train:.3f}, {curves.mean_train(0.9, 1):.3f}"
                validation = f"{curves.validation[0][1]:.3f}, {curves.lowest:.3f}, {curves.last:.3f}"
                verdict = "yes" if CLAIMS[name](curves) else "**no**"
                print(f"| {name} | {seed} | {training} | {validation} | {verdict} |", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("seeds", nargs="?", type=int, choices=(1, 2, 3), default=3, help="number of seeds")
    arguments.add_argument("--experiments", nargs="+", choices=CLAIMS, default=list(CLAIMS), metavar="NAME")
    options = arguments.parse_args()
    main(options.seeds, options.experiments)
