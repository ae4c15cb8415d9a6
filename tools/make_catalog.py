"""Write swiftkit/models/catalog.json from tables of ms-swift's models.

    python tools/make_catalog.py swift46_models.json v2_models.json

Both tables are facts about ms-swift: the model types and models of 4.6, and the names that 2.4.2 used. The catalog
contains all text models of 4.6 and every model type of 2.4.2, including multimodal ones, so that the names in old
tutorials are recognized.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "swiftkit" / "models" / "catalog.json"
# Base models are those that ms-swift 2 had without a chat template, and newer ones whose name contains `base` or
# `pretrain`. These are base models although their names do not say so.
UNNAMED_BASE = {"gemma-3-1b-pt", "gemma-3-270m", "llama-3_2-1b", "llama-3_2-3b", "olmoe-1b-7b-0125", "olmoe-1b-7b-0924"}
UNNAMED_BASE |= {f"qwen2_5-coder-{size}" for size in ("0_5b", "3b", "14b", "32b")}
BASE_NAME = re.compile(r"(?:^|[-_])(?:base|pretrain)(?:[-_]|$)")


def v2_rows(v2_models: dict[str, Any]) -> list[list[Any]]:
    """Rows of ms-swift 2's types: its name, type and template of 4.6, hub ids, and former hub ids."""
    rows = []
    for name, entry in v2_models.items():
        ids = [entry["ms_id_4_6"], entry["hf_id_4_6"]]
        current = {str(hub_id).lower() for hub_id in ids}
        former = {hub_id for hub_id in (entry["ms_id"], entry["hf_id"]) if hub_id and hub_id.lower() not in current}
        rows.append([name, entry["model_type_4_6"], entry["template_4_6"], *ids, sorted(former)])
    return rows


def v4_rows(types: dict[str, Any], known: set[str]) -> list[list[Any]]:
    """Rows of the text models of 4.6 without a name in ms-swift 2.

    A model is named after the last part of its hub id, with `_` for `.`; a name in use gets the organization as prefix.

    Args:
        types: model types of 4.6.
        known: names and hub ids, in lower case, that have a row already.
    """
    models = [
        (model_type, group["template"] or entry["template"], model["ms"], model["hf"])
        for model_type, entry in types.items()
        if is_text(entry)
        for group in entry["groups"]
        for model in group["models"]
        if str(model["ms"] or model["hf"]).lower() not in known and str(model["hf"]).lower() not in known
    ]
    rows: dict[str, list[Any]] = {}
    for model_type, template, ms_id, hf_id in models:
        organization, _, tail = (ms_id or hf_id).lower().partition("/")
        name = tail.replace(".", "_")
        if name in rows or name in known:
            name = f"{organization}-{name}"
        if name in rows:
            raise ValueError(f"two models have the name {name}")
        rows[name] = [name, model_type, template, ms_id, hf_id, []]
    return list(rows.values())


def is_text(entry: dict[str, Any]) -> bool:
    """Whether a model type generates text from text alone."""
    return not entry["is_multimodal"] and not entry["is_reward"] and entry["task_type"] in (None, "causal_lm")


def type_rows(types: dict[str, Any], used: set[str]) -> list[list[Any]]:
    """The model types in `used` with those of their properties that are not empty."""
    keys = {"architectures": "architectures", "requires": "requires", "multimodal": "is_multimodal"}
    return [
        [name, {key: entry[source] for key, source in keys.items() if entry[source]}]
        for name, entry in sorted(types.items())
        if name in used
    ]


def main(swift46: str, v2: str) -> None:
    """Read the tables `swift46` and `v2` (paths) and write the catalog to `OUT`."""
    types = json.loads(Path(swift46).read_text(encoding="utf-8"))
    v2_models = json.loads(Path(v2).read_text(encoding="utf-8"))["models"]
    rows = v2_rows(v2_models)
    rows += v4_rows(types, {str(value).lower() for row in rows for value in (row[0], row[3], row[4]) if value})
    rows.sort()
    types_in_use = type_rows(types, {row[1] for row in rows})
    untemplated = {name for name, entry in v2_models.items() if entry["v2_template"].startswith("default-generation")}
    base = [row[0] for row in rows if row[0] in untemplated | UNNAMED_BASE or BASE_NAME.search(row[0])]
    sections = {"types": types_in_use, "models": rows, "base": base}
    text = ",\n".join(f'"{name}":[\n{_lines(values)}\n]' for name, values in sections.items())
    OUT.write_text(f"{{{text}}}\n", encoding="utf-8")
    print(f"{OUT.name}: {len(types_in_use)} types, {len(rows)} models")


def _lines(values: list[Any]) -> str:
    """One line per value, so that a diff shows the models that changed."""
    return ",\n".join(json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values)


if __name__ == "__main__":
    main(*sys.argv[1:])
