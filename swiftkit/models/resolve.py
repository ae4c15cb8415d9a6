"""Which model a user means: by name, by hub id, or by folder."""

from __future__ import annotations

import logging
from pathlib import Path

from swiftkit import files
from swiftkit.errors import SwiftkitError, nearest, unknown
from swiftkit.models import catalog, folder, recognize, registry
from swiftkit.models.catalog import CatalogModel
from swiftkit.models.registry import Family, ModelEntry, ResolvedModel

logger = logging.getLogger(__name__)
ORIGIN_FILE = "swiftkit.json"  # in an exported folder: what it was made from


def resolve_model(model_type: str | None, model_id_or_path: str | None) -> ResolvedModel:
    """The model that the two options name.

    Raises:
        SwiftkitError: there is no such model, a folder does not match it, or a folder matches several families.
    """
    if model_type is None and model_id_or_path and _canonical(model_id_or_path) and not Path(model_id_or_path).exists():
        model_type, model_id_or_path = model_id_or_path, None
    if model_type is None and model_id_or_path is None:
        raise SwiftkitError("no model is named", "pass --model_type NAME (`swiftkit models` lists them)")
    if model_id_or_path is None:
        assert model_type is not None
        name, family, entry = get_model(model_type)
        return ResolvedModel(name, family, entry, entry.folder)
    path = files.parse_path(model_id_or_path, "--model_id_or_path")
    if path.exists():
        return _with_type(model_type, path) if model_type else _recognized(path)
    return _from_hub_id(model_type, model_id_or_path)


# --- by name ----------------------------------------------------------------------------------------------------------


def get_model(name: str) -> tuple[str, Family, ModelEntry]:
    """The model with that name or hub id: canonical name, family, entry.

    It is one of the registry, or one of the catalog that belongs to a family of the registry.

    Raises:
        SwiftkitError: there is none, or swiftkit has no family for it.
    """
    _refuse_skipped(name)
    entries, canonical = registry.entries(), _canonical(name, or_id=True)
    if canonical is None:
        for invalid in registry.skipped():
            logger.warning("skipped: %s", invalid.error)
        names = [*entries, *catalog.models()]
        raise unknown("model type", name, names, "`swiftkit models` lists all of them")
    if canonical not in entries:  # the registry may have the same model under another name
        model = catalog.models()[canonical]
        ids = (hub_id.lower() for hub_id in (model.modelscope, model.huggingface) if hub_id)
        canonical = next((registry.by_id()[i] for i in ids if i in registry.by_id()), canonical)
    if canonical in entries:
        return (canonical, *entries[canonical])
    return (canonical, *_from_catalog(catalog.models()[canonical]))


def catalog_entry(name: str) -> CatalogModel | None:
    """The model with that name if only the catalog has it: no family of the registry matches, or it is multimodal.

    Raises:
        SwiftkitError: the registry file that should have it is invalid.
    """
    _refuse_skipped(name)
    canonical = _canonical(name, or_id=True)
    model = catalog.models().get(canonical) if canonical and canonical not in registry.entries() else None
    return model if model and (model.is_multimodal or catalog_family(model) is None) else None


def catalog_family(model: CatalogModel) -> Family | None:
    """The one family of swiftkit's own that a model of the catalog belongs to.

    A quantized model belongs to none, and neither does a base model, which has no chat format.
    """
    matching = _same_swift_names(model)
    return matching[0] if len(matching) == 1 and not (model.is_quantized or model.is_base) else None


def _canonical(name: str, *, or_id: bool = False) -> str | None:
    """How registry or catalog spell a name, which may be typed in any case, or (`or_id`) a hub id."""
    for names in (registry.entries(), catalog.models()):
        for spelling in (name, name.lower()):
            if spelling in names:
                return spelling
    return (registry.by_id().get(name.lower()) or catalog.by_id().get(name.lower())) if or_id else None


def _refuse_skipped(name: str) -> None:
    for invalid in registry.skipped():
        missing = (model.lower() for model in invalid.models if model not in registry.entries())
        if name.lower() in missing:
            raise invalid.error


def _same_swift_names(model: CatalogModel) -> list[Family]:
    """swiftkit's own families with ms-swift's type and template for a model."""
    names = (model.swift_type, model.swift_template)
    return [f for f in registry.shipped() if (f.swift.model_type, f.swift.template) == names]


