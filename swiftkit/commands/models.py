"""`swiftkit models`: what the registry knows."""

from __future__ import annotations

import json
from typing import Any

from swiftkit import lora, models, sources, weights
from swiftkit.config import ModelsConfig
from swiftkit.errors import Problems, SwiftkitError, unknown
from swiftkit.flags import Given, build
from swiftkit.log import table

CONFIG = ModelsConfig
EPILOG = """\
examples:
  swiftkit models
  swiftkit models qwen 7b
  swiftkit models show qwen2_5-1_5b-instruct --lora_rank 16
  swiftkit models --datasets"""


def run(given: Given, problems: Problems) -> int:
    """List or show; returns the exit code."""
    problems.raise_any()
    config = build(ModelsConfig, given)
    if config.datasets:
        return _datasets(config)
    known = models.entries()
    if config.words[:1] == ["show"]:
        if len(config.words) != 2:
            raise SwiftkitError("`swiftkit models show` takes one name", "`swiftkit models` lists them")
        name = config.words[1]
        if name not in known:
            raise unknown("model", name, known, "`swiftkit models` lists all of them")
        return _show(name, *known[name], config)
    if config.family and config.family not in models.families():
        raise unknown("family", config.family, models.families())
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "family": family.name,
            "parameters": entry.parameters,
            "source": "embedded" if entry.embedded else entry.modelscope or entry.huggingface,
        }
        for name, (family, entry) in known.items()
        if all(word.lower() in name.lower() for word in config.words) and config.family in (None, family.name)
    ]
    if not rows:
        raise SwiftkitError(f"no model has {' and '.join(config.words)} in its name", "`swiftkit models` lists all")
    if config.json_:
        print(json.dumps({"models": rows}))
    else:
        shown = [[r["model"], r["family"], size(r["parameters"]), str(r["source"])] for r in rows]
        print(table(["model", "family", "parameters", "weights from"], shown))
    return 0


def size(parameters: float) -> str:
    """1.54 B, 494 M."""
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M"


def _show(name: str, family: models.Family, entry: models.Entry, config: ModelsConfig) -> int:
    folder = models.folder_of(entry)
    if folder:
        found = lora.layers(weights.inspect(folder, family, trust_remote_code=False).tensors)
    else:
        found = lora.layers_of(entry.config, fused="qkv_proj" in family.lora_targets) if entry.config else []
    trained = lora.trainable(lora.chosen(found, family.lora_targets), config.lora_rank) if found else None
    content: dict[str, Any] = {
        "model": name,
        "family": family.name,
        "parameters": entry.parameters,
        "modelscope": entry.modelscope,
        "huggingface": entry.huggingface,
        "folder": str(folder) if folder else None,
        "template": family.template,
        "architectures": family.architectures,
        "lora_targets": family.lora_targets,
        "lora_rank": config.lora_rank,
        "trainable": trained,
        "dataset": entry.dataset,
        "defaults": entry.defaults,
    }
    if config.json_:
        print(json.dumps(content))
        return 0
    content["parameters"] = size(entry.parameters)
    content["defaults"] = [f"--{key} {value}" for key, value in entry.defaults.items()]
    if trained is not None:
        content["trainable"] = (
            f"{trained:,} with LoRA of rank {config.lora_rank} ({trained / (trained + entry.parameters):.2%})"
        )
    del content["lora_rank"]
    shown = [[key, ", ".join(v) if isinstance(v, list) else str(v)] for key, v in content.items() if v]
    print(table([], shown))
    return 0


def _datasets(config: ModelsConfig) -> int:
    known = {name: e for name, e in sources.entries().items() if all(word in name for word in config.words)}
    if config.json_:
        print(json.dumps({"datasets": [{"dataset": name, **e.model_dump()} for name, e in known.items()]}))
    else:
        print(table(["dataset", "license", "description"], [[n, e.license, e.description] for n, e in known.items()]))
    return 0
