"""Scores of the bundled models: base, best and merged checkpoint on the exam; ranks and full fine-tuning; three seeds.

    python benchmarks/tiny.py tiny-math          # or tiny-math-ernie: with the defaults of the registry
    python benchmarks/tiny.py ranks              # rank 1, 8, 32 and full fine-tuning
    python benchmarks/tiny.py zh                 # the Chinese data

The smallest form is `python benchmarks/tiny.py zh --seeds 1 --max_steps 2`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swiftkit.training.run import Run

SEEDS = (42, 43, 44)
MODELS = ("tiny-math", "tiny-math-ernie")
STRICT = ["--scorer", "ans_strict"]
RANKS = {
    "rank 1": ["--lora_rank", "1"],
    "rank 1, alpha 4": ["--lora_rank", "1", "--lora_alpha", "4"],  # the scale of rank 8 with alpha 32
    "rank 8": [],
    "rank 32": ["--lora_rank", "32"],
    "full": ["--sft_type", "full", "--learning_rate", "5e-4"],
}


def swiftkit(*words: str, folder: Path) -> tuple[dict[str, Any], float]:
    """The object that a command prints with --json, and the seconds of the whole process."""
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "swiftkit", *words, "--json"], cwd=folder, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{words} failed:\n{process.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result, seconds


def exam(*words: str, folder: Path) -> dict[str, Any]:
    """The result of an exam."""
    return swiftkit("exam", *words, folder=folder)[0]


def score_columns(*words: str, folder: Path) -> str:
    """Four columns: score by `ans`, score by `ans_strict`, right answers in any form, answers in a marker."""
    plain, strict = exam(*words, folder=folder), exam(*words, *STRICT, folder=folder)
    return f"{plain['score']:.1f} | {strict['score']:.1f} | {plain['answer_correct']} | {plain['in_marker']}"


def responses(result: dict[str, Any]) -> list[str]:
    """The text of every response of an exam, in the order of the questions."""
    path = Path(result["folder"]).parent / "answers.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["response"] for row in sorted(rows, key=lambda row: row["number"])]


def merged_is_same(folder: Path) -> bool:
    """Whether the best checkpoint answers the same after it is merged; in fp32, since rounding differs otherwise."""
    export = ["export", "--ckpt", "best", "--merge_lora", "--dtype", "fp32"]
    merged = swiftkit(*export, folder=folder)[0]["folder"]
    before, after = (exam("--ckpt", ckpt, "--dtype", "fp32", folder=folder) for ckpt in ("best", merged))
    return responses(before) == responses(after)


def print_seeds(model: str, dataset: str, seeds: Sequence[int], flags: Sequence[str]) -> None:
    """Scores of the base model, then of the best checkpoint with each seed; `flags` are those of the training."""
    print(
        f"| {model}, {dataset} | `ans` | `ans_strict` | right answers | in a marker | sft | memory "
        "| merged: same answers |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = score_columns("--model_type", model, "--train_dataset", dataset, folder=folder)
        print(f"| base | {columns} | | | |", flush=True)
        for seed in seeds:
            words = ["sft", "--model_type", model, "--dataset", dataset, "--seed", str(seed), *flags]
            training, seconds = swiftkit(*words, folder=folder)
            memory = Run(folder / training["run"]).read().record.memory or {}
            columns = score_columns("--ckpt", "best", folder=folder)
            print(
                f"| seed {seed} | {columns} | {seconds:.0f} s | {memory['process'] / 1e9:.2f} GB "
                f"| {'yes' if merged_is_same(folder) else '**no**'} |",
                flush=True,
            )


def print_ranks(seeds: Sequence[int], flags: Sequence[str]) -> None:
    """Scores by rank, and of full fine-tuning; one value per seed."""
    print("| what is trained | parameters | lowest validation loss | `ans` | `ans_strict` |")
    print("|---|---|---|---|---|")
    for name, settings in RANKS.items():
        losses, plain, strict = [], [], []
        with tempfile.TemporaryDirectory() as path:
            folder = Path(path)
            for seed in seeds:
                words = ["sft", "--model_type", "tiny-math", "--seed", str(seed), *settings, *flags]
                training, _ = swiftkit(*words, folder=folder)
                losses.append(f"{training['best']['value']:.3f}")
                plain.append(f"{exam('--ckpt', 'best', folder=folder)['score']:.1f}")
                strict.append(f"{exam('--ckpt', 'best', *STRICT, folder=folder)['score']:.1f}")
        columns = " | ".join(", ".join(values) for values in (losses, plain, strict))
        print(f"| {name} | {training['trainable']:,} | {columns} |", flush=True)


def main(tables: Sequence[str], seeds: Sequence[int], flags: Sequence[str]) -> None:
    """Print the tables."""
    for name in tables:
        if name == "ranks":
            print_ranks(seeds, flags)
        elif name == "zh":
            print_seeds("tiny-math", "math-sft-zh", seeds, flags)
        else:
            print_seeds(name, "math-sft", seeds, flags)
        print()


if __name__ == "__main__":
    tables = (*MODELS, "ranks", "zh")
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("tables", nargs="*", default=tables, help=f"{', '.join(tables)} (default: all)")
    arguments.add_argument("--seeds", type=int, choices=(1, 2, 3), default=3, help="number of seeds (default: 3)")
    arguments.add_argument("--max_steps", type=int, help="optimizer steps of every training (default: all epochs)")
    options = arguments.parse_args()
    if unknown := set(options.tables) - set(tables):
        arguments.error(f"there is no table {', '.join(sorted(unknown))}; the tables are {', '.join(tables)}")
    flags = ["--max_steps", str(options.max_steps)] if options.max_steps else []
    main(options.tables, SEEDS[: options.seeds], flags)