def _from_catalog(model: CatalogModel) -> tuple[Family, ModelEntry]:
    if model.is_multimodal:
        raise SwiftkitError(
            f"{model.name} is multimodal, and swiftkit trains on text only",
            f"ms-swift trains it: swift sft --model {model.hub_id}",
        )
    if model.is_quantized:
        original = _unquantized(model)
        raise SwiftkitError(
            f"{model.name} has quantized weights, and training on those is not supported yet",
            f"use the unquantized model: --model_type {original}" if original else "use the unquantized model",
        )
    if model.is_base and (formats := _same_swift_names(model)):
        raise SwiftkitError(
            f"{model.name} is a base model without a chat format",
            f"choose a chat format: --model_id_or_path {model.hub_id} --model_type, one of: {_examples(formats)}",
        )
    family = catalog_family(model)
    if family is None:
        raise SwiftkitError(
            f"{model.name} is known to ms-swift (type {model.swift_type}, template {model.swift_template}), "
            "but swiftkit has no family for it, so its training tokens cannot be verified",
            f"create one from its own chat template: swiftkit models fetch {model.name} ./model; "
            "swiftkit models import ./model ./mine"
            if folder.is_built_in(model.architectures)
            else f"transformers lacks its architecture; ms-swift trains it: swift sft --model {model.hub_id}",
        )
    return family, ModelEntry(modelscope=model.modelscope, huggingface=model.huggingface)


def _unquantized(model: CatalogModel) -> str | None:
    """The model that a quantized one was made from: the longest name of the catalog that is a prefix of its own."""
    names = [name for name, other in catalog.models().items() if not other.is_quantized]
    return max((name for name in names if model.name.startswith(name)), key=len, default=None)


# --- by folder --------------------------------------------------------------------------------------------------------


def _with_type(model_type: str, path: Path) -> ResolvedModel:
    """The model in a folder, whose family the user has named."""
    architectures = folder.read_config(path).get("architectures") or []
    name, family, entry = get_model(model_type)
    if not set(architectures) & set(family.architectures):
        others = [f.name for f in _families_with(architectures)]
        raise SwiftkitError(
            f"{path} holds a {_join(architectures)}, but {name} is a {_join(family.architectures)}",
            f"this folder belongs to: {', '.join(others)} (`swiftkit models`)" if others else None,
        )
    return ResolvedModel(name, family, entry, path)


def _recognized(path: Path) -> ResolvedModel:
    """The model in a folder, whose family follows from its architecture and chat template."""
    architectures = folder.read_config(path).get("architectures") or []
    name = path.resolve().name
    recorded = registry.families().get(_recorded_family(path))
    if recorded and set(architectures) & set(recorded.architectures):
        return ResolvedModel(name, recorded, None, path)
    families = _families_with(architectures)
    if not families:
        raise SwiftkitError(
            f"{path} holds a {_join(architectures)}, which no family of the registry has",
            f"swiftkit models import {path} ./mine creates one from its own chat template",
        )
    template = folder.compile_template(path)
    if template is None:
        raise SwiftkitError(
            f"{path} holds a {_join(architectures)} without a chat template: is it a base model?",
            f"choose a chat format with --model_type, one of: {_examples(families)}",
        )
    matching_names = recognize.matching_templates(template, [f.template for f in families])
    matching = [f for f in families if f.template in matching_names]
    if len(matching) != 1 < len(families):
        raise SwiftkitError(
            f"{path} holds a {_join(architectures)} whose chat template does not identify its family",
            f"swiftkit models import {path} ./mine creates a family from it; or pass --model_type, one of: "
            f"{_examples(families)}",
        )
    family = (matching or families)[0]
    if not matching:
        logger.warning(
            "note: the chat template in %s is not that of family %s, which is used; choose another one with "
            "--model_type, or use its own: swiftkit models import %s ./mine",
            path,
            family.name,
            path,
        )
    elif not recognize.same_history(template, family.template):
        logger.warning(
            "note: the chat template in %s renders earlier answers differently from family %s, which is used",
            path,
            family.name,
        )
    return ResolvedModel(name, family, None, path)


def _recorded_family(path: Path) -> str:
    """The family that swiftkit.json of an exported folder names; empty if there is none."""
    file = path / ORIGIN_FILE
    return str(files.read_object(file, "export it again").get("family")) if file.is_file() else ""


def _families_with(architectures: list[str]) -> list[Family]:
    return [f for f in registry.families().values() if set(architectures) & set(f.architectures)]


# --- by hub id --------------------------------------------------------------------------------------------------------


def _from_hub_id(model_type: str | None, hub_id: str) -> ResolvedModel:
    if hub_id.startswith((".", "/", "~")) or hub_id.count("/") != 1:
        raise SwiftkitError(
            f"the model folder {hub_id} does not exist", "--model_id_or_path takes a folder or org/name"
        )
    if model_type is not None:
        name, family, entry = get_model(model_type)
        return ResolvedModel(name, family, entry, None, hub_id)
    ids = {**catalog.by_id(), **registry.by_id()}
    if hub_id.lower() not in ids:
        hint = nearest(hub_id.lower(), ids, "if it belongs to a known family, add --model_type")
        raise SwiftkitError(f"there is no folder {hub_id}, and neither registry nor catalog has that hub id", hint)
    name, family, entry = get_model(ids[hub_id.lower()])
    return ResolvedModel(name, family, entry, None, hub_id)


def _examples(families: list[Family]) -> str:
    """A model of each family, with the family's name."""
    return ", ".join(f"{next(iter(f.models), f.name)} ({f.name})" for f in families)


def _join(names: list[str]) -> str:
    return "/".join(names) or "model of unnamed architecture"
