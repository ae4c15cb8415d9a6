"""What a model folder declares: its config.json and its chat template."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.chat import template as chat_template
from swiftkit.chat.template import Template
from swiftkit.errors import SwiftkitError


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json.

    Raises:
        SwiftkitError: the folder does not hold a model.
    """
    if not folder.exists():
        raise SwiftkitError(f"the model folder {folder} does not exist")
    if not folder.is_dir():
        raise SwiftkitError(f"{folder} is a file, not a model folder")
    if (folder / "adapter_config.json").is_file():
        raise SwiftkitError(f"{folder} is an adapter, not a model", "name the base model that it was trained on")
    path = folder / "config.json"
    if not path.is_file():
        content = sorted(p.name for p in folder.iterdir())[:8]
        raise SwiftkitError(
            f"{folder} is not a model folder: it has no config.json",
            f"it contains: {', '.join(content)}" if content else "it is empty",
        )
    config = files.read_object(path)
    names, limit = config.get("architectures") or [], config.get("max_position_embeddings")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SwiftkitError(f"{path}: architectures is not a list of names", "download the model again")
    if limit is not None and not isinstance(limit, int):
        raise SwiftkitError(f"{path}: max_position_embeddings is not a number", "download the model again")
    return config


def is_built_in(architectures: Iterable[str]) -> bool:
    """Whether transformers has one of the architectures built in; others need code from the folder."""
    spec = find_spec("transformers")  # found, not imported
    for place in (spec.submodule_search_locations or [])[:1] if spec else []:
        listed = Path(place, "models", "auto", "modeling_auto.py").read_text(encoding="utf-8")
        return any(f'"{name}"' in listed for name in architectures)
    return True


def eos_token(folder: Path) -> str:
    """The end-of-sequence token in tokenizer_config.json; empty if it names none."""
    path = folder / "tokenizer_config.json"
    return _token_text(files.read_object(path).get("eos_token")) if path.is_file() else ""


@dataclass(frozen=True)
class FolderTemplate:
    """The chat template in a model folder, and the special tokens that transformers passes to it."""

    source: str
    tokens: dict[str, str]


def read_template(folder: Path) -> FolderTemplate | None:
    """The chat template of a model folder; None if it has none.

    Raises:
        SwiftkitError: a file of it is broken.
    """
    path, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    try:
        source: Any = path.read_text(encoding="utf-8") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise SwiftkitError(f"{path} is broken: {error}", "download the model again") from error
    tokenizer_config = files.read_object(settings) if settings.is_file() else {}
    source = source or tokenizer_config.get("chat_template")
    if isinstance(source, list):  # several templates, each with a name
        source = next((t.get("template") for t in source if isinstance(t, dict) and t.get("name") == "default"), None)
    if not isinstance(source, str):
        return None
    tokens = {key: _token_text(tokenizer_config.get(key)) for key in chat_template.SPECIAL_TOKEN_VARIABLES}
    return FolderTemplate(source, {key: text for key, text in tokens.items() if text})


def compile_template(folder: Path) -> Template | None:
    """The chat template of a model folder, ready to render; None if it has none.

    Raises:
        SwiftkitError: a file of it is broken, or it is not valid Jinja.
    """
    own = read_template(folder)
    if own is None:
        return None
    template = chat_template.compile(own.source, str(folder))
    template.compiled.globals.update(own.tokens)
    return template


def _token_text(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
