"""`swiftkit data check` on many rows: seconds and peak memory of the whole process.

    python benchmarks/data.py [rows ...]        # 100,000 and 1,000,000 if nothing is said

Rows are word problems of `tools/problems.py`, answered as `math-sft` is; the exam is `math-exam`, the model tiny-math.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import make_datasets
import problems


def write(path: Path, count: int) -> None:
    """A file of `count` rows, every type as often as the others."""
    stream = make_datasets.drawn(problems.KNOWN + problems.NEW, problems, seed=99)
    with path.open("w", encoding="utf-8") as out:
        for problem in islice(stream, count):
            out.write(json.dumps(make_datasets.marked(problem), ensure_ascii=False) + "\n")


def measured(path: Path) -> tuple[float, float]:
    """Seconds and gigabytes of one check."""
    words = ["data", "check", str(path), "--model_type", "tiny-math", "--exam", "math-exam", "--json"]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "swiftkit", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("the check failed")
    return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e9


def main(counts: list[int]) -> None:
    """Print the table."""
    print("| rows | file | seconds | memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / f"{count}.jsonl"
            write(path, count)
            seconds, memory = measured(path)
            print(f"| {count:,} | {path.stat().st_size / 1e6:.0f} MB | {seconds:.1f} s | {memory:.2f} GB |", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [100_000, 1_000_000])
