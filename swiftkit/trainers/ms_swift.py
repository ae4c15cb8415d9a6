"""Training by ms-swift 4.6, in a child process with a process group of its own."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from swiftkit import child, events, hardware, passthrough
from swiftkit.config import SftConfig
from swiftkit.events import Event
from swiftkit.models import Family
from swiftkit.trainers import Outcome
from swiftkit.worker.job import VARIABLE, Job

PLUGIN = Path(__file__).parent.parent / "worker" / "plugin" / "swiftkit_plugin.py"
logger = logging.getLogger(__name__)

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
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


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
        # Weights that are trained are kept in fp32, else steps smaller than their last digit are lost.
        "torch_dtype": "float32" if config.sft_type == "full" else DTYPES[dtype],
        "bf16": dtype == "bf16",
        "fp16": dtype == "fp16",
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
    if config.sft_type == "lora":
        options |= {
            "lora_rank": config.lora_rank,
            "lora_alpha": config.lora_alpha,
            "lora_dropout": config.lora_dropout,
            "target_modules": config.lora_target_modules,
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


def train(job: Job, show: Callable[[Event], None]) -> Outcome:
    """Run the job to its end, hand every event to `show`; signals are passed on to the child."""
    path = job.save()
    ended = child.run(
        command(path, hardware.processes()),
        log=job.run / "swift.log",
        events=job.events,
        show=show,
        variables={VARIABLE: str(path)},
    )
    found = outcome(job, ended.returncode)
    if ended.signal and found.state == "died":  # it was not far enough to say so itself
        events.append(job.events, "interrupted", step=found.step)
        found = Outcome("interrupted", found.step)
    return replace(found, signal=ended.signal)


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
