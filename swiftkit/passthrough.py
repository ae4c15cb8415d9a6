"""The one door to ms-swift's own options: `--swift.NAME VALUE`, and ms-swift 2 names that mean the same today.

`passthrough.json` (written by `tools/make_passthrough.py`) says which options ms-swift 4.6 has, of which type,
and what became of those of ms-swift 2.
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

# Options that swiftkit sets itself, and what to use instead. Two kinds: those that a flag of ours stands for,
# and those that would break a promise (one renderer, whole examples, a best checkpoint that is evaluated).
_FLAG = {
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
_PROMISE = {
    **dict.fromkeys(
        ("template", "template_backend", "use_chat_template", "loss_scale", "agent_template", "response_prefix"),
        "the model's template decides which tokens are seen and learned; see docs/tokens.md",
    ),
    **dict.fromkeys(
        ("truncation_strategy", "strict", "lazy_tokenize", "streaming", "dataset_shuffle", "val_dataset_shuffle"),
        "swiftkit reads and checks every row before it trains; see docs/data.md",
    ),
    **dict.fromkeys(
        ("save_strategy", "eval_strategy", "save_total_limit", "save_only_model", "load_best_model_at_end"),
        "swiftkit evaluates and saves every --eval_steps and keeps the last and the best; see docs/training.md",
    ),
    **dict.fromkeys(
        ("callbacks", "external_plugins", "custom_register_path", "check_model", "add_version"),
        "swiftkit needs it for itself",
    ),
    **dict.fromkeys(
        ("create_checkpoint_symlink", "logging_nan_inf_filter", "logging_steps", "disable_tqdm", "push_to_hub"),
        "swiftkit needs it for itself",
    ),
    **dict.fromkeys(
        ("target_regex", "target_parameters", "trainable_parameters", "tuner_backend", "adapters", "freeze_parameters"),
        "which parameters are trained is decided, counted and told by --lora_target_modules",
    ),
    **dict.fromkeys(
        ("dataloader_drop_last", "max_epochs", "logging_strategy", "prediction_loss_only", "resume_only_model"),
        "steps and losses would not be those that were planned and are told",
    ),
    "safe_serialization": "checkpoints are safetensors",
    **dict.fromkeys(("quant_bits", "quant_method"), "training on quantised weights is not offered yet"),
}
_NOT_YET = {
    "load_in_4bit": "training on quantised weights is not offered yet",
    "load_in_8bit": "training on quantised weights is not offered yet",
    "quantization_bit": "training on quantised weights is not offered yet",
    "resume_from_checkpoint": "resuming a run is not offered yet",
}


# What scripts for ms-swift often say and what needs no doing here, with the values of which that is true (None: all).
_NEEDLESS: dict[str, tuple[set[str] | None, str]] = {
    "template_type": ({"AUTO", "auto"}, "the registry decides"),
    "train_dataset_sample": ({"-1"}, "all rows are taken"),
    "val_dataset_sample": ({"-1"}, "all rows are taken"),
    "check_dataset_strategy": (None, "every row is checked"),
    "logging_steps": (None, "every step is logged"),
    "save_total_limit": (None, "the last and the best checkpoint are kept"),
    "save_strategy": ({"steps"}, "a checkpoint is saved at every evaluation"),
    "eval_strategy": ({"steps"}, "it is so"),
    "evaluation_strategy": ({"steps"}, "it is so"),
    "eval_batch_size": (None, "evaluation uses the training batch size"),
    "per_device_eval_batch_size": (None, "evaluation uses the training batch size"),
    "use_flash_attn": ({"false"}, "it is not used"),
    "push_to_hub": ({"false"}, "nothing is pushed"),
    "only_save_model": ({"false"}, "it is so"),
    "save_only_model": ({"false"}, "it is so"),
    "check_model_is_latest": ({"false"}, "no hub is asked"),
    "check_model": ({"false"}, "no hub is asked"),
    "quantization_bit": ({"0"}, "it is so"),
    "load_in_4bit": ({"false"}, "it is so"),
    "disable_tqdm": (None, "swiftkit draws its own progress"),
    **dict.fromkeys(("sft_type", "tuner_type", "train_type"), ({"lora", "full"}, "the checkpoint tells")),
    **dict.fromkeys(("save_safetensors", "safe_serialization"), ({"true"}, "it is so")),
}


def needless(name: str, value: Any) -> bool:
    """Whether an option asks for what is done anyway; says so."""
    values, why = _NEEDLESS.get(name, (set(), ""))
    said = str(value).lower() if isinstance(value, bool) else str(value)
    if values is not None and said not in values and said.lower() not in values:
        return False
    logger.info("--%s %s is not needed: %s", name, said, why)
    return True


@cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return table


def bare(name: str) -> bool:
    """Whether an option of ms-swift 2 has the same name and meaning in 4.6, and so works without `swift.`."""
    taken = name in _FLAG or name in _PROMISE or name in _NOT_YET
    return not taken and _table()["ms_swift_2"].get(name) == name


def advice(name: str) -> str | None:
    """What to do instead of a flag that swiftkit does not have; None when nothing is known of it."""
    if name in _NOT_YET:
        return _NOT_YET[name]
    if name in _FLAG:
        return f"use `--{_FLAG[name]}`"
    if name in _PROMISE:
        return _PROMISE[name]
    old = _table()["ms_swift_2"]
    if name in old:
        new = old[name]
        if new is None:
            return "ms-swift dropped this option after 2.x"
        return advice(new) or f"ms-swift 4.6 calls it `--swift.{new}`"
    return f"use `--swift.{name}`" if name in _table()["options"] else None


def check(name: str, value: Any) -> Any:
    """The value of ms-swift's option `name`, of the type that ms-swift expects.

    Raises:
        SwiftkitError: ms-swift 4.6 has no such option, swiftkit sets it itself, or the value does not fit.
    """
    if value is None:
        raise SwiftkitError(f"--swift.{name} has no value", "leave it out for ms-swift's default")
    options = _table()["options"]
    reserved = _NOT_YET.get(name) or (f"use `--{_FLAG[name]}`" if name in _FLAG else _PROMISE.get(name))
    if reserved:
        raise SwiftkitError(f"`--swift.{name}` is set by swiftkit", reserved)
    if name not in options:
        raise SwiftkitError(f"ms-swift 4.6 has no option `{name}`", advice(name) or nearest(name, options))
    spec = options[name]
    if spec.get("list"):
        return [_one(name, spec, item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        raise SwiftkitError(f"--swift.{name} takes one value, not {len(value)}")
    return _one(name, spec, value)


def _one(name: str, spec: dict[str, Any], value: Any) -> Any:
    choices = spec.get("choices")
    if choices:
        if str(value) not in choices:
            raise SwiftkitError(f"--swift.{name}: `{value}` is none of {', '.join(choices)}")
        return value
    if "json" in spec["kinds"] or isinstance(value, dict):
        return json.dumps(value) if isinstance(value, dict) else value
    for kind in spec["kinds"]:
        try:
            return TypeAdapter(TYPES[kind]).validate_python(str(value))
        except ValidationError:
            continue
    raise SwiftkitError(f"--swift.{name}: `{value}` is no {' or '.join(spec['kinds'])}")


def argv(options: dict[str, Any]) -> list[str]:
    """`options` as ms-swift's command line."""
    words: list[str] = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in values)]
    return words
