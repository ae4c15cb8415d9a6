"""The registry of model families: `registry/*.yaml`, and which of them a user means."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from swiftkit import assets, chat, paths
from swiftkit.errors import SwiftkitError, nearest, unknown
from swiftkit.schema import Message

logger = logging.getLogger(__name__)


class Entry(BaseModel):
    """One model.

    `config` holds those numbers of its config.json that sizes are computed from; `embedded` names its folder in
    `models/`, if it ships with swiftkit; `defaults` are flags of `sft` that suit it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modelscope: str | None = None
    huggingface: str | None = None
    embedded: str | None = None
    parameters: float
    config: dict[str, int] = {}
    defaults: dict[str, Any] = {}
    dataset: str | None = None


class SwiftNames(BaseModel):
    """What ms-swift 4.6 calls the family and its template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_type: str
    template: str


class Family(BaseModel):
    """One `registry/*.yaml`; `name` is the file's.

    `auto_map` names the code that published folders of this family bring although transformers has the same
    architecture built in; it is passed over. Any other code in a folder is a reason to refuse it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    template: str
    architectures: list[str]
    swift: SwiftNames
    lora_targets: list[str]
    models: dict[str, Entry]
    auto_map: list[str] = []


@dataclass(frozen=True)
class Wanted:
    """The model that a user means: the family, the registry's entry if it is one, and where weights were named."""

    name: str
    family: Family
    entry: Entry | None
    folder: Path | None
    hub_id: str | None = None

    @property
    def embedded(self) -> bool:
        """Whether the weights are those that ship with the registry."""
        return self.entry is not None and self.folder is not None and self.folder == folder_of(self.entry)


@cache
def families() -> dict[str, Family]:
    """Every family of the registry, by name.

    Raises:
        SwiftkitError: a file is not valid, or a model stands in two of them.
    """
    found: dict[str, Family] = {}
    owner: dict[str, Path] = {}
    for name, path in assets.files("registry", ".yaml").items():
        found[name] = _family(name, path)
        for model in found[name].models:
            if model in owner:
                raise SwiftkitError(f"model `{model}` is declared twice: in {owner[model]} and in {path}")
            owner[model] = path
    return found


def _family(name: str, path: Path) -> Family:
    try:
        # CSafeLoader is the same loader in C; the registry is read on every start.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return Family(name=name, **content)
    except (yaml.YAMLError, TypeError, ValueError) as error:  # ValidationError is a ValueError
        raise SwiftkitError(f"{path} is no registry entry: {error}", "docs/registry.md lists its fields") from error


def entries() -> dict[str, tuple[Family, Entry]]:
    """Every model of the registry, by name."""
    return {name: (family, entry) for family in families().values() for name, entry in family.models.items()}


def folder_of(entry: Entry) -> Path | None:
    """Where the weights of an embedded model lie; None for all others."""
    return assets.folder("models", entry.embedded) if entry.embedded else None


def find(model_type: str | None, model_id_or_path: str | None) -> Wanted:
    """The model that the two flags mean.

    Raises:
        SwiftkitError: nothing of that name, a folder that does not fit, or one that fits several families.
    """
    known = entries()
    if model_type is None and model_id_or_path in known:
        model_type, model_id_or_path = model_id_or_path, None
    if model_type is not None and model_type not in known:
        raise unknown("model type", model_type, known, "`swiftkit models` lists all of them")
    if model_type is None and model_id_or_path is None:
        raise SwiftkitError("no model is named", "pass --model_type NAME (`swiftkit models` lists them)")
    if model_id_or_path is None:
        assert model_type is not None
        family, entry = known[model_type]
        return Wanted(model_type, family, entry, folder_of(entry))
    folder = paths.typed(model_id_or_path, "--model_id_or_path")
    if folder.exists():
        return _from_folder(model_type, folder)
    return _from_hub_id(model_type, model_id_or_path)


