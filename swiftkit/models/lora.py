"""Which layers get a LoRA adapter, and how many parameters it trains; computed without torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from swiftkit.errors import Problems, nearest

ALL_LINEAR = "all-linear"
_EXPERT = re.compile(r"\.experts\.")
_NO_LINEAR = re.compile(r"(embed|lm_head|norm|\.gate\.weight$|rotary)")


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer: the last part of its name, its input and output size, whether it is an expert of a mixture."""

    name: str
    inputs: int
    outputs: int
    is_expert: bool = False


def layers_from_tensors(tensors: dict[str, list[int]]) -> list[LinearLayer]:
    """The linear layers behind the tensors of a model folder (weights have shape [out, in])."""
    return [
        LinearLayer(name.split(".")[-2], shape[1], shape[0], bool(_EXPERT.search(name)))
        for name, shape in tensors.items()
        if name.endswith(".weight") and len(shape) == 2 and not _NO_LINEAR.search(name)
    ]


def layers_from_config(config: dict[str, int], fused: Collection[str] = ()) -> list[LinearLayer]:
    """The linear layers of a decoder with these sizes, for a model whose weights are not on this machine.

    Args:
        config: numbers by their names in config.json.
        fused: names of layers that replace several others: `qkv_proj` (Phi-3), `gate_up_proj` (Phi-3, GLM-4).
    """
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    size = config.get("head_dim", hidden // heads)
    query, key = heads * size, config.get("num_key_value_heads", heads) * size
    found: list[LinearLayer] = []
    for index in range(config["num_hidden_layers"]):
        # In a mixture, layers from the start index on have experts instead of the dense block; one represents all.
        is_mixture = index >= config.get("moe_layer_start_index", config["num_hidden_layers"])
        inner = config["moe_intermediate_size"] if is_mixture else config["intermediate_size"]
        if "qkv_proj" in fused:
            found += [LinearLayer("qkv_proj", hidden, query + 2 * key)]
        else:
            found += [
                LinearLayer("q_proj", hidden, query),
                LinearLayer("k_proj", hidden, key),
                LinearLayer("v_proj", hidden, key),
            ]
        if "gate_up_proj" in fused:
            found += [LinearLayer("gate_up_proj", hidden, 2 * inner, is_mixture)]
        else:
            found += [
                LinearLayer("gate_proj", hidden, inner, is_mixture),
                LinearLayer("up_proj", hidden, inner, is_mixture),
            ]
        found += [LinearLayer("o_proj", query, hidden), LinearLayer("down_proj", inner, hidden, is_mixture)]
    return found


def select_layers(layers: Iterable[LinearLayer], targets: list[str]) -> list[LinearLayer]:
    """The layers that `targets` name.

    Raises:
        SwiftkitError: every target that names no layer (PEFT would silently train the others), and every target that
            names experts: transformers 5 fuses them, and PEFT gives all of them one adapter of rank `experts * rank`
            and none to the dense and shared layers of that name.
    """
    layers = list(layers)
    names = {layer.name for layer in layers}
    experts = {layer.name for layer in layers if layer.is_expert}
    if targets == [ALL_LINEAR] and not experts:
        return layers
    problems = Problems()
    for target in targets:
        if target == ALL_LINEAR and len(targets) > 1:
            problems.add(f"--lora_target_modules: {ALL_LINEAR} means every layer and cannot be combined")
        elif target in experts or (experts and target == ALL_LINEAR):
            problems.add(
                f"--lora_target_modules: `{target}` reaches the experts of this mixture, all of them at once",
                f"train the attention layers: {' '.join(sorted(names - experts))}",
            )
        elif target not in names:
            problems.add(
                f"--lora_target_modules: this model has no layer `{target}`",
                nearest(target, [*names, ALL_LINEAR]) + f" (it has: {', '.join(sorted(names))})",
            )
    problems.raise_any()
    return [layer for layer in layers if layer.name in targets]


def count_trainable(layers: Iterable[LinearLayer], rank: int) -> int:
    """Parameters of rank-`rank` adapters on these layers: A is [rank, in], B is [out, rank]."""
    return sum(rank * (layer.inputs + layer.outputs) for layer in layers)
