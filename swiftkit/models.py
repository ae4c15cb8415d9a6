"""The registry of model families: `registry/*.yaml`, and which of them a user means."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from swiftkit import assets, catalogue, model_folder, paths
from swiftkit.catalogue import Known
from swiftkit.errors import SwiftkitError, nearest, unknown
from swiftkit.flags import Loader

FIELDS = "docs/registry.md lists the fields"
SIZES = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "vocab_size")
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
    parameters: float | None = None
    config: dict[str, int] = {}
    defaults: dict[str, Any] = {}
    dataset: str | None = None

    @field_validator("config")
    @classmethod
    def _sizes_are_whole(cls, config: dict[str, int]) -> dict[str, int]:
        missing = [key for key in SIZES if key not in config] if config else []
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}")
        return config


class SwiftNames(BaseModel):
    """What ms-swift 4.6 calls the family and its template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_type: str
    template: str


class Family(BaseModel):
    """One `registry/*.yaml`; `name` is the file's.

    `level` says what is known of its tokens: `proven` when they are those of a published rendering and of ms-swift's
    encoder, `consistent` when training, exam and export agree and nobody has published renderings to compare with.
    `special_tokens` are what its template writes as tokens of their own; a tokenizer without one is refused.
    `differs` says where ms-swift's own template parts from this one, and why this one is kept.
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
    special_tokens: list[str] = []
    level: Literal["proven", "consistent"] = "consistent"
    differs: str = ""
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


@dataclass(frozen=True)
class Broken:
    """Files of `registry/` of which something is left out, why, and the models that are missing for it."""

    paths: tuple[Path, ...]
    error: SwiftkitError
    models: tuple[str, ...] = ()


def families() -> dict[str, Family]:
    """Every sound family of the registry, by name."""
    return _registry(assets.named())[0]


def broken() -> list[Broken]:
    """The files of the registry that are left out; they harm only those who ask for what is in them."""
    return _registry(assets.named())[1]


@cache
def _registry(named: tuple[str | None, ...]) -> tuple[dict[str, Family], list[Broken], list[Family]]:
    """All sound families, what is left out, and those that are swiftkit's own; read once for the same folders."""
    found: dict[str, Family] = {}
    left_out: list[Broken] = []
    owners: dict[str, list[Path]] = {}
    templates = assets.claims("templates", ".jinja")
    claimed, shipped = assets.claims("registry", ".yaml"), assets.roots("registry")["swiftkit"]
    for name, files in claimed.items():
        declared: list[str] = []
        try:
            contents = [_content(file) for file in files]
            declared = [str(m) for c in contents if isinstance(c.get("models"), dict) for m in c["models"]]
            file = assets.one("registry", name, files)
            found[name] = _family(name, contents[0], file, templates)
            for model in found[name].models:
                owners.setdefault(model, []).append(files[0])
        except SwiftkitError as error:
            left_out.append(Broken(tuple(files), error, tuple(declared)))
    for model, files in owners.items():
        if len(files) > 1:
            places = " and ".join(map(str, files))
            twice = SwiftkitError(f"model `{model}` is declared twice: in {places}", "rename one of the two")
            left_out.append(Broken(tuple(files), twice, (model,)))
            for family in found.values():
                family.models.pop(model, None)
    own = [found[name] for name, files in claimed.items() if name in found and files[0].parent == shipped]
    return found, left_out, own


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except (yaml.YAMLError, ValueError) as error:  # text that is no UTF-8 is a ValueError
        raise SwiftkitError(f"{path} is no YAML: {error}", FIELDS) from error
    except OSError as error:
        raise SwiftkitError(f"{path} cannot be read: {error.strerror}", FIELDS) from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SwiftkitError(f"{path} is no registry entry: it holds no fields", FIELDS)
    return content


