"""`swiftkit models [WORD ...]`: the models of registry and catalog."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from swiftkit.errors import SwiftkitError, nearest, unknown
from swiftkit.models import catalog, registry
from swiftkit.models.resolve import catalog_family
from swiftkit.system.console import table

logger = logging.getLogger(__name__)
SEE_LIST = "`swiftkit models` lists the names"


@dataclass(frozen=True)
class ModelRow:
    """A model in the list; `source` is where its weights come from."""

    model: str
    family: str | None
    level: str
    parameters: float | None
    source: str | None
    registered: bool


def run(words: list[str], *, family: str | None, level: str | None, subcommands: Sequence[str], as_json: bool) -> int:
    """Print those of the models that are asked for; from the catalog only with a word, a family or a level."""
    if family and family not in registry.families():
        raise unknown("family", family, registry.families())
    for invalid in registry.skipped():
        logger.warning("skipped: %s", invalid.error)
    further = _catalog()
    has_filter = bool(words or level or family)
    rows = [
        row
        for row in (*_registry(), *(further if has_filter else []))
        if all(word.lower() in row.model.lower() for word in words)
        and family in (None, row.family)
        and level in (None, row.level)
    ]
    if not rows:
        filters = [f"{' and '.join(words)} in its name"] if words else []
        filters += [f"family {family}"] if family else []
        filters += [f"level {level}"] if level else []
        hint = nearest(words[0], subcommands, SEE_LIST) if words else SEE_LIST
        raise SwiftkitError(f"no model has {', and '.join(filters)}", hint)
    if as_json:
        print(json.dumps({"models": [asdict(row) for row in rows]}))
        return 0
    cells = [[row.model, row.family or "", row.level, format_size(row.parameters), row.source or "-"] for row in rows]
    print(table(["model", "family", "level", "parameters", "weights from"], cells))
    if not has_filter:
        logger.info(
            "and %s more that ms-swift trains: `swiftkit models WORD`, `swiftkit models --level catalog`",
            f"{len(further):,}",
        )
    return 0


def format_size(parameters: float | None) -> str:
    """1.54 B, 494 M; empty for None."""
    if not parameters:
        return ""
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M"


def _registry() -> list[ModelRow]:
    return [
        ModelRow(
            name,
            family.name,
            family.level,
            entry.parameters,
            "bundled" if entry.bundled else entry.modelscope or entry.huggingface,
            True,
        )
        for name, (family, entry) in registry.entries().items()
    ]


def _catalog() -> list[ModelRow]:
    """The text models of the catalog that are not in the registry."""
    registered = registry.by_id()
    rows = []
    for name, model in catalog.models().items():
        ids = [hub_id for hub_id in (model.modelscope, model.huggingface) if hub_id]
        if model.is_multimodal or any(hub_id.lower() in registered for hub_id in ids):
            continue
        family = catalog_family(model)
        rows.append(
            ModelRow(name, family.name if family else None, "consistent" if family else "catalog", None, ids[0], False)
        )
    return rows
