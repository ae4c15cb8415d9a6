"""What the embedded models learn: base, best and merged on the exam, three seeds; ranks and full fine-tuning.

python benchmarks/tiny.py tiny-math          # and tiny-math-ernie: three seeds with the registry's settings
python benchmarks/tiny.py ranks              # rank 1, 8, 32 and full fine-tuning, three seeds each
python benchmarks/tiny.py zh                 # the Chinese data
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

SEEDS = (42, 43, 44)
MODELS = ("tiny-math", "tiny-math-ernie")
RANKS = {
    "rank 1": ["--lora_rank", "1"],
    "rank 1, alpha 4": ["--lora_rank", "1", "--lora_alpha", "4"],  # scaled as rank 8 with alpha 32 is
    "rank 8": [],
    "rank 32": ["--lora_rank", "32"],
    "full": ["--sft_type", "full", "--learning_rate", "5e-4"],
}


def swiftkit(*words: str, folder: Path) -> tuple[dict[str, Any], float]:
    """What a command prints with --json, and the seconds of the whole process."""
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "swiftkit", *words, "--json"], cwd=folder, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if ran.returncode:
        raise SystemExit(f"{words}\n{ran.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told, seconds


def learned(exam: dict[str, Any]) -> str:
    """Right answers and markers, of all questions."""
    return f"{exam['stated']} | {exam['marked']}"


def seeds(model: str, dataset: str = "math-sft") -> None:
    """Base, then best and merged for each seed."""
    print(
        f"| {model}, {dataset} | `ans` | `ans_strict` | right answers | in a marker | sft | memory "
        "| merged: same answers |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exams = [
            swiftkit("exam", "--model_type", model, "--train_dataset", dataset, *s, folder=folder)[0]
            for s in ([], STRICT)
        ]
        print(f"| base | {exams[0]['mark']:.1f} | {exams[1]['mark']:.1f} | {learned(exams[0])} | | | |", flush=True)
        for seed in SEEDS:
            run, seconds = swiftkit(
                "sft", "--model_type", model, "--dataset", dataset, "--seed", str(seed), folder=folder
            )
            exams = [swiftkit("exam", "--ckpt", "best", *s, folder=folder)[0] for s in ([], STRICT)]
            kept = yaml.safe_load((folder / run["run"] / "run.yaml").read_text(encoding="utf-8"))["record"]
            memory = kept["memory"]["process"] / 1e9
            export = ["export", "--ckpt", "best", "--merge_lora", "--dtype", "fp32"]
            merged = swiftkit(*export, folder=folder)[0]["merged"]
            precise = ["--dtype", "fp32"]
            one = swiftkit("exam", "--ckpt", "best", *precise, folder=folder)[0]
            two = swiftkit("exam", "--ckpt", merged, *precise, folder=folder)[0]
            same = answers(one) == answers(two)
            print(
                f"| seed {seed} | {exams[0]['mark']:.1f} | {exams[1]['mark']:.1f} | {learned(exams[0])} "
                f"| {seconds:.0f} s | {memory:.2f} GB | {'yes' if same else '**no**'} |",
                flush=True,
            )


STRICT = ["--scorer", "ans_strict"]


def answers(exam: dict[str, Any]) -> list[str]:
    """The text of every answer, by question."""
    lines = (Path(exam["folder"]) / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return [row["response"] for row in sorted(map(json.loads, lines), key=lambda row: row["number"])]


def ranks() -> None:
    """Marks by rank, and of full fine-tuning."""
    print("| what is trained | parameters | lowest validation loss | `ans` | `ans_strict` |")
    print("|---|---|---|---|---|")
    for name, words in RANKS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows = []
            for seed in SEEDS:
                run, _ = swiftkit("sft", "--model_type", "tiny-math", "--seed", str(seed), *words, folder=Path(folder))
                marks = [swiftkit("exam", "--ckpt", "best", *s, folder=Path(folder))[0]["mark"] for s in ([], STRICT)]
                rows.append((run["best"]["value"], *marks))
        losses, plain, strict = (
            ", ".join(f"{v:.{d}f}" for v in c) for c, d in zip(zip(*rows, strict=True), (3, 1, 1), strict=True)
        )
        print(f"| {name} | {run['trainable']:,} | {losses} | {plain} | {strict} |", flush=True)


if __name__ == "__main__":
    asked = sys.argv[1:] or [*MODELS, "ranks", "zh"]
    for what in asked:
        if what == "ranks":
            ranks()
        elif what == "zh":
            seeds("tiny-math", "math-sft-zh")
        else:
            seeds(what)
        print()
