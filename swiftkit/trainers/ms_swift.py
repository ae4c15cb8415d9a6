"""Training by ms-swift 4.6, in a child process with a process group of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from swiftkit import events, hardware, passthrough
from swiftkit.config import SftConfig
from swiftkit.events import Event
from swiftkit.models import Family
from swiftkit.trainers import Outcome
from swiftkit.worker.job import VARIABLE, Job

PLUGIN = Path(__file__).parent.parent / "worker" / "plugin" / "swiftkit_plugin.py"
logger = logging.getLogger(__name__)
POLL = 0.1  # seconds between two looks at the events
GRACE = 60.0  # seconds that a stopping child has to save its checkpoint

# Settings that swiftkit needs as they are; the reasons stand in docs/training.md.
FIXED: dict[str, Any] = {
    "template": "swiftkit",
    "callbacks": ["swiftkit"],
    "external_plugins": [str(PLUGIN)],
    "check_model": False,
    "add_version": False,
    "strict": True,
    "save_total_limit": 2,
    "logging_steps": 1,
    "logging_first_step": True,
    "logging_nan_inf_filter": False,
    "report_to": "none",
    "disable_tqdm": True,
    "dataset_num_proc": 1,
    "dataloader_num_workers": 0,
    "dataloader_pin_memory": False,
}


def arguments(
    config: SftConfig, family: Family, folder: Path, run: Path, *, dtype: str, validates: bool
) -> dict[str, Any]:
    """ms-swift's options for a resolved config (every `None` of it has been replaced).

    Args:
        config: the resolved config.
        family: names the model to ms-swift.
        folder: the base model's weights.
        run: the run folder.
        dtype: bf16, fp16 or fp32.
        validates: whether there are validation rows.
    """
    on_cpu = hardware.device().kind == "cpu"
    options: dict[str, Any] = {
        "model": str(folder.resolve()),
        "model_type": family.swift.model_type,
        "cached_dataset": str(run / ".cache" / "train"),
        "tuner_type": config.sft_type,
        "torch_dtype": {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[dtype],
        "bf16": dtype == "bf16",
        "fp16": dtype == "fp16",
        "lora_rank": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": config.lora_target_modules,
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.num_train_epochs,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "warmup_ratio": config.warmup_ratio,
        "gradient_checkpointing": config.gradient_checkpointing,
        "max_length": config.max_length,
        "seed": config.seed,
        "data_seed": config.seed,
        "output_dir": str(run),
        "save_strategy": "steps",
        "save_steps": config.eval_steps,
        "eval_strategy": "steps" if validates else "no",
    }
    if validates:
        options |= {"cached_val_dataset": str(run / ".cache" / "validation"), "eval_steps": config.eval_steps}
    if config.max_steps is not None:
        options["max_steps"] = config.max_steps
    if on_cpu:
        options["use_cpu"] = True
    return {**FIXED, **options, **config.swift}


def argv(options: dict[str, Any]) -> list[str]:
    """The options as ms-swift's command line."""
    return passthrough.argv(options)


def command(job: Path, processes: int) -> list[str]:
    """The child's command line; more than one process is started by torchrun."""
    module = ["-m", "swiftkit.worker", str(job)]
    if processes == 1:
        return [sys.executable, *module]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", *module]


def environment(job: Path) -> dict[str, str]:
    """The child's environment: it may not look for anything on a hub, since all it needs is on this machine."""
    offline = (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
    )
    added = dict.fromkeys(offline, "1") | {VARIABLE: str(job), "PYTHONUNBUFFERED": "1"}
    # ms-swift sends its tensorboard events to this folder if it is set, whatever run it belongs to.
    kept = {key: value for key, value in os.environ.items() if key != "TENSORBOARD_LOGGING_DIR"}
    return {**kept, **added}


def train(job: Job, show: Callable[[Event], None]) -> Outcome:
    """Run the job to its end, hand every event to `show`; signals are passed on to the child."""
    path = job.save()
    with (job.run / "swift.log").open("ab") as log:
        child = subprocess.Popen(
            command(path, hardware.processes()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(path),
            start_new_session=True,
        )
    with _signals_to(child) as received:
        for event in follow(job.events, lambda: child.poll() is not None):
            show(event)
    found = outcome(job, child.returncode)
    if received and found.state == "died":  # it was not far enough to say so itself
        events.append(job.events, "interrupted", step=found.step)
        found = Outcome("interrupted", found.step)
    return replace(found, signal=received[0] if received else None)


@contextmanager
def _signals_to(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to the child's group; the child saves and ends. In the end nothing of it is left.

    A second signal, or `GRACE` seconds, end it at once. Yields the signals that came.
    """
    received: list[int] = []
    family = {child.pid: psutil.Process(child.pid)}  # torchrun's processes have groups of their own

    def kill() -> None:
        for process in family.values():
            with suppress(psutil.Error):
                process.kill()

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        with suppress(psutil.Error):
            family.update({p.pid: p for p in psutil.Process(child.pid).children(recursive=True)})
        if len(received) > 1:
            kill()
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGTERM)
        timer = threading.Timer(GRACE, kill)
        timer.daemon = True
        timer.start()

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        if child.poll() is None:
            forward(signal.SIGTERM, None)
            child.wait()
        kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def follow(path: Path, ended: Callable[[], bool]) -> Iterator[Event]:
    """Events as they are written, until `ended` says that nobody writes any more and all is read."""
    position = 0
    while True:
        last = ended()
        if path.exists():
            with path.open("rb") as stream:
                stream.seek(position)
                lines = stream.read().split(b"\n")
            position += sum(len(line) + 1 for line in lines[:-1])
            yield from (json.loads(line) for line in lines[:-1] if line)
        if last:
            return
        time.sleep(POLL)


def outcome(job: Job, returncode: int) -> Outcome:
    """What became of a training, from its events and from what the trainer wrote, not from the exit code alone."""
    lived = events.lived(events.read(job.events))
    end = next((e for e in reversed(lived) if e["event"] in events.ENDS), None)
    step = max((e.get("step", 0) for e in lived), default=0)
    if end is None:
        reason = f"the training process was ended by signal {-returncode}" if returncode < 0 else "the process ended"
        return Outcome("died", step, f"{reason} after step {step} without a word")
    if end["event"] == "finished" and _saved(job) < step:
        return Outcome("failed", step, f"ms-swift ended with {returncode} before it had saved its last step")
    if end["event"] == "finished":
        if returncode:  # what comes after is clearing up
            logger.warning("all is trained and saved, but ms-swift then ended with %d", returncode)
        return Outcome("finished", step)
    return Outcome(end["event"], step, end.get("error"))


def _saved(job: Job) -> int:
    """The step of the newest checkpoint, as the trainer has written it down; 0 when there is none."""
    states = job.run.glob("checkpoint-*/trainer_state.json")
    return max((int(json.loads(p.read_text(encoding="utf-8"))["global_step"]) for p in states), default=0)
