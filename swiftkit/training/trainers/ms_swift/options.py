"""ms-swift's own options: `--swift.NAME VALUE`, and names of ms-swift 2 that still mean the same.

`options.json` (written by `tools/make_options.py`) says which options ms-swift 4.6 has, of which type, and what became
of those of ms-swift 2.
"""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from swiftkit.errors import SwiftkitError, nearest

logger = logging.getLogger(__name__)
TYPES: dict[str, Any] = {"int": int, "float": float, "bool": bool, "str": str}

# Options that swiftkit sets itself, and what to use instead. Two groups: those that a flag of swiftkit replaces, and
# those that would break a promise (one renderer, no truncation, a best checkpoint that was evaluated).
_REPLACED_BY_FLAG = {
    "model": "model_id_or_path",
    "model_type": "model_type",
    "torch_dtype": "dtype",
    "bf16": "dtype",
    "fp16": "dtype",
    "use_cpu": "dtype",
    "dataset": "dataset",
    "val_dataset": "val_dataset",
    "cached_dataset": "dataset",
    "cached_val_dataset": "val_dataset",
    "split_dataset_ratio": "dataset_test_ratio",
    "columns": "columns",
    "system": "system",
    "max_length": "max_length",
    "tuner_type": "sft_type",
    "lora_rank": "lora_rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "target_modules": "lora_target_modules",
    "learning_rate": "learning_rate",
    "num_train_epochs": "num_train_epochs",
    "max_steps": "max_steps",
    "per_device_train_batch_size": "batch_size",
    "per_device_eval_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "warmup_ratio": "warmup_ratio",
    "eval_steps": "eval_steps",
    "save_steps": "eval_steps",
    "gradient_checkpointing": "gradient_checkpointing",
    "seed": "seed",
    "data_seed": "seed",
    "output_dir": "output_dir",
}
_RESERVED = {
    **dict.fromkeys(
        ("template", "template_backend", "use_chat_template", "loss_scale", "agent_template", "response_prefix"),
        "the model's chat template determines tokens and loss; see docs/tokens.md",
    ),
    **dict.fromkeys(
        ("truncation_strategy", "strict", "lazy_tokenize", "streaming", "dataset_shuffle", "val_dataset_shuffle"),
        "swiftkit reads and checks every row before training; see docs/data.md",
    ),
    **dict.fromkeys(
        ("save_strategy", "eval_strategy", "save_total_limit", "save_only_model", "load_best_model_at_end"),
        "swiftkit evaluates and saves every --eval_steps and keeps the last and the best; see docs/training.md",
    ),
    **dict.fromkeys(
        ("callbacks", "external_plugins", "custom_register_path", "check_model", "add_version"),
        "swiftkit uses it internally",
    ),
    **dict.fromkeys(
        ("create_checkpoint_symlink", "logging_nan_inf_filter", "logging_steps", "disable_tqdm", "push_to_hub"),
        "swiftkit uses it internally",
    ),
    **dict.fromkeys(
        ("target_regex", "target_parameters", "trainable_parameters", "tuner_backend", "adapters", "freeze_parameters"),
        "choose what is trained with --lora_target_modules, so that it can be counted and reported",
    ),
    **dict.fromkeys(
        ("dataloader_drop_last", "max_epochs", "logging_strategy", "prediction_loss_only", "resume_only_model"),
        "steps and losses would differ from what is planned and reported",
    ),
    "safe_serialization": "checkpoints are always safetensors",
    **dict.fromkeys(("quant_bits", "quant_method"), "training on quantized weights is not supported yet"),
}
_UNSUPPORTED = {
    **dict.fromkeys(
        ("packing", "padding_free"),
        "it needs flash attention, and would train other batches than those that are planned",
    ),
    "load_in_4bit": "training on quantized weights is not supported yet",
    "load_in_8bit": "training on quantized weights is not supported yet",
    "quantization_bit": "training on quantized weights is not supported yet",
    "resume_from_checkpoint": "resuming a run is not supported yet",
}

