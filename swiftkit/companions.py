"""What stands beside the weights of a merged folder: template, tokenizer, configs, as training had them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from swiftkit import chat, model_folder, tokenization
from swiftkit.checkpoints import Checkpoint

# What a tokenizer needs, and what the licence asks for; code stays behind.
COPIED = (*tokenization.MADE_FROM[:-1], "*.model", "LICENSE*", "NOTICE*")
GENERATION = "generation_config.json"
LONG = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def write(checkpoint: Checkpoint, folder: Path, dtype: str) -> None:
    """Fill `folder` with everything but the weights and their index; these are stored in `dtype`."""
    for path in copied(checkpoint.beside.path):
        shutil.copyfile(path, folder / path.name)
    template = chat_template(checkpoint.wanted.family.template, checkpoint.config.get("system"))
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _config(checkpoint.beside.config, folder, dtype)
    _tokenizer_config(folder, template)
    _generation_config(checkpoint, folder)


def copied(folder: Path) -> list[Path]:
    """Files of a base that a merged folder has as they are."""
    return sorted({path for pattern in COPIED for path in folder.glob(pattern) if path.is_file()})


def chat_template(name: str, system: str | None) -> str:
    """The template as servers want it: without the marks of what is learned, with the system prompt of the training.

    A comment trims the white space around it as the tag did that it stands for.
    """
    plain = chat.plain(chat.path(name).read_text(encoding="utf-8"))
    if system is None:
        return plain
    default = json.dumps([{"role": "system", "content": system}], ensure_ascii=False)
    return (
        "{%- if not messages or messages[0].role != 'system' -%}"
        f"{{%- set messages = {default} + messages -%}}{{%- endif -%}}\n{plain}"
    )


def _config(base: dict[str, Any], folder: Path, dtype: str) -> None:
    # Code stays behind, and a trainer's `use_cache: false`, which is not meant for a server.
    config = {key: value for key, value in base.items() if key not in ("auto_map", "use_cache") or value is True}
    config["torch_dtype" if "torch_dtype" in base else "dtype"] = LONG[dtype]
    write_json(folder / "config.json", config)


def _tokenizer_config(folder: Path, template: str) -> None:
    """Where the base had its template in here, tools that read no chat_template.jinja find ours."""
    file = folder / "tokenizer_config.json"
    if not file.is_file():
        return
    content = model_folder.read_object(file)
    content.pop("auto_map", None)
    if "chat_template" in content:
        content["chat_template"] = template
    write_json(file, content)


def _generation_config(checkpoint: Checkpoint, folder: Path) -> None:
    """The base's, with every token that ends an answer; the learned one first."""
    file = checkpoint.beside.path / GENERATION
    content = model_folder.read_object(file) if file.is_file() else {}
    content.pop("_from_model_config", None)  # with it, transformers may put the config's single stop token back
    tokenizer = tokenization.load(checkpoint.folder.path, as_it_stands=checkpoint.wanted.embedded)
    learned, others, _ = chat.stops(
        chat.load(checkpoint.wanted.family.template), tokenizer, checkpoint.folder.config, content
    )
    content["eos_token_id"] = [*learned, *others] if len(learned) + len(others) != 1 else [*learned, *others][0]
    write_json(folder / GENERATION, content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON object as model folders have it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
