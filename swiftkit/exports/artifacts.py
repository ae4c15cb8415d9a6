"""The files next to the weights of an exported model: chat template, tokenizer, configs, as in training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.chat import template as templates
from swiftkit.chat import tokenizer
from swiftkit.chat.stops import find_stops
from swiftkit.chat.template import Template
from swiftkit.schema import DType
from swiftkit.training.checkpoint import Checkpoint

# What a tokenizer needs, and what the license requires; code stays behind.
COPIED = (*tokenizer.SOURCE_FILES[:-1], "*.model", "LICENSE*", "NOTICE*")
GENERATION = "generation_config.json"


def write(checkpoint: Checkpoint, folder: Path, dtype: DType) -> None:
    """Fill `folder` with everything but the weights and their index; the weights are stored in `dtype`."""
    for path in copied_files(checkpoint.aux_source.path):
        shutil.copyfile(path, folder / path.name)
    text = served_template(checkpoint.context.template, system_prompt(checkpoint))
    (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
    _write_config(checkpoint.aux_source.config, folder, dtype)
    _update_tokenizer_config(folder, text)
    _write_generation_config(checkpoint, folder)


def copied_files(folder: Path) -> list[Path]:
    """Files of a base model that an export has unchanged."""
    return sorted({path for pattern in COPIED for path in folder.glob(pattern) if path.is_file()})


def system_prompt(checkpoint: Checkpoint) -> str | None:
    """The system prompt that was added in training."""
    return checkpoint.settings.system if checkpoint.settings else None


def served_template(template: Template, system: str | None) -> str:
    """The template as servers expect it: without generation tags, with the system prompt of the training as default."""
    text = templates.strip_generation_tags(template.source)
    if system is None:
        return text
    default = json.dumps([{"role": "system", "content": system}], ensure_ascii=False)
    return (
        "{%- if not messages or messages[0].role != 'system' -%}"
        f"{{%- set messages = {default} + messages -%}}{{%- endif -%}}\n{text}"
    )


def _write_config(base: dict[str, Any], folder: Path, dtype: DType) -> None:
    # Code stays behind, and so does a trainer's `use_cache: false`, which is not meant for a server.
    config = {key: value for key, value in base.items() if key not in ("auto_map", "use_cache") or value is True}
    config["torch_dtype" if "torch_dtype" in base else "dtype"] = dtype.torch_name
    files.write_json(folder / "config.json", config, indent=2)


def _update_tokenizer_config(folder: Path, template: str) -> None:
    """If the base has its template in here, tools that do not read chat_template.jinja should find the new one."""
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return
    content = files.read_object(path)
    content.pop("auto_map", None)
    if "chat_template" in content:
        content["chat_template"] = template
    files.write_json(path, content, indent=2)


def _write_generation_config(checkpoint: Checkpoint, folder: Path) -> None:
    """The base's, with every token that ends a response; the trained one first."""
    path = checkpoint.aux_source.path / GENERATION
    content = files.read_object(path) if path.is_file() else {}
    content.pop("_from_model_config", None)  # with it, transformers may restore the config's single stop token
    context = checkpoint.context
    stops = find_stops(context.template, context.tokenizer, checkpoint.folder.config, content)
    content["eos_token_id"] = stops.ids[0] if len(stops.ids) == 1 else stops.ids
    files.write_json(folder / GENERATION, content, indent=2)
