"""The five experiments of the classic tutorial, three seeds each: do they show their classic curves?

    python benchmarks/tutorial.py [seeds]

`CLAIMS` says of each config in `examples/tutorial/` what its curves must look like; the slow tests hold them to it.
"""

from __future__ import annotations

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

from swiftkit import events

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "examples" / "tutorial"
SEEDS = (42, 43, 44)


@dataclass(frozen=True)
class Curves:
    """Losses of a run: `train` a step, `validation` with the step of each."""

    train: list[float]
    validation: list[tuple[int, float]]

    @property
    def start(self) -> float:
        """Training loss of the first step."""
        return self.train[0]

    def part(self, first: float, last: float) -> float:
        """Mean training loss between two shares of the run."""
        steps = len(self.train)
        return statistics.fmean(self.train[int(first * steps) : max(int(last * steps), int(first * steps) + 1)])

    @property
    def lowest(self) -> float:
        """Lowest validation loss."""
        return min(loss for _, loss in self.validation)

    @property
    def last(self) -> float:
        """Validation loss at the end."""
        return self.validation[-1][1]

    def at(self, share: float) -> float:
        """Validation loss at the evaluation nearest to a share of the run."""
        return min(self.validation, key=lambda point: abs(point[0] - share * self.validation[-1][0]))[1]


def failed(c: Curves) -> bool:
    """After the warm-up (5 % of the steps) no training loss is below the first."""
    return min(c.train[math.ceil(0.05 * len(c.train)) :]) >= c.start


def underfitting(c: Curves) -> bool:
    """Every validation loss is below the one before, training falls, and more than half of the loss is left."""
    falls = all(b < a for (_, a), (_, b) in pairwise(c.validation))
    return falls and c.start / 2 < c.part(0.66, 1) < c.part(0, 0.33) and c.last > c.start / 2


def overfitting(c: Curves) -> bool:
    """Validation: a valley in the first half, then a quarter higher at least; training falls on by half at least."""
    steps = len(c.train)
    valley = next(step for step, loss in c.validation if loss == c.lowest)
    return (
        c.validation[0][1] > c.lowest
        and valley < steps / 2
        and c.last > 1.25 * c.lowest
        and c.part(0.9, 1) < 0.5 * statistics.fmean(c.train[max(0, valley - 5) : valley + 5])
    )


def still_falling(c: Curves) -> bool:
    """In the second half validation loses a tenth at least, and the lowest is among the last two evaluations."""
    return c.last < 0.9 * c.at(0.5) and c.lowest in [loss for _, loss in c.validation[-2:]]


def done(c: Curves) -> bool:
    """In the last third validation moves by less than a twentieth of what it has lost, and ends near its lowest."""
    lost = c.validation[0][1] - c.lowest
    late = [loss for step, loss in c.validation if step >= 0.66 * c.validation[-1][0]]
    return lost > 0 and max(late) - min(late) < 0.05 * lost and c.last - c.lowest < 0.05 * lost


CLAIMS: dict[str, Callable[[Curves], bool]] = {
    "1-failed": failed,
    "2-underfitting": underfitting,
    "3-overfitting": overfitting,
    "4-still-falling": still_falling,
    "5-done": done,
}


def trained(name: str, seed: int, folder: Path) -> Curves:
    """Run a config in `folder`, and read its curves. Diverged runs have curves, too."""
    words = [sys.executable, "-m", "swiftkit", "sft", "--config", str(CONFIGS / f"{name}.yaml")]
    out = folder / f"{name}-{seed}"
    ran = subprocess.run(
        [*words, "--seed", str(seed), "--output_dir", str(out), "--json"], capture_output=True, text=True, cwd=folder
    )
    if not ran.stdout:
        raise RuntimeError(ran.stderr)
    told = list(events.read(Path(json.loads(ran.stdout)["run"]) / "events.jsonl"))
    return Curves(
        [event["loss"] for event in told if event["event"] == "step"],
        [(event["step"], event["loss"]) for event in told if event["event"] == "eval"],
    )


def main(seeds: int = 3) -> None:
    """Print the table."""
    print("| experiment | seed | training: first, last tenth | validation: first, lowest, last | as claimed |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, claim in CLAIMS.items():
            for seed in SEEDS[:seeds]:
                c = trained(name, seed, Path(folder))
                print(
                    f"| {name} | {seed} | {c.start:.3f}, {c.part(0.9, 1):.3f} | {c.validation[0][1]:.3f}, "
                    f"{c.lowest:.3f}, {c.last:.3f} | {'yes' if claim(c) else '**no**'} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
