"""What a model folder says of itself: its config.json, and its chat template beside those of swiftkit."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swiftkit import chat
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Message


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json.

    Raises:
        SwiftkitError: this is no folder of a model.
    """
    if not folder.exists():
        raise SwiftkitError(f"the model folder {folder} does not exist")
    if not folder.is_dir():
        raise SwiftkitError(f"{folder} is a file, not a model folder")
    if (folder / "adapter_config.json").is_file():
        raise SwiftkitError(f"{folder} is an adapter, not a model", "name the base model that it was trained on")
    path = folder / "config.json"
    if not path.is_file():
        held = sorted(p.name for p in folder.iterdir())[:8]
        raise SwiftkitError(
            f"{folder} is no model folder: it has no config.json",
            f"it holds: {', '.join(held)}" if held else "it is empty",
        )
    config = read_object(path)
    names, limit = config.get("architectures") or [], config.get("max_position_embeddings")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SwiftkitError(f"{path}: architectures is no list of names", "download the model again")
    if limit is not None and not isinstance(limit, int):
        raise SwiftkitError(f"{path}: max_position_embeddings is no number", "download the model again")
    return config


def built_in(architectures: Iterable[str]) -> bool:
    """Whether transformers has one of the architectures built in; others need code of the folder's own."""
    spec = find_spec("transformers")  # found, not imported
    for place in (spec.submodule_search_locations or [])[:1] if spec else []:
        listed = Path(place, "models", "auto", "modeling_auto.py").read_text(encoding="utf-8")
        return any(f'"{name}"' in listed for name in architectures)
    return True


def read_object(path: Path, hint: str = "download the model again") -> dict[str, Any]:
    """The JSON object in a file of a model folder.

    Raises:
        SwiftkitError: it is none; `hint` is the way out.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SwiftkitError(f"{path} is broken: {error}", hint) from error
    if not isinstance(content, dict):
        raise SwiftkitError(f"{path} is broken: it holds no JSON object", hint)
    return content


logger = logging.getLogger(__name__)
PROBE: list[Message] = [
    {"role": "user", "content": "a\n b"},
    {"role": "assistant", "content": "c"},
    {"role": "user", "content": "d"},
    {"role": "assistant", "content": "e"},
]


def alike(theirs: chat.Template, names: Iterable[str]) -> list[str]:
    """Those of our chat templates that ask a first question like a model folder's.

    Of several it is those that also render an earlier answer like it, and of these those that also end like it.
    """
    fitting = [name for name in dict.fromkeys(names) if _sound(name)]
    for length in (1, 3, 4):
        text = _rendered(theirs, length)
        matching = [name for name in fitting if text is not None and _rendered(chat.load(name), length) == text]
        if not matching:
            return [] if length == 1 else fitting
        fitting = matching
    return fitting


def _sound(name: str) -> bool:
    """Whether the template can be used; a broken one of somebody's is told and left out."""
    try:
        chat.load(name)
    except SwiftkitError as error:
        logger.warning("left out: %s", error)
        return False
    return True


def remembers_alike(theirs: chat.Template, name: str) -> bool:
    """Whether our template of that name also shows an earlier answer like a model folder's, white space aside."""
    texts = (_rendered(theirs, 3) or "", _rendered(chat.load(name), 3) or "")
    return "".join(texts[0].split()) == "".join(texts[1].split())


def ends_alike(theirs: chat.Template, name: str) -> bool:
    """Whether our template of that name renders all of a conversation like a model folder's."""
    return _sound(name) and all(_rendered(theirs, n) == _rendered(chat.load(name), n) for n in (1, 3, 4))


def _rendered(template: chat.Template, length: int) -> str | None:
    """The first messages of `PROBE`; None where the template refuses them."""
    messages = PROBE[:length]
    try:
        return template.render(messages, add_generation_prompt=messages[-1]["role"] == "user")
    except SwiftkitError:
        return None


@dataclass(frozen=True)
class Own:
    """The chat template that a model folder brings, and the special tokens that transformers hands to it."""

    source: str
    tokens: dict[str, str]


def own_template(folder: Path) -> Own | None:
    """The chat template of a model folder; None where there is none.

    Raises:
        SwiftkitError: a file of it is broken.
    """
    file, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    try:
        source: Any = file.read_text(encoding="utf-8") if file.is_file() else None
    except UnicodeDecodeError as error:
        raise SwiftkitError(f"{file} is broken: {error}", "download the model again") from error
    tokens = read_object(settings) if settings.is_file() else {}
    source = source or tokens.get("chat_template")
    if isinstance(source, list):  # several, each with its name
        source = next((t.get("template") for t in source if isinstance(t, dict) and t.get("name") == "default"), None)
    if not isinstance(source, str):
        return None
    named = {key: _token(tokens.get(key)) for key in chat.TOKENS}
    return Own(source, {key: text for key, text in named.items() if text})


def template(folder: Path) -> chat.Template | None:
    """The chat template of a model folder, ready to render; None where there is none.

    Raises:
        SwiftkitError: a file of it is broken, or it is no valid Jinja.
    """
    own = own_template(folder)
    if own is None:
        return None
    made = chat.compile(own.source, str(folder))
    made.compiled.globals.update(own.tokens)
    return made


def _token(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