def _from_folder(model_type: str | None, folder: Path) -> Wanted:
    config = read_config(folder)
    architectures = config.get("architectures") or []
    family = families().get(_origin(folder))
    if model_type is None and family and set(architectures) & set(family.architectures):
        return Wanted(folder.resolve().name, family, None, folder)
    if model_type is not None:
        family, entry = entries()[model_type]
        if not set(architectures) & set(family.architectures):
            others = [name for name, f in families().items() if set(architectures) & set(f.architectures)]
            raise SwiftkitError(
                f"{folder} holds a {_listed(architectures)}, but {model_type} is a {_listed(family.architectures)}",
                f"this folder belongs to: {', '.join(others)} (`swiftkit models`)" if others else None,
            )
        return Wanted(model_type, family, entry, folder)
    fitting = [f for f in families().values() if set(architectures) & set(f.architectures)]
    if not fitting:
        raise SwiftkitError(
            f"{folder} holds a {_listed(architectures)}, which no family of the registry has",
            "add a family with one file: docs/registry.md",
        )
    names = ", ".join(f"{next(iter(f.models))} ({f.name})" for f in fitting)
    theirs = _template(folder)
    if theirs is None:
        raise SwiftkitError(
            f"{folder} holds a {_listed(architectures)} without a chat template: is it a base model?",
            f"pass --model_type, one of the family whose chat format it shall learn: {names}",
        )
    matching = _alike(theirs, fitting)
    if len(matching) != 1 < len(fitting):
        raise SwiftkitError(
            f"{folder} holds a {_listed(architectures)} whose chat template does not tell its family",
            f"pass --model_type, one of a fitting family: {names}",
        )
    if not matching:
        logger.warning(
            "note: the chat template in %s is not that of family %s, which is used; "
            "for another family say --model_type",
            folder,
            fitting[0].name,
        )
    return Wanted(folder.resolve().name, (matching or fitting)[0], None, folder)


def _origin(folder: Path) -> str:
    """The family that swiftkit.json of a merged folder names; empty where there is none."""
    file = folder / "swiftkit.json"
    return str(read_object(file, "export it again").get("family")) if file.is_file() else ""


def _from_hub_id(model_type: str | None, hub_id: str) -> Wanted:
    if hub_id.startswith((".", "/", "~")) or hub_id.count("/") != 1:
        raise SwiftkitError(
            f"the model folder {hub_id} does not exist", "--model_id_or_path takes a folder or org/name"
        )
    if model_type is not None:
        family, entry = entries()[model_type]
        return Wanted(model_type, family, entry, None, hub_id)
    by_id = {
        spelled.lower(): name
        for name, (_, entry) in entries().items()
        for spelled in (entry.modelscope, entry.huggingface)
        if spelled
    }
    if hub_id.lower() not in by_id:
        hint = nearest(hub_id.lower(), by_id, "a model of a known family works with --model_type beside it")
        raise SwiftkitError(f"there is no folder {hub_id}, and the registry has no model of that hub id", hint)
    name = by_id[hub_id.lower()]
    family, entry = entries()[name]
    return Wanted(name, family, entry, None, hub_id)


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's config.json.

    Raises:
        SwiftkitError: this is no folder of a model.
    """
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


def _listed(names: list[str]) -> str:
    return "/".join(names) or "model of unnamed architecture"


PROBE: list[Message] = [
    {"role": "user", "content": "a\n b"},
    {"role": "assistant", "content": "c"},
    {"role": "user", "content": "d"},
    {"role": "assistant", "content": "e"},
]


def _alike(theirs: chat.Template, fitting: list[Family]) -> list[Family]:
    """The families whose template prompts like a model folder's; of several, those that also end like it."""
    for messages in (PROBE[:-1], PROBE):
        prompts = messages[-1]["role"] == "user"
        try:
            text = theirs.render(messages, add_generation_prompt=prompts)
        except (SwiftkitError, TypeError):
            return []
        matching = [f for f in fitting if chat.load(f.template).render(messages, add_generation_prompt=prompts) == text]
        if len(matching) < 2:
            return matching
        fitting = matching
    return fitting


def _template(folder: Path) -> chat.Template | None:
    """The chat template of a model folder; None where there is none."""
    file, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    try:
        source: Any = file.read_text(encoding="utf-8") if file.is_file() else None
    except UnicodeDecodeError as error:
        raise SwiftkitError(f"{file} is broken: {error}", "download the model again") from error
    tokens: dict[str, Any] = {}
    if settings.is_file():
        tokens = read_object(settings)
        source = source or tokens.get("chat_template")
    if isinstance(source, list):  # several, each with its name
        source = next((t.get("template") for t in source if isinstance(t, dict) and t.get("name") == "default"), None)
    if not isinstance(source, str):
        return None
    made = chat.compile(source, str(folder), lenient=True)
    for key in ("bos_token", "eos_token"):
        made.compiled.globals[key] = _token(tokens.get(key))
    return made


def _token(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