def _family(name: str, content: dict[str, Any], path: Path, templates: Iterable[str]) -> Family:
    try:
        family = Family(**{**content, "name": name})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg'].lower()}" for e in error.errors())
        raise SwiftkitError(f"{path} is no registry entry: {wrong}", FIELDS) from error
    if path.parent != assets.roots("registry")["swiftkit"]:  # proofs are in swiftkit's own tests, for its own files
        family = family.model_copy(update={"level": "consistent"})
    if family.template not in templates:
        raise SwiftkitError(
            f"{path}: there is no template `{family.template}`", nearest(family.template, templates, FIELDS)
        )
    return family


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
    if model_type is None and model_id_or_path and _name(model_id_or_path) and not Path(model_id_or_path).exists():
        model_type, model_id_or_path = model_id_or_path, None
    if model_type is None and model_id_or_path is None:
        raise SwiftkitError("no model is named", "pass --model_type NAME (`swiftkit models` lists them)")
    if model_id_or_path is None:
        assert model_type is not None
        name, family, entry = named(model_type)
        return Wanted(name, family, entry, folder_of(entry))
    folder = paths.typed(model_id_or_path, "--model_id_or_path")
    if folder.exists():
        return _from_folder(model_type, folder)
    return _from_hub_id(model_type, model_id_or_path)


def _name(spelled: str) -> str | None:
    """How the registry or the catalogue spells a model's name, which may be typed in any case."""
    for names in (entries(), catalogue.models()):
        for candidate in (spelled, spelled.lower()):
            if candidate in names:
                return candidate
    return None


def _name_or_id(spelled: str) -> str | None:
    """The name of a model that is called by its name or by a hub id, in any case."""
    return _name(spelled) or by_id().get(spelled.lower()) or catalogue.by_id().get(spelled.lower())


def named(model_type: str) -> tuple[str, Family, Entry]:
    """The model of that name, with its family; the registry's own, or one of the catalogue that belongs to a family.

    Raises:
        SwiftkitError: there is none, or ms-swift knows it and swiftkit has no family for it.
    """
    _refuse_broken(model_type)
    known, name = entries(), _name_or_id(model_type)
    if name is None:
        for left_out in broken():
            logger.warning("left out: %s", left_out.error)
        names = [*known, *catalogue.models()]
        raise unknown("model type", model_type, names, "`swiftkit models` lists all of them")
    if name not in known:  # the same model may stand in the registry under a name of its own
        found = catalogue.models()[name]
        name = next((n for i in (found.modelscope, found.huggingface) if i and (n := by_id().get(i.lower()))), name)
    return (name, *known[name]) if name in known else (name, *_of_catalogue(catalogue.models()[name]))


def _refuse_broken(model_type: str) -> None:
    for left_out in broken():
        missing = (model.lower() for model in left_out.models if model not in entries())
        if model_type.lower() in missing:
            raise left_out.error


def catalogued(model_type: str) -> Known | None:
    """The model of that name where only the catalogue has it: no family of the registry fits, or it is multimodal.

    Raises:
        SwiftkitError: the registry's file that should have it is broken.
    """
    _refuse_broken(model_type)
    name = _name_or_id(model_type)
    known = catalogue.models().get(name) if name and name not in entries() else None
    return known if known and (known.multimodal or family_of(known) is None) else None


def level(family: Family, name: str) -> str:
    """`proven` or `consistent`: of a model in the registry its family's; of others, whose template was not compared."""
    return family.level if name in family.models else "consistent"


def _of_catalogue(known: Known) -> tuple[Family, Entry]:
    family = family_of(known)
    if known.multimodal:
        raise SwiftkitError(
            f"{known.name} is multimodal, and swiftkit trains on text alone",
            f"ms-swift trains it: swift sft --model {known.modelscope or known.huggingface}",
        )
    if known.quantised:
        plain = _unquantised(known)
        raise SwiftkitError(
            f"{known.name} has quantised weights, and training on those is not offered yet",
            f"the same model unquantised: --model_type {plain}" if plain else "take the unquantised model",
        )
    if known.base and (formats := _pair(known)):
        chats = ", ".join(f"{next(iter(f.models), f.name)} ({f.name})" for f in formats)
        raise SwiftkitError(
            f"{known.name} is a base model, which has learned no chat format",
            f"which shall it learn? --model_id_or_path {known.modelscope or known.huggingface} --model_type, one of: "
            f"{chats}",
        )
    if family is None:
        raise SwiftkitError(
            f"{known.name} is known to ms-swift (type {known.swift_type}, template {known.swift_template}), "
            "but swiftkit has no family for it, so nobody could check what it would be trained on",
            f"make one from its own chat template: swiftkit models fetch {known.name} ./model; "
            "swiftkit models adopt ./model ./mine"
            if model_folder.built_in(known.architectures)
            else "transformers lacks its architecture; ms-swift trains it: "
            f"swift sft --model {known.modelscope or known.huggingface}",
        )
    return family, Entry(modelscope=known.modelscope, huggingface=known.huggingface)


