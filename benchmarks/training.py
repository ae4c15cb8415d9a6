"""Command to first optimizer step, and throughput after it: swiftkit, a bare script, `swift sft`; in turn.

python benchmarks/training.py [rounds]
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from swiftkit import events, runs

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "models" / "tiny-math"
DATA = ROOT / "datasets" / "math-sft.jsonl"
BIN = Path(sys.executable).parent
SHORT, LONG = 11, 60


def run(words: list[str], folder: Path, **environment: str) -> float:
    began = time.time()
    done = subprocess.run(words, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return began


def swiftkit(folder: Path, steps: int) -> dict[str, float]:
    """Phases in seconds since the command was started."""
    words = [str(BIN / "swiftkit"), "sft", "--model_type", "tiny-math", "--max_steps", str(steps)]
    began = run(words, folder)
    (made,) = runs.listed(folder / "output")
    told = list(events.read(made.events))
    marks = {e["name"]: e["time"] for e in told if e["event"] == "phase"}
    marks["started"] = next(e["time"] for e in told if e["event"] == "started")
    taken = [e["time"] for e in told if e["event"] == "step"]
    return since(began, marks | {"first step": taken[0], "last step": taken[-1], "whole": time.time()})


def bare(folder: Path, steps: int) -> dict[str, float]:
    words = [
        sys.executable,
        str(ROOT / "benchmarks" / "bare.py"),
        str(DATA),
        "out",
        str(steps),
        "times.json",
        str(BASE),
    ]
    began = run(words, folder)
    return since(began, json.loads((folder / "times.json").read_text()) | {"whole": time.time()})


def swift(folder: Path, steps: int, *more: str) -> dict[str, float]:
    every = str(max(1, steps // 10))
    words = [str(BIN / "swift"), "sft", "--model", str(BASE), "--model_type", "qwen2", "--template", "qwen2_5"]
    words += ["--dataset", str(DATA), "--split_dataset_ratio", "0.043", "--torch_dtype", "float32", "--use_cpu", "true"]
    words += ["--max_steps", str(steps), "--per_device_train_batch_size", "16", "--per_device_eval_batch_size", "16"]
    words += ["--gradient_accumulation_steps", "1", "--learning_rate", "3e-3", "--lora_rank", "8", "--lora_alpha", "32"]
    words += ["--eval_steps", every, "--save_steps", every, "--save_total_limit", "2", "--logging_steps", "1"]
    words += ["--external_plugins", str(ROOT / "benchmarks" / "first_step_plugin.py"), "--callbacks", "clock"]
    began = run([*words, "--output_dir", "out", *more], folder, TIMES=str(folder / "times.json"))
    return since(began, json.loads((folder / "times.json").read_text()) | {"whole": time.time()})


def since(began: float, marks: dict[str, float]) -> dict[str, float]:
    return {name: mark - began for name, mark in marks.items()}


NO_CHECK = ("--check_model", "false")
LEAN = (*NO_CHECK, "--gradient_checkpointing", "false", "--dataloader_num_workers", "0")
CASES = {
    "swiftkit sft": lambda folder, steps: swiftkit(folder, steps),
    "bare script": lambda folder, steps: bare(folder, steps),
    "swift sft --check_model false": lambda folder, steps: swift(folder, steps, *NO_CHECK),
    "swift sft, same settings": lambda folder, steps: swift(folder, steps, *LEAN),
}


def main(rounds: int) -> None:
    for title, steps in (("command to first optimizer step", SHORT), ("throughput after it", LONG)):
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
        for _ in range(rounds):
            for name, case in CASES.items():
                folder = Path(tempfile.mkdtemp())
                seen[name].append(case(folder, steps))
                shutil.rmtree(folder)
        print(f"\n{title} ({steps} steps, medians of {rounds} rounds in turn)")
        for name, rows in seen.items():
            middle = {mark: statistics.median(row[mark] for row in rows) for mark in rows[0]}
            pace = statistics.median((steps - 1) / (row["last step"] - row["first step"]) for row in rows)
            marks = ", ".join(f"{mark} {value:.1f} s" for mark, value in sorted(middle.items(), key=lambda i: i[1]))
            first = statistics.median(
                row["first step"] / other["first step"] for row, other in zip(rows, seen["bare script"], strict=True)
            )
            print(f"  {name:32} {marks}; {pace:.2f} steps/s; first step {first:.2f} x bare")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
