"""A training job as ms-swift's command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swiftkit.training.job import TrainJob

PLUGIN = Path(__file__).parent / "plugin" / "swiftkit_plugin.py"
TEMPLATE = CALLBACK = "swiftkit"  # names that the plugin registers

# Settings that swiftkit relies on; docs/training.md gives the reasons.
FIXED: dict[str, Any] = {
    "template": TEMPLATE,
    "callbacks": [CALLBACK],
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


def options(job: TrainJob) -> dict[str, Any]:
    """ms-swift's options for a job, by name."""
    config, precision = job.config, job.precision
    has_validation = job.num_validation > 0
    chosen: dict[str, Any] = {
        "model": str(job.model.folder),
        "model_type": job.model.swift_model_type,
        "cached_dataset": str(job.cache / "train"),
        "tuner_type": config.sft_type,
        "torch_dtype": precision.storage.torch_name,
        "bf16": precision.compute.name == "bf16",
        "fp16": precision.compute.name == "fp16",
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
        "output_dir": str(job.run),
        "save_strategy": "steps",
        "save_steps": config.eval_steps,
        "eval_strategy": "steps" if has_validation else "no",
    }
    if config.sft_type == "lora":
        chosen |= {
            "lora_rank": config.lora_rank,
            "lora_alpha": config.lora_alpha,
            "lora_dropout": config.lora_dropout,
            "target_modules": config.lora_target_modules,
        }
    if has_validation:
        chosen |= {"cached_val_dataset": str(job.cache / "validation"), "eval_steps": config.eval_steps}
    if config.max_steps is not None:
        chosen["max_steps"] = config.max_steps
    if job.device == "cpu":
        chosen["use_cpu"] = True
    return {**FIXED, **chosen, **config.trainer_options}


def to_argv(options: dict[str, Any]) -> list[str]:
    """Options as words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in values)]
    return words
