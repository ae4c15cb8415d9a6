"""Train tiny-math or tiny-math-ernie from random weights: the bundled models, small enough to ship.

    OMP_NUM_THREADS=1 python tools/pretraining qwen2_5 models/tiny-math
    OMP_NUM_THREADS=1 python tools/pretraining ernie4_5 models/tiny-math-ernie

The models learn elementary word problems and arithmetic in words and equations, in English and in Chinese, in the chat
format of their family. The training text contains no answer marker, no question of an exam, and not all types of
problem of the exams: three are missing in English and one in Chinese. With one thread, the same machine reproduces the
same weights.

`tools/pretraining/logs/<name>.jsonl` records losses, shares of solved problems that were not trained on, seconds,
machine, versions, and a hash of the weights at every check.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# Running a folder puts the folder itself on the path. Its modules are imported as members of the package instead.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pretraining import loop
from pretraining.families import FAMILIES


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="pretraining", description="Train a bundled model from random weights.")
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path, help="model folder to write")
    parser.add_argument("--steps", type=int, default=3600, help="length of the learning rate schedule")
    parser.add_argument("--stop", type=int, help="number of steps to run instead of all")
    args = parser.parse_args()
    if args.steps <= loop.WARM_UP:
        parser.error(f"--steps {args.steps} must exceed the {loop.WARM_UP} steps of the warm-up")
    loop.train(args.family, args.folder, args.steps, args.stop)


if __name__ == "__main__":
    main()
