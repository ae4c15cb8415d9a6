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

from swiftkit import runs

ROOT = Path(__file__).resolve().parent.parent
BASE, QUESTIONS = ROOT / "registry" / "tiny_math", ROOT / "datasets" / "math-exam.jsonl"
SWIFTKIT = [sys.executable, "-m", "swiftkit"]


def timed(words: list[str], folder: Path) -> tuple[float, dict[str, float]]:
    """Seconds of a whole process, and the JSON object that it printed last."""
    began = time.perf_counter()
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{words}\n{done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout.splitlines()[-1])


def main(rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([*SWIFTKIT, "sft", "--model_type", "tiny-math"], cwd=folder, check=True, capture_output=True)
        (run,) = runs.listed(folder / "output")
        print("| | swiftkit exam | tutorial's loop | ratio |\n|---|---|---|---|")
        for checkpoint, adapter in (("base", []), ("best", [str(run.path / "best")])):
            loop = [sys.executable, str(ROOT / "benchmarks" / "tutorial_exam.py"), str(BASE), str(QUESTIONS), *adapter]
            ours, theirs = [], []
            for _ in range(rounds):
                seconds, result = timed([*SWIFTKIT, "exam", "--ckpt", checkpoint, "--json"], folder)
                shutil.rmtree(str(result["folder"]))
                ours.append(seconds)
                seconds, other = timed(loop, folder)
                theirs.append(seconds)
            ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
            one, two = statistics.median(ours), statistics.median(theirs)
            print(
                f"| {checkpoint}, {result['tokens']['answers']:,} / {other['tokens']:,} answer tokens "
                f"| {one:.1f} s, {200 / one:.1f} a second | {two:.1f} s, {200 / two:.1f} a second | **{ratio:.2f}** |",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
