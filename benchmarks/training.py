"""Time to the first optimizer step, and throughput after it: swiftkit, a bare script, `swift sft`; in turn.

    python benchmarks/training.py [ROUNDS] [--steps START THROUGHPUT]

The smallest form is `python benchmarks/training.py 1 --steps 2 3`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from swiftkit.system import events
from swiftkit.system.events import Phase, Started, Step
from swiftkit.training.run import list_runs

Times = dict[str, float]  # seconds since the command was started, at the end of each phase

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "models" / "tiny-math"
DATA = ROOT / "datasets" / "math-sft.jsonl"
BIN = Path(sys.executable).parent
START_STEPS, THROUGHPUT_STEPS = 11, 60
BARE = "bare script"
NO_CHECK = ("--check_model", "false")
SAME_SETTINGS = (*NO_CHECK, "--gradient_checkpointing", "false", "--dataloader_num_workers", "0")


def run(words: list[str], folder: Path, **environment: str) -> tuple[float, float]:
    """Run a whole process; returns when it started and ended, in seconds since 1970."""
    start = time.time()
    process = subprocess.run(words, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    end = time.time()
    if process.returncode:
        raise SystemExit(f"{words} failed:\n{process.stdout[-2000:]}\n{process.stderr[-2000:]}")
    return start, end


def swiftkit(folder: Path, steps: int) -> Times:
    """`swiftkit sft` with the defaults of the model; its times are in the run's events."""
    words = [str(BIN / "swiftkit"), "sft", "--model_type", "tiny-math", "--max_steps", str(steps)]
    start, end = run(words, folder)
    (trained,) = list_runs(folder / "output")
    reported = list(events.read(trained.events))
    times = {event.phase: event.time for event in reported if isinstance(event, Phase)}
    times["started"] = next(event.time for event in reported if isinstance(event, Started))
    step_times = [event.time for event in reported if isinstance(event, Step)]
    return since(start, times | {"first step": step_times[0], "last step": step_times[-1], "whole": end})


def bare(folder: Path, steps: int) -> Times:
    """`bare.py`, with the same settings."""
    script, times_file = ROOT / "benchmarks" / "bare.py", folder / "times.json"
    words = [sys.executable, str(script), str(DATA), "out", str(steps), str(times_file), str(BASE)]
    start, end = run(words, folder)
    return since(start, json.loads(times_file.read_text(encoding="utf-8")) | {"whole": end})


def swift(folder: Path, steps: int, *, flags: tuple[str, ...]) -> Times:
    """`swift sft`, with the same hyperparameters."""
    interval = str(max(1, steps // 10))
    words = [str(BIN / "swift"), "sft", "--model", str(BASE), "--model_type", "qwen2", "--template", "qwen2_5"]
    words += ["--dataset", str(DATA), "--split_dataset_ratio", "0.043", "--torch_dtype", "float32", "--use_cpu", "true"]
    words += ["--max_steps", str(steps), "--per_device_train_batch_size", "16", "--per_device_eval_batch_size", "16"]
    words += ["--gradient_accumulation_steps", "1", "--learning_rate", "3e-3", "--lora_rank", "8", "--lora_alpha", "32"]
    words += ["--eval_steps", interval, "--save_steps", interval, "--save_total_limit", "2", "--logging_steps", "1"]
    words += ["--external_plugins", str(ROOT / "benchmarks" / "first_step_plugin.py"), "--callbacks", "clock"]
    times_file = folder / "times.json"
    start, end = run([*words, "--output_dir", "out", *flags], folder, TIMES=str(times_file))
    return since(start, json.loads(times_file.read_text(encoding="utf-8")) | {"whole": end})


def since(start: float, times: Times) -> Times:
    """Times relative to `start`."""
    return {name: value - start for name, value in times.items()}


CASES: dict[str, Callable[[Path, int], Times]] = {
    "swiftkit sft": swiftkit,
    BARE: bare,
    "swift sft --check_model false": partial(swift, flags=NO_CHECK),
    "swift sft, same settings": partial(swift, flags=SAME_SETTINGS),
}


def measure(rounds: int, steps: int) -> dict[str, list[Times]]:
    """The times of each case, one item a round."""
    measured: dict[str, list[Times]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, case in CASES.items():
            with tempfile.TemporaryDirectory() as folder:
                measured[name].append(case(Path(folder), steps))
    return measured


def print_medians(measured: dict[str, list[Times]], steps: int) -> None:
    """One line a case; the ratio to the bare script is the median of the rounds' ratios."""
    for name, rounds in measured.items():
        medians = {phase: statistics.median(times[phase] for times in rounds) for phase in rounds[0]}
        phases = ", ".join(
            f"{phase} {value:.1f} s" for phase, value in sorted(medians.items(), key=lambda item: item[1])
        )
        pace = statistics.median((steps - 1) / (times["last step"] - times["first step"]) for times in rounds)
        ratio = statistics.median(
            times["first step"] / baseline["first step"] for times, baseline in zip(rounds, measured[BARE], strict=True)
        )
        print(f"  {name:32} {phases}; {pace:.2f} steps/s; first step {ratio:.2f} x bare")


def main(rounds: int, start_steps: int, throughput_steps: int) -> None:
    """Print the medians of both measurements."""
    for title, steps in (("time to the first step", start_steps), ("throughput after it", throughput_steps)):
        measured = measure(rounds, steps)
        print(f"\n{title} ({steps} steps, medians of {rounds} rounds in turn)")
        print_medians(measured, steps)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("rounds", nargs="?", type=int, default=5, help="default: 5")
    arguments.add_argument(
        "--steps",
        nargs=2,
        type=int,
        default=(START_STEPS, THROUGHPUT_STEPS),
        metavar=("START", "THROUGHPUT"),
        help=f"optimizer steps of both measurements, at least 2 (default: {START_STEPS} {THROUGHPUT_STEPS})",
    )
    options = arguments.parse_args()
    main(options.rounds, *options.steps)
