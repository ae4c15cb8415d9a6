"""Seconds of the commands that a user waits for: help, lists, checks. Whole processes, in turn, medians.

python benchmarks/start.py [ROUNDS]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
NUM_ROWS = 1000
DRY_RUN = ["swiftkit", "sft", "--model_type", "tiny-math", "--dataset", "rows.jsonl", "--dry_run"]
COMMANDS = {
    "swiftkit --help": ["swiftkit", "--help"],
    "swiftkit sft --help": ["swiftkit", "sft", "--help"],
    "swiftkit models": ["swiftkit", "models"],
    "swiftkit models show": ["swiftkit", "models", "show", "qwen2_5-7b-instruct"],
    f"swiftkit sft --dry_run, {NUM_ROWS:,} rows": DRY_RUN,
    "swift --help": ["swift", "--help"],
}
FAILING = "swift --help"  # it ends in a traceback


def write_rows(path: Path) -> None:
    """The data of the dry run."""
    question = "What is {0} + {0}, if there are {0} apples in each of two baskets and none of them has been eaten?"
    rows = [
        [{"role": "user", "content": question.format(i)}, {"role": "assistant", "content": f"{i} + {i} = {2 * i}"}]
        for i in range(NUM_ROWS)
    ]
    path.write_text("\n".join(json.dumps({"messages": turns}) for turns in rows), encoding="utf-8")


def measure(name: str, folder: Path) -> float:
    """Seconds of a whole process."""
    program, *words = COMMANDS[name]
    start = time.perf_counter()
    process = subprocess.run([str(BIN / program), *words], cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if process.returncode and name != FAILING:
        raise SystemExit(f"{name} failed:\n{process.stderr[-2000:]}")
    return seconds


def main(rounds: int) -> None:
    """Print the medians."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder, "rows.jsonl"))
        for _ in range(rounds + 1):
            for name in COMMANDS:
                times[name].append(measure(name, Path(folder)))
    for name, (_, *counted) in times.items():  # the first round fills the disk cache
        print(f"{name:36} {statistics.median(counted):.3f} s (min {min(counted):.3f}, max {max(counted):.3f})")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("rounds", nargs="?", type=int, default=9, help="rounds after the first (default: 9)")
    main(arguments.parse_args().rounds)
