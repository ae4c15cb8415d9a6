"""Options of `swiftkit sft`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from swiftkit.config.fields import flag
from swiftkit.config.options import DataOptions, DTypeName

# ms-swift 2's words for LoRA targets: the model's own, and all linear layers.
_TARGET_WORDS: dict[tuple[str, ...], list[str]] = {("DEFAULT",): [], ("AUTO",): [], ("ALL",): ["all-linear"]}


class SftConfig(DataOptions):
    """Fine-tune a model on your own data."""

    dtype: DTypeName = flag("auto", "Compute precision; auto: what the hardware supports.", "Model", "torch_dtype")

    sft_type: Literal["lora", "full"] = flag(
        "lora", "What is trained: an adapter (lora) or all weights (full).", "Training", "tuner_type", "train_type"
    )
    lora_rank: int = flag(8, "Rank of the adapter.", "LoRA", "r", "lora_r", ge=1)
    lora_alpha: int = flag(
        32, "Scale of the adapter: its output is multiplied by lora_alpha / lora_rank.", "LoRA", ge=1
    )
    lora_dropout: float = flag(0.05, "Dropout on the adapter's input, 0 to 1.", "LoRA", "lora_dropout_p", ge=0, lt=1)
    lora_target_modules: list[str] = flag(
        [],
        "Linear layers that get an adapter, by the last part of their name, or all-linear.",
        "LoRA",
        "target_modules",
        "lora_target",
        shown="those of the model's family",
    )

    learning_rate: float | None = flag(
        None, "Peak learning rate.", "Training", "lr", gt=0, shown="1e-4, with --sft_type full 1e-5"
    )
    num_train_epochs: float = flag(1, "Number of passes over the training rows.", "Training", "epochs", gt=0)
    max_steps: int | None = flag(None, "Stop after this many optimizer steps.", "Training", ge=1, shown="all epochs")
    batch_size: int = flag(1, "Per-device training batch size.", "Training", "per_device_train_batch_size", ge=1)
    gradient_accumulation_steps: int | None = flag(
        None,
        "Number of batches whose gradients are accumulated per optimizer step.",
        "Training",
        ge=1,
        shown="effective batch size of 16",
    )
    warmup_ratio: float = flag(
        0.05, "Fraction of the steps used for learning rate warmup, 0 to 1.", "Training", ge=0, lt=1
    )
    eval_steps: int | None = flag(
        None,
        "Optimizer steps between evaluations; each evaluation also saves a checkpoint.",
        "Training",
        "eval_step",
        "save_steps",
        ge=1,
        shown="about ten evaluations per run",
    )
    gradient_checkpointing: bool | None = flag(
        None,
        "Recompute activations to save memory.",
        "Training",
        "use_gradient_checkpointing",
        shown="only if the memory estimate requires it",
    )
    trainer: str = flag("ms_swift", "Training backend (docs/plugins.md).", "Training", metavar="NAME")
    trainer_options: dict[str, Any] = Field(
        default={}, description="Further options of the trainer, given as --swift.NAME VALUE for ms-swift."
    )

    output_dir: str = flag("output", "Folder for all runs.", "Output", metavar="FOLDER")
    dry_run: bool = flag(False, "Check everything, print what would happen, and stop.", "Output", exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _translate_targets(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(targets := values.get("lora_target_modules"), list | str):
            words = (targets,) if isinstance(targets, str) else tuple(map(str, targets))
            return values | {"lora_target_modules": _TARGET_WORDS.get(words, targets)}
        return values
