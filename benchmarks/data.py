"""Seconds and peak memory of `swiftkit data check` on many rows, whole process.

    python benchmarks/data.py [ROWS ...]        # default: 100,000 and 1,000,000

Rows are word problems of `tools/datagen/`, with responses as in `math-sft`. The exam is `math-exam`, the model
tiny-math.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from datagen import math_rows, problems

SEED = 99


def write_rows(path: Path, count: int) -> None:
    """A file of `count` rows, with the same number of each type."""
    drawn = math_rows.draw(problems.KNOWN + problems.NEW, problems, SEED)
    with path.open("w", encoding="utf-8") as stream:
        for problem in islice(drawn, count):
            stream.write(json.dumps(math_rows.to_row(problem), ensure_ascii=False) + "\n")


def measure(path: Path) -> tuple[float, float]:
    """Seconds and peak memory (GB) of one check."""
    words = ["data", "check", str(path), "--model_type", "tiny-math", "--exam", "math-exam", "--json"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "swiftkit", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)  # else Popen would wait for a process that is gone
    if process.returncode:
        raise SystemExit(f"the check failed: exit code {process.returncode}")
    return seconds, usage.ru_maxrss * 1024 / 1e9


def main(counts: list[int]) -> None:
    """Print the table."""
    print("| rows | file | seconds | memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / f"{count}.jsonl"
            write_rows(path, count)
            seconds, memory = measure(path)
            print(f"| {count:,} | {path.stat().st_size / 1e6:.0f} MB | {seconds:.1f} s | {memory:.2f} GB |", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("rows", nargs="*", type=int, default=[100_000, 1_000_000], help="sizes of the files")
    main(arguments.parse_args().rows)
