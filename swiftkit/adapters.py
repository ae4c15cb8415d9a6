"""LoRA adapters on disk: whether one is whole, and whether it fits a base model; without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swiftkit.errors import Problems, SwiftkitError
from swiftkit.model_folder import read_object
from swiftkit.weights import header

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
DAMAGED = "this checkpoint is damaged: take another one (`swiftkit runs` lists the runs), or train again"
# PEFT's names: base_model.model.<module>.lora_A.weight of shape [rank, in], lora_B.weight [out, rank].
_FACTOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")

_KNOWN = re.compile(r"base_model\.model\..+\.(lora_[AB]\.weight|lora_magnitude_vector)")
_PLAIN_STARTS = (True, False, "gaussian", "orthogonal", "eva")
_BEYOND = (
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
    """A checked adapter folder. `tensors`: name to shape, as its safetensors file declares them."""

    path: Path
    config: dict[str, Any]
    tensors: dict[str, list[int]]

    @property
    def base(self) -> str | None:
        """The base model as PEFT wrote it down: a folder or a hub id."""
        return self.config.get("base_model_name_or_path")


def inspect(path: Path) -> Adapter:
    """Read an adapter's config and the shapes of its tensors.

    Raises:
        SwiftkitError: it is not whole, is no LoRA, or holds pickles only.
    """
    config = read_object(path / CONFIG, DAMAGED)
    if config.get("peft_type") != "LORA":
        raise SwiftkitError(f"{path} holds a {config.get('peft_type')} adapter", "only LoRA adapters are understood")
    file = path / WEIGHTS
    if not file.is_file():
        held = ", ".join(sorted(p.name for p in path.iterdir())[:8])
        raise SwiftkitError(f"{path} holds no {WEIGHTS} (it holds {held})", "save the adapter as safetensors")
    if not isinstance(config.get("lora_alpha"), int | float) or not isinstance(config.get("r"), int):
        raise SwiftkitError(f"{path / CONFIG} is broken: it has no r or no lora_alpha", DAMAGED)
    return Adapter(path, config, header(file, DAMAGED))


def check(adapter: Adapter, folder: Path, base: dict[str, list[int]]) -> None:
    """Refuse an adapter that was made for another model.

    Args:
        adapter: the adapter.
        folder: the base model's folder, for the message.
        base: name to shape of its tensors; a linear layer's weight has shape [out, in].

    Raises:
        SwiftkitError: layers that the base has not, or has in another shape; a few of them by name.
    """
    problems = Problems()
    wrong: list[str] = []
    for name, shape in adapter.tensors.items():
        found = _FACTOR.fullmatch(name)
        if not found:
            continue
        weight = base.get(f"{found['module']}.weight")
        width, side = (shape[-1], 1) if found["factor"] == "A" else (shape[0], 0)
        if weight is None:
            wrong.append(f"{found['module']} (the base has no such layer)")
        elif weight[side] != width:
            wrong.append(f"{found['module']} ({width:,} wide, {weight[side]:,} in the base)")
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        problems.add(
            f"the adapter {adapter.path} does not fit the base model {folder}: {', '.join(wrong[:3])}{more}",
            "it was trained on another model; name that one with --model_id_or_path",
        )
    problems.raise_any()


def mergeable(adapter: Adapter) -> None:
    """Refuse an adapter that is more than B A (with rsLoRA's or DoRA's scaling) on linear layers.

    Raises:
        SwiftkitError: what of it the merge does not know.
    """
    strange = [key for key in _BEYOND if adapter.config.get(key)]
    if adapter.config.get("bias", "none") != "none":
        strange.append("bias")
    if adapter.config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        strange.append("init_lora_weights")  # PiSSA and its like have changed the base as well
    strange += sorted(name for name in adapter.tensors if not _KNOWN.fullmatch(name))[:3]
    if strange:
        raise SwiftkitError(
            f"the adapter {adapter.path} cannot be merged: {', '.join(strange)} is not understood",
            "merge it with PEFT's merge_and_unload",
        )


def factors(tensors: list[str]) -> dict[str, dict[str, str]]:
    """Module to its factors' tensor names, `A` and `B`."""
    found: dict[str, dict[str, str]] = {}
    for name in tensors:
        if match := _FACTOR.fullmatch(name):
            found.setdefault(match["module"], {})[match["factor"]] = name
    return found
