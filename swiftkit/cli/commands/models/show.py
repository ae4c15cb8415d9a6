"""`swiftkit models show NAME`: one model."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from swiftkit.chat import template
from swiftkit.cli.commands.models.listing import SEE_LIST, format_size
from swiftkit.errors import SwiftkitError
from swiftkit.models import folder, lora, weights
from swiftkit.models.catalog import CatalogModel
from swiftkit.models.registry import Family, ModelEntry
from swiftkit.models.resolve import catalog_entry, get_model
from swiftkit.system.console import table


def run(words: list[str], *, rank: int, as_json: bool) -> int:
    """Print what registry or catalog have about one model."""
    if len(words) != 1:
        raise SwiftkitError("`swiftkit models show` takes one name", SEE_LIST)
    if model := catalog_entry(words[0]):
        content = _of_catalog(model)
        print(json.dumps(content) if as_json else _as_table(content))
        return 0
    name, family, entry = get_model(words[0])
    content = _of_registry(name, family, entry, rank)
    print(json.dumps(content) if as_json else _as_table(_for_people(content)))
    return 0


def _of_registry(name: str, family: Family, entry: ModelEntry, rank: int) -> dict[str, Any]:
    if entry.folder:
        tensors = weights.load_model_folder(entry.folder, family, trust_remote_code=False).tensors
        layers = lora.layers_from_tensors(tensors)
    else:
        layers = lora.layers_from_config(entry.config, family.lora_targets) if entry.config else []
    selected = lora.select_layers(layers, family.lora_targets) if layers else []
    prompt = template.load(family.template).render([{"role": "user", "content": "…"}], add_generation_prompt=True)
    return {
        "model": name,
        "family": family.name,
        "level": family.level_of(name),
        "parameters": entry.parameters,
        "modelscope": entry.modelscope,
        "huggingface": entry.huggingface,
        "folder": str(entry.folder) if entry.folder else None,
        "template": family.template,
        "prompt": prompt,
        "template_notes": family.template_notes,
        "architectures": family.architectures,
        "lora_targets": family.lora_targets,
        "lora_rank": rank,
        "trainable": lora.count_trainable(selected, rank) if layers else None,
        "dataset": entry.dataset,
        "defaults": entry.defaults,
    }


def _for_people(content: dict[str, Any]) -> dict[str, Any]:
    """The content with numbers and texts formatted for the terminal."""
    rank, trainable, parameters = content["lora_rank"], content["trainable"], content["parameters"]
    shown = {key: value for key, value in content.items() if key not in ("lora_rank", "template_notes")}
    shown["prompt"] = repr(content["prompt"])[1:-1]
    shown["template notes"] = textwrap.fill(content["template_notes"], 88).replace("\n", "\n" + " " * 16)
    shown["parameters"] = format_size(parameters)
    shown["defaults"] = [f"--{key} {value}" for key, value in content["defaults"].items()]
    if trainable is not None and parameters:
        share = trainable / (trainable + parameters)
        shown["trainable"] = f"{trainable:,} with LoRA of rank {rank} ({share:.2%})"
    return shown


def _of_catalog(model: CatalogModel) -> dict[str, Any]:
    """A model that ms-swift trains and swiftkit has no family for."""
    return {
        "model": model.name,
        "level": "catalog",
        "support": _support(model),
        "modelscope": model.modelscope,
        "huggingface": model.huggingface,
        "former_ids": list(model.former_ids),
        "architectures": list(model.architectures),
        "ms_swift": f"type {model.swift_type}, template {model.swift_template}",
    }


def _support(model: CatalogModel) -> str:
    if model.is_multimodal:
        return "multimodal; swiftkit trains on text only"
    if model.is_quantized:
        return "quantized weights; training on those is not supported yet"
    if model.is_base:
        return (
            "a base model without a chat format: choose one with --model_type, and name the model with "
            "--model_id_or_path"
        )
    if folder.is_built_in(model.architectures):
        return "ms-swift trains it; `swiftkit models import` creates a family from its folder"
    return "ms-swift trains it, with code of its own; transformers lacks its architecture"


def _as_table(content: dict[str, Any]) -> str:
    rows = [[key.replace("_", " "), ", ".join(v) if isinstance(v, list) else str(v)] for key, v in content.items() if v]
    return table([], rows)