def _unquantised(known: Known) -> str | None:
    """The model of the catalogue that a quantised one was made of: the longest name that this one begins with."""
    fitting = [name for name, other in catalogue.models().items() if not other.quantised]
    return max((name for name in fitting if known.name.startswith(name)), key=len, default=None)


def family_of(known: Known) -> Family | None:
    """The family of swiftkit's own that a model of the catalogue belongs to, if it is one and one alone.

    A quantised model belongs to none, nor does a base model, which has learned no format.
    """
    fitting = _pair(known)
    return fitting[0] if len(fitting) == 1 and not (known.quantised or known.base) else None


def _pair(known: Known) -> list[Family]:
    """swiftkit's own families with the type and template that ms-swift has for a model."""
    own, pair = _registry(assets.named())[2], (known.swift_type, known.swift_template)
    return [f for f in own if (f.swift.model_type, f.swift.template) == pair]


def _from_folder(model_type: str | None, folder: Path) -> Wanted:
    config = model_folder.read_config(folder)
    architectures = config.get("architectures") or []
    family = families().get(_origin(folder))
    if model_type is None and family and set(architectures) & set(family.architectures):
        return Wanted(folder.resolve().name, family, None, folder)
    if model_type is not None:
        model_type, family, entry = named(model_type)
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
            f"swiftkit models adopt {folder} ./mine makes one from its own chat template",
        )
    names = ", ".join(f"{next(iter(f.models), f.name)} ({f.name})" for f in fitting)
    theirs = model_folder.template(folder)
    if theirs is None:
        raise SwiftkitError(
            f"{folder} holds a {_listed(architectures)} without a chat template: is it a base model?",
            f"pass --model_type, one of the family whose chat format it shall learn: {names}",
        )
    alike = model_folder.alike(theirs, [f.template for f in fitting])
    matching = [f for f in fitting if f.template in alike]
    if len(matching) != 1 < len(fitting):
        raise SwiftkitError(
            f"{folder} holds a {_listed(architectures)} whose chat template does not tell its family",
            f"swiftkit models adopt {folder} ./mine makes a family from it; or pass --model_type, one of: {names}",
        )
    if not matching:
        logger.warning(
            "note: the chat template in %s is not that of family %s, which is used; "
            "another one: --model_type; its own: swiftkit models adopt %s ./mine",
            folder,
            fitting[0].name,
            folder,
        )
    elif not model_folder.remembers_alike(theirs, matching[0].template):
        logger.warning(
            "note: the chat template in %s shows earlier answers in another way than family %s, which is used",
            folder,
            matching[0].name,
        )
    return Wanted(folder.resolve().name, (matching or fitting)[0], None, folder)


def _origin(folder: Path) -> str:
    """The family that swiftkit.json of a merged folder names; empty where there is none."""
    file = folder / "swiftkit.json"
    return str(model_folder.read_object(file, "export it again").get("family")) if file.is_file() else ""


def _from_hub_id(model_type: str | None, hub_id: str) -> Wanted:
    if hub_id.startswith((".", "/", "~")) or hub_id.count("/") != 1:
        raise SwiftkitError(
            f"the model folder {hub_id} does not exist", "--model_id_or_path takes a folder or org/name"
        )
    if model_type is not None:
        model_type, family, entry = named(model_type)
        return Wanted(model_type, family, entry, None, hub_id)
    ids = {**catalogue.by_id(), **by_id()}
    if hub_id.lower() not in ids:
        hint = nearest(hub_id.lower(), ids, "a model of a known family works with --model_type beside it")
        raise SwiftkitError(f"there is no folder {hub_id}, and neither registry nor catalogue has that hub id", hint)
    name, family, entry = named(ids[hub_id.lower()])
    return Wanted(name, family, entry, None, hub_id)


def by_id() -> dict[str, str]:
    """Hub ids of the registry's models, in small letters, each with the model's name."""
    return {
        hub_id.lower(): name
        for name, (_, entry) in entries().items()
        for hub_id in (entry.modelscope, entry.huggingface)
        if hub_id
    }


def _listed(names: list[str]) -> str:
    return "/".join(names) or "model of unnamed architecture"
