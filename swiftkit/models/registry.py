"""The registry of model families: `registry/*.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from swiftkit import assets, files
from swiftkit.errors import SwiftkitError, nearest, validation_reasons

FIELDS_HINT = "docs/registry.md lists the fields"
FORMER_FIELDS = {"differs": "template_notes", "embedded": "bundled"}
REQUIRED_SIZES = ("hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "vocab_size")


class ModelEntry(BaseModel):
    """One model of a family.

    Attributes:
        modelscope, huggingface: hub ids.
        bundled: folder in `models/`, if the weights ship with swiftkit.
        parameters: number of parameters.
        config: those numbers of its config.json that sizes are computed from.
        defaults: `sft` options that suit this model.
        dataset: the training data to use if none is named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modelscope: str | None = None
    huggingface: str | None = None
    bundled: str | None = None
    parameters: float | None = None
    config: dict[str, int] = {}
    defaults: dict[str, Any] = {}
    dataset: str | None = None

    @field_validator("config")
    @classmethod
    def _sizes_are_complete(cls, config: dict[str, int]) -> dict[str, int]:
        missing = [key for key in REQUIRED_SIZES if key not in config] if config else []
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}")
        return config

    @property
    def hub_ids(self) -> list[str]:
        """Its ids on both hubs, without repetition."""
        return [i for i in dict.fromkeys((self.modelscope, self.huggingface)) if i]

    @property
    def folder(self) -> Path | None:
        """Folder of the weights, if they are bundled."""
        return assets.folder("models", self.bundled) if self.bundled else None


class SwiftNames(BaseModel):
    """What ms-swift 4.6 calls the family and its template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_type: str
    template: str


class Family(BaseModel):
    """One `registry/*.yaml`.

    Attributes:
        name: the file's stem.
        template: name of the chat template.
        architectures: as in config.json.
        swift: ms-swift's names.
        lora_targets: the default target modules, by the last part of their names.
        models: the family's models, by name.
        special_tokens: what the template writes as single tokens; a tokenizer without one of them is refused.
        level: `verified` if its prompts equal published renderings and its tokens ms-swift's; `consistent` if
            training, exam and export agree and there is nothing published to compare with.
        template_notes: where ms-swift's own template differs from this one, and why this one is used.
        auto_map: code in published folders of this family that is ignored, because transformers has the same
            architecture built in. Other code in a folder is a reason to refuse it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    template: str
    architectures: list[str]
    swift: SwiftNames
    lora_targets: list[str]
    models: dict[str, ModelEntry]
    special_tokens: list[str] = []
    level: Literal["verified", "consistent"] = "consistent"
    template_notes: str = ""
    auto_map: list[str] = []

    def level_of(self, name: str) -> str:
        """Level of a model; a model of the catalog, whose own template was not compared, is `consistent` at most."""
        return self.level if name in self.models else "consistent"


@dataclass(frozen=True)
class ResolvedModel:
    """The model that a user means.

    Attributes:
        name: its name in registry or catalog, or the folder's.
        family: its family.
        entry: its registry entry, if it has one.
        folder: its weights, if they are bundled or the user named a folder.
        hub_id: the hub id that the user typed, if it was one.
    """

    name: str
    family: Family
    entry: ModelEntry | None
    folder: Path | None
    hub_id: str | None = None

    @property
    def is_bundled(self) -> bool:
        """Whether the weights are those that ship with swiftkit."""
        return self.entry is not None and self.folder is not None and self.folder == self.entry.folder


@dataclass(frozen=True)
class InvalidFamily:
    """Registry files that are skipped, in whole or in part: why, and which models are missing as a result."""

    paths: tuple[Path, ...]
    error: SwiftkitError
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Registry:
    families: dict[str, Family]
    skipped: list[InvalidFamily]
    shipped: list[Family]  # those of swiftkit itself


def families() -> dict[str, Family]:
    """Every valid family of the registry, by name."""
    return _read(assets.search_paths_key()).families


def shipped() -> list[Family]:
    """swiftkit's own families."""
    return _read(assets.search_paths_key()).shipped


def skipped() -> list[InvalidFamily]:
    """The registry files that are skipped; this affects only those who ask for their models."""
    return _read(assets.search_paths_key()).skipped


def entries() -> dict[str, tuple[Family, ModelEntry]]:
    """Every model of the registry, by name."""
    return {name: (family, entry) for family in families().values() for name, entry in family.models.items()}


def by_id() -> dict[str, str]:
    """Hub ids of the registry's models, in lower case, each with the model's name."""
    return {hub_id.lower(): name for name, (_, entry) in entries().items() for hub_id in entry.hub_ids}


@cache
def _read(search_paths: tuple[str | None, ...]) -> _Registry:
    """The registry, read once for the same search paths."""
    found: dict[str, Family] = {}
    skipped: list[InvalidFamily] = []
    owners: dict[str, list[Path]] = {}
    templates = assets.candidates("templates", ".jinja")
    candidates, own = assets.candidates("registry", ".yaml"), assets.roots("registry")["swiftkit"]
    for name, paths in candidates.items():
        declared: list[str] = []
        try:
            contents = [_content(path) for path in paths]
            declared = [str(m) for c in contents if isinstance(c.get("models"), dict) for m in c["models"]]
            path = assets.unique("registry", name, paths)
            found[name] = _family(name, contents[0], path, templates)
            for model in found[name].models:
                owners.setdefault(model, []).append(path)
        except SwiftkitError as error:
            skipped.append(InvalidFamily(tuple(paths), error, tuple(declared)))
    for model, paths in owners.items():
        if len(paths) > 1:
            places = " and ".join(map(str, paths))
            duplicate = SwiftkitError(f"model `{model}` is declared twice: in {places}", "rename one of the two")
            skipped.append(InvalidFamily(tuple(paths), duplicate, (model,)))
            for family in found.values():
                family.models.pop(model, None)
    shipped = [found[name] for name, paths in candidates.items() if name in found and paths[0].parent == own]
    return _Registry(found, skipped, shipped)


def _content(path: Path) -> dict[str, Any]:
    content = files.read_yaml(path, FIELDS_HINT)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SwiftkitError(f"{path} is not a registry entry: it has no fields", FIELDS_HINT)
    return content


def _family(name: str, content: dict[str, Any], path: Path, templates: Iterable[str]) -> Family:
    try:
        family = Family(**{**content, "name": name})
    except ValidationError as error:
        reasons = validation_reasons(error.errors())
        former = {str(e["loc"][-1]) for e in error.errors() if e["type"] == "extra_forbidden"} & set(FORMER_FIELDS)
        renamed = "; ".join(f"`{field}` is now `{FORMER_FIELDS[field]}`" for field in sorted(former))
        raise SwiftkitError(f"{path} is not a registry entry: {reasons}", renamed or FIELDS_HINT) from error
    if path.parent != assets.roots("registry")["swiftkit"]:  # swiftkit's tests verify swiftkit's own files only
        family = family.model_copy(update={"level": "consistent"})
    if family.template not in templates:
        raise SwiftkitError(
            f"{path}: there is no template `{family.template}`", nearest(family.template, templates, FIELDS_HINT)
        )
    return family
