"""Write swiftkit/catalogue.json from tables of ms-swift's models.

    python tools/make_catalogue.py swift46_models.json v2_models.json

Both tables are facts read off ms-swift: 4.6's model types with their models, and what 2.4.2 called its own. All text
models of 4.6 stand in it, and every model type of 2.4.2, multimodal ones too, so that a tutorial's name is understood.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

# Base models are those that ms-swift 2 had without a chat template, and of newer ones those whose names say so.
# The names of these do not.
UNSAID = {"gemma-3-1b-pt", "gemma-3-270m", "llama-3_2-1b", "llama-3_2-3b", "olmoe-1b-7b-0125", "olmoe-1b-7b-0924"}
UNSAID |= {f"qwen2_5-coder-{size}" for size in ("0_5b", "3b", "14b", "32b")}
SAID = re.compile(r"(?:^|[-_])(?:base|pretrain)(?:[-_]|$)")
OUT = Path(__file__).parent.parent / "swiftkit" / "catalogue.json"


def named_by_2(old: dict[str, Any]) -> list[list[Any]]:
    """Rows of ms-swift 2's types: its name, 4.6's type and template, hub ids, and ids that the model had before."""
    rows = []
    for name, entry in old.items():
        ids = [entry["ms_id_4_6"], entry["hf_id_4_6"]]
        former = {i for i in (entry["ms_id"], entry["hf_id"]) if i and i.lower() not in {str(x).lower() for x in ids}}
        rows.append([name, entry["model_type_4_6"], entry["template_4_6"], *ids, sorted(former)])
    return rows


def of_4(types: dict[str, Any], taken: set[str]) -> list[list[Any]]:
    """Rows of the text models of 4.6 that have no name in ms-swift 2: named as their hub id's last part, `.` as `_`."""
    models = [
        (kind, group["template"] or entry["template"], model["ms"], model["hf"])
        for kind, entry in types.items()
        if is_text(entry)
        for group in entry["groups"]
        for model in group["models"]
        if str(model["ms"] or model["hf"]).lower() not in taken and str(model["hf"]).lower() not in taken
    ]
    rows: dict[str, list[Any]] = {}
    for kind, template, ms, hf in models:
        organisation, _, tail = (ms or hf).lower().partition("/")
        name = tail.replace(".", "_")
        if name in rows or name in taken:
            name = f"{organisation}-{name}"
        assert name not in rows
        rows[name] = [name, kind, template, ms, hf, []]
    return list(rows.values())


def is_text(entry: dict[str, Any]) -> bool:
    """Whether a model type writes text, from text alone."""
    return not entry["is_multimodal"] and not entry["is_reward"] and entry["task_type"] in (None, "causal_lm")


def main(swift46: str, v2: str) -> None:
    types = json.loads(Path(swift46).read_text(encoding="utf-8"))
    old = json.loads(Path(v2).read_text(encoding="utf-8"))["models"]
    rows = named_by_2(old)
    rows += of_4(types, {str(value).lower() for row in rows for value in (row[0], row[3], row[4]) if value})
    used = {row[1] for row in rows}
    kinds = {
        name: {
            key: value
            for key, value in (
                ("architectures", entry["architectures"]),
                ("requires", entry["requires"]),
                ("multimodal", entry["is_multimodal"]),
            )
            if value
        }
        for name, entry in sorted(types.items())
        if name in used
    }

    def lines(values: list[Any]) -> str:
        return ",\n".join(json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values)

    plain = {name for name, entry in old.items() if entry["v2_template"].startswith("default-generation")}
    base = [row[0] for row in sorted(rows) if row[0] in plain | UNSAID or SAID.search(row[0])]
    # A line a model, so that a change shows as what it is.
    kinds_text = lines([[name, kind] for name, kind in kinds.items()])
    OUT.write_text(
        f'{{"types":[\n{kinds_text}\n],\n"models":[\n{lines(sorted(rows))}\n],\n"base":[\n{lines(base)}\n]}}\n',
        encoding="utf-8",
    )
    print(OUT.name, len(kinds), "types,", len(rows), "models")


if __name__ == "__main__":
    main(*sys.argv[1:])
