"""Write swiftkit/training/trainers/ms_swift/options.json from tables of ms-swift's arguments.

    python tools/make_options.py swift46_args.json v2_args.json

Both tables are facts about ms-swift: the arguments of 4.6 with default and type, and what became of those of 2.4.2.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "swiftkit" / "training" / "trainers" / "ms_swift" / "options.json"
KINDS = {"int": "int", "float": "float", "bool": "bool", "str": "str", "dict": "json"}


def parse_type(text: str) -> dict[str, object]:
    """An annotation of ms-swift, such as `Optional[List[int]]`, reduced to what swiftkit checks."""
    choices = re.findall(r"Literal\[(.*?)\]", text)
    names = re.findall(r"\b(int|float|bool|str|dict)\b", text)
    spec: dict[str, object] = {}
    if choices and not names:
        spec["choices"] = [choice.strip().strip("'\"") for choice in ",".join(choices).split(",")]
    kinds = sorted({KINDS[name] for name in names})
    spec["kinds"] = kinds if kinds and not choices else ["str"]
    if "List" in text or "list" in text:
        spec["list"] = True
    return spec


def main(swift46: str, v2: str) -> None:
    """Read the tables `swift46` and `v2` (paths) and write the options to `OUT`."""
    options = json.loads(Path(swift46).read_text(encoding="utf-8"))["SftArguments"]
    v2_options = json.loads(Path(v2).read_text(encoding="utf-8"))["SftArguments"]
    specs = {name: parse_type(annotation) for name, (_, annotation) in options.items()}
    successors = {name: entry["new"] if entry["new"] in options else None for name, entry in v2_options.items()}
    table = {"options": specs, "ms_swift_2": successors}
    OUT.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {len(specs)} options, {len(successors)} options of ms-swift 2")


if __name__ == "__main__":
    main(*sys.argv[1:])
