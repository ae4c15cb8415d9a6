"""Questions per second of `swiftkit exam` and of the tutorial's loop, whole processes, in turn.

    python benchmarks/exam.py [ROUNDS] [--checkpoints NAME ...]

The smallest form is `python benchmarks/exam.py 1 --checkpoints base`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BASE, QUESTIONS = ROOT / "models" / "tiny-math", ROOT / "datasets" / "math-exam.jsonl"
SWIFTKIT = [sys.executable, "-m", "swiftkit"]
LOOP = [sys.executable, str(ROOT / "benchmarks" / "tutorial_exam.py"), str(BASE), str(QUESTIONS)]
# Flags of the training before the exam, None for no training. The ratio depends on the length of the responses; after
# a short training, many of them are truncated at the token limit.
CHECKPOINTS: dict[str, list[str] | None] = {
    "base": None,
    "best-tenth-epoch": ["--num_train_epochs", "0.1"],
    "best-default": [],
}


def run(words: list[str], folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of a whole process, and the JSON object in the last line that it printed."""
    start = time.perf_counter()
    process = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{words} failed:\n{process.stderr[-2000:]}")
    return seconds, json.loads(process.stdout.splitlines()[-1])


def compare(name: str, folder: Path, rounds: int) -> None:
    """Train, run the exam both ways, in turn; print a row of the table."""
    flags = CHECKPOINTS[name]
    loop, exam = LOOP, [*SWIFTKIT, "exam", "--model_type", "tiny-math", "--json"]
    if flags is not None:
        _, training = run([*SWIFTKIT, "sft", "--model_type", "tiny-math", "--json", *flags], folder)
        best = folder / training["best_model_checkpoint"]
        loop, exam = [*LOOP, str(best)], [*SWIFTKIT, "exam", "--ckpt", "best", "--json"]
    exam_times, loop_times = [], []
    for _ in range(rounds):
        seconds, result = run(exam, folder)
        assert result["new_answers"] == result["num_questions"]
        shutil.rmtree(Path(result["folder"]).parent)  # with the answers, which the next round would use
        exam_times.append(seconds)
        seconds, loop_result = run(loop, folder)
        loop_times.append(seconds)
    ratio = statistics.median(b / a for a, b in zip(exam_times, loop_times, strict=True))
    responses = f"{result['tokens']['responses']:,} and {loop_result['tokens']:,} tokens of responses"
    columns = [f"{name}: {responses}"]
    for times in (exam_times, loop_times):
        seconds = statistics.median(times)
        columns.append(f"{seconds:.1f} s, {result['num_questions'] / seconds:.1f} questions a second")
    print(f"| {' | '.join(columns)} | **{ratio:.2f}** |", flush=True)


def main(rounds: int, names: list[str]) -> None:
    """Print the table."""
    print("| | `swiftkit exam` | tutorial's loop | ratio |\n|---|---|---|---|")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            compare(name, Path(folder), rounds)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("rounds", nargs="?", type=int, default=5, help="default: 5")
    arguments.add_argument("--checkpoints", nargs="+", choices=CHECKPOINTS, default=list(CHECKPOINTS), metavar="NAME")
    options = arguments.parse_args()
    main(options.rounds, options.checkpoints)
