"""Questions a second of `swiftkit exam` against the tutorial's loop, whole processes, in turn.

python benchmarks/exam.py [rounds]
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from swiftkit import runs

ROOT = Path(__file__).resolve().parent.parent
BASE, QUESTIONS = ROOT / "models" / "tiny-math", ROOT / "datasets" / "math-exam.jsonl"
SWIFTKIT = [sys.executable, "-m", "swiftkit"]


def timed(words: list[str], folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of a whole process, and the JSON object that it printed last."""
    began = time.perf_counter()
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{words}\n{done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout.splitlines()[-1])


# How long answers are decides: those of a short training often never end.
TRAININGS = {
    "base": None,
    "best of a tenth of an epoch": ["--num_train_epochs", "0.1"],
    "best, default settings": [],
}


def main(rounds: int = 5) -> None:
    print("| | swiftkit exam | tutorial's loop | ratio |\n|---|---|---|---|")
    for name, settings in TRAININGS.items():
        with tempfile.TemporaryDirectory() as folder:
            compare(name, settings, Path(folder), rounds)


def compare(name: str, settings: list[str] | None, folder: Path, rounds: int) -> None:
    """Train, then examine both ways, in turn; print a row of the table."""
    loop = [sys.executable, str(ROOT / "benchmarks" / "tutorial_exam.py"), str(BASE), str(QUESTIONS)]
    words = [*SWIFTKIT, "exam", "--model_type", "tiny-math", "--json"]
    if settings is not None:
        timed([*SWIFTKIT, "sft", "--model_type", "tiny-math", "--json", *settings], folder)
        (run,) = runs.listed(folder / "output")
        loop, words = [*loop, str(run.path / "best")], [*SWIFTKIT, "exam", "--ckpt", "best", "--json"]
    ours, theirs = [], []
    for _ in range(rounds):
        seconds, result = timed(words, folder)
        shutil.rmtree(str(result["folder"]))
        ours.append(seconds)
        seconds, other = timed(loop, folder)
        theirs.append(seconds)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    one, two = statistics.median(ours), statistics.median(theirs)
    print(
        f"| {name}: {result['tokens']['answers']:,} and {other['tokens']:,} tokens of answers "
        f"| {one:.1f} s, {200 / one:.1f} a second | {two:.1f} s, {200 / two:.1f} a second | **{ratio:.2f}** |",
        flush=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
