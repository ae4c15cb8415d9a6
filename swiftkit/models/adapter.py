"""LoRA adapters on disk: whether one is complete, and whether it fits a base model; without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.errors import SwiftkitError
from swiftkit.models.weights import read_header

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
DAMAGED_HINT = "this checkpoint is damaged: use another one (`swiftkit runs` lists the runs), or train again"
# PEFT's names: base_model.model.<module>.lora_A.weight of shape [rank, in], lora_B.weight [out, rank].
_FACTOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")
_MERGEABLE_TENSOR = re.compile(r"base_model\.model\..+\.(lora_[AB]\.weight|lora_magnitude_vector)")
# Initializations that leave the base model's weights as they are; PiSSA and similar ones change them.
_PLAIN_INITIALIZATIONS = (True, False, "gaussian", "orthogonal", "eva")
_UNSUPPORTED_OPTIONS = (
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
)


@dataclass(frozen=True)
class Adapter:
    """An adapter folder that was checked.

    Attributes:
        path: the folder.
        config: its adapter_config.json.
        tensors: name to shape of every tensor, as the safetensors header declares them.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, list[int]]

    @property
    def base(self) -> str | None:
        """The base model as PEFT recorded it: a folder or a hub id."""
        return self.config.get("base_model_name_or_path")


def load_adapter(path: Path) -> Adapter:
    """Read an adapter's config and the shapes of its tensors.

    Raises:
        SwiftkitError: it is not complete, not LoRA, or a pickle.
    """
    config = files.read_object(path / CONFIG, DAMAGED_HINT)
    if config.get("peft_type") != "LORA":
        raise SwiftkitError(f"{path} holds a {config.get('peft_type')} adapter", "only LoRA adapters are supported")
    file = path / WEIGHTS
    if not file.is_file():
        content = ", ".join(sorted(p.name for p in path.iterdir())[:8])
        raise SwiftkitError(f"{path} has no {WEIGHTS} (it contains {content})", "save the adapter as safetensors")
    if not isinstance(config.get("lora_alpha"), int | float) or not isinstance(config.get("r"), int):
        raise SwiftkitError(f"{path / CONFIG} is broken: it has no r or no lora_alpha", DAMAGED_HINT)
    return Adapter(path, config, read_header(file, DAMAGED_HINT))


def check_fits(adapter: Adapter, folder: Path, base: dict[str, list[int]]) -> None:
    """Refuse an adapter that was trained on another model.

    Args:
        adapter: the adapter.
        folder: the base model's folder, for the message.
        base: name to shape of its tensors; a linear layer's weight has shape [out, in].

    Raises:
        SwiftkitError: layers that the base lacks, or has with another shape; up to three by name.
    """
    misfits: list[str] = []
    for name, shape in adapter.tensors.items():
        match = _FACTOR.fullmatch(name)
        if not match:
            continue
        weight = base.get(f"{match['module']}.weight")
        width, side = (shape[-1], 1) if match["factor"] == "A" else (shape[0], 0)
        if weight is None:
            misfits.append(f"{match['module']} (the base has no such layer)")
        elif weight[side] != width:
            misfits.append(f"{match['module']} ({width:,} wide, {weight[side]:,} in the base)")
    if misfits:
        more = f", and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise SwiftkitError(
            f"the adapter {adapter.path} does not fit the base model {folder}: {', '.join(misfits[:3])}{more}",
            "it was trained on another model; name that one with --model_id_or_path",
        )


def check_mergeable(adapter: Adapter) -> None:
    """Refuse an adapter that is more than B A (with rsLoRA's or DoRA's scaling) on linear layers.

    Raises:
        SwiftkitError: what the merge does not support.
    """
    unsupported = [key for key in _UNSUPPORTED_OPTIONS if adapter.config.get(key)]
    if adapter.config.get("bias", "none") != "none":
        unsupported.append("bias")
    if adapter.config.get("init_lora_weights", True) not in _PLAIN_INITIALIZATIONS:
        unsupported.append("init_lora_weights")
    unsupported += sorted(name for name in adapter.tensors if not _MERGEABLE_TENSOR.fullmatch(name))[:3]
    if unsupported:
        raise SwiftkitError(
            f"the adapter {adapter.path} cannot be merged: {', '.join(unsupported)} is not supported",
            "merge it with PEFT's merge_and_unload",
        )


def factors(tensors: list[str]) -> dict[str, dict[str, str]]:
    """Module to the names of its factors' tensors, `A` and `B`."""
    found: dict[str, dict[str, str]] = {}
    for name in tensors:
        if match := _FACTOR.fullmatch(name):
            found.setdefault(match["module"], {})[match["factor"]] = name
    return found
