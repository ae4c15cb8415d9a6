"""Which layers a LoRA adapter sits on, and how many numbers it trains; computed without torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from swiftkit.errors import Problems, nearest

ALL_LINEAR = "all-linear"
_EXPERT = re.compile(r"\.experts\.")
_NO_LINEAR = re.compile(r"(embed|lm_head|norm|\.gate\.weight$|rotary)")


@dataclass(frozen=True)
class Layer:
    """A linear layer: the last part of its name, its width in and out, whether it is one of a mixture's experts."""

    name: str
    inputs: int
    outputs: int
    expert: bool = False


def layers(tensors: dict[str, list[int]]) -> list[Layer]:
    """The linear layers behind the tensors of a model folder (weights have shape [out, in])."""
    return [
        Layer(name.split(".")[-2], shape[1], shape[0], bool(_EXPERT.search(name)))
        for name, shape in tensors.items()
        if name.endswith(".weight") and len(shape) == 2 and not _NO_LINEAR.search(name)
    ]


def layers_of(config: dict[str, int], fused: Collection[str] = ()) -> list[Layer]:
    """The linear layers of a decoder with these sizes, for a model whose weights are not here.

    Args:
        config: numbers under their names in config.json.
        fused: layers of these names stand for several: `qkv_proj` (Phi-3), `gate_up_proj` (Phi-3, GLM-4).
    """
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    size = config.get("head_dim", hidden // heads)
    query, key = heads * size, config.get("num_key_value_heads", heads) * size
    found: list[Layer] = []
    for index in range(config["num_hidden_layers"]):
        # Of a mixture, the layers from the start index on have experts in place of the dense block; one stands for all.
        mixture = index >= config.get("moe_layer_start_index", config["num_hidden_layers"])
        inner = config["moe_intermediate_size"] if mixture else config["intermediate_size"]
        if "qkv_proj" in fused:
            found += [Layer("qkv_proj", hidden, query + 2 * key)]
        else:
            found += [Layer("q_proj", hidden, query), Layer("k_proj", hidden, key), Layer("v_proj", hidden, key)]
        if "gate_up_proj" in fused:
            found += [Layer("gate_up_proj", hidden, 2 * inner, mixture)]
        else:
            found += [Layer("gate_proj", hidden, inner, mixture), Layer("up_proj", hidden, inner, mixture)]
        found += [Layer("o_proj", query, hidden), Layer("down_proj", inner, hidden, mixture)]
    return found


def chosen(found: Iterable[Layer], targets: list[str]) -> list[Layer]:
    """Those of the layers that `targets` name.

    Raises:
        SwiftkitError: for every target that names no layer (PEFT would train the others and say nothing), and for
            those that name experts: transformers 5 fuses them, and PEFT gives all of them an adapter of
            `experts * rank`, and none to the dense and shared layers of that name.
    """
    found = list(found)
    names = {layer.name for layer in found}
    experts = {layer.name for layer in found if layer.expert}
    if targets == [ALL_LINEAR] and not experts:
        return found
    problems = Problems()
    for target in targets:
        if target == ALL_LINEAR and len(targets) > 1:
            problems.add(f"--lora_target_modules: {ALL_LINEAR} means every layer, so it stands alone")
        elif target in experts or (experts and target == ALL_LINEAR):
            problems.add(
                f"--lora_target_modules: `{target}` reaches the experts of this mixture, all of them at once",
                f"train its attention: {' '.join(sorted(names - experts))}",
            )
        elif target not in names:
            problems.add(
                f"--lora_target_modules: this model has no layer `{target}`",
                nearest(target, [*names, ALL_LINEAR]) + f" (it has: {', '.join(sorted(names))})",
            )
    problems.raise_any()
    return [layer for layer in found if layer.name in targets]


def trainable(on: Iterable[Layer], rank: int) -> int:
    """Parameters of rank-`rank` adapters on these layers: A is [rank, in], B is [out, rank]."""
    return sum(rank * (layer.inputs + layer.outputs) for layer in on)