# What scripts for ms-swift often contain and what has no effect here, with the values for which that is true (None:
# all).
_NO_EFFECT: dict[str, tuple[set[str] | None, str]] = {
    "template_type": ({"AUTO", "auto"}, "the registry determines it"),
    "train_dataset_sample": ({"-1"}, "all rows are used"),
    "val_dataset_sample": ({"-1"}, "all rows are used"),
    "check_dataset_strategy": (None, "every row is checked"),
    "logging_steps": (None, "every step is logged"),
    "save_total_limit": (None, "the last and the best checkpoint are kept"),
    "save_strategy": ({"steps"}, "every evaluation saves a checkpoint"),
    "eval_strategy": ({"steps"}, "that is the default"),
    "evaluation_strategy": ({"steps"}, "that is the default"),
    "eval_batch_size": (None, "evaluation uses the training batch size"),
    "per_device_eval_batch_size": (None, "evaluation uses the training batch size"),
    "use_flash_attn": ({"false"}, "it is not used"),
    "push_to_hub": ({"false"}, "nothing is pushed"),
    "packing": ({"false"}, "that is the default"),
    "padding_free": ({"false"}, "that is the default"),
    "only_save_model": ({"false"}, "that is the default"),
    "save_only_model": ({"false"}, "that is the default"),
    "check_model_is_latest": ({"false"}, "no hub is contacted"),
    "check_model": ({"false"}, "no hub is contacted"),
    "quantization_bit": ({"0"}, "that is the default"),
    "load_in_4bit": ({"false"}, "that is the default"),
    "disable_tqdm": (None, "swiftkit shows its own progress"),
    **dict.fromkeys(("sft_type", "tuner_type", "train_type"), ({"lora", "full"}, "the checkpoint determines it")),
    **dict.fromkeys(("save_safetensors", "safe_serialization"), ({"true"}, "that is the default")),
}


def is_noop(name: str, value: Any) -> bool:
    """Whether an option requests what happens anyway; logs that it does."""
    values, reason = _NO_EFFECT.get(name, (set(), ""))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if values is not None and text not in values and text.lower() not in values:
        return False
    logger.info("--%s %s is not needed: %s", name, text, reason)
    return True


@cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return table


def is_allowed_bare(name: str) -> bool:
    """Whether an option of ms-swift 2 has the same name and meaning in 4.6, and therefore works without `swift.`."""
    is_taken = name in _REPLACED_BY_FLAG or name in _RESERVED or name in _UNSUPPORTED
    return not is_taken and _table()["ms_swift_2"].get(name) == name


def migration_hint(name: str) -> str | None:
    """What to use instead of an option of ms-swift that swiftkit does not have; None if the option is unknown."""
    if name in _UNSUPPORTED:
        return _UNSUPPORTED[name]
    if name in _REPLACED_BY_FLAG:
        return f"use `--{_REPLACED_BY_FLAG[name]}`"
    if name in _RESERVED:
        return _RESERVED[name]
    former = _table()["ms_swift_2"]
    if name in former:
        current = former[name]
        if current is None:
            return "ms-swift dropped this option after 2.x"
        hint = None if current == name else migration_hint(current)
        return hint or f"use `--swift.{current}`"
    return f"use `--swift.{name}`" if name in _table()["options"] else None


def check_option(name: str, value: Any) -> Any:
    """The value of ms-swift's option `name`, with the type that ms-swift expects.

    Raises:
        SwiftkitError: ms-swift 4.6 has no such option, swiftkit sets it itself, or the value does not fit.
    """
    if value is None:
        raise SwiftkitError(f"--swift.{name} has no value", "leave it out for ms-swift's default")
    options = _table()["options"]
    flag = f"use `--{_REPLACED_BY_FLAG[name]}`" if name in _REPLACED_BY_FLAG else None
    if reserved := _UNSUPPORTED.get(name) or flag or _RESERVED.get(name):
        what = "is not supported" if name in _UNSUPPORTED else "is set by swiftkit"
        raise SwiftkitError(f"`--swift.{name}` {what}", reserved)
    if name not in options:
        raise SwiftkitError(f"ms-swift 4.6 has no option `{name}`", migration_hint(name) or nearest(name, options))
    spec = options[name]
    if spec.get("list"):
        return [_convert(name, spec, item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        raise SwiftkitError(f"--swift.{name} takes one value, not {len(value)}")
    return _convert(name, spec, value)


def _convert(name: str, spec: dict[str, Any], value: Any) -> Any:
    choices = spec.get("choices")
    if choices:
        if str(value) not in choices:
            raise SwiftkitError(f"--swift.{name}: `{value}` is not one of {', '.join(choices)}")
        return value
    if "json" in spec["kinds"] or isinstance(value, dict):
        return json.dumps(value) if isinstance(value, dict) else value
    for kind in spec["kinds"]:
        try:
            return TypeAdapter(TYPES[kind]).validate_python(str(value))
        except ValidationError:
            continue
    raise SwiftkitError(f"--swift.{name}: `{value}` is not a {' or '.join(spec['kinds'])}")
