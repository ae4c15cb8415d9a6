"""Write swiftkit/passthrough.json from tables of ms-swift's arguments.

    python tools/make_passthrough.py swift46_args.json v2_args.json

Both tables are facts read off ms-swift: 4.6's arguments with default and type, and what became of 2.4.2's.
"""

import json
import re
import sys
from pathlib import Path

BASIC = {"int": "int", "float": "float", "bool": "bool", "str": "str", "dict": "json"}


def kind(text: str) -> dict[str, object]:
    """A type as ms-swift writes it, in the few words that swiftkit checks."""
    choices = re.findall(r"Literal\[(.*?)\]", text)
    words = re.findall(r"\b(int|float|bool|str|dict)\b", text)
    spec: dict[str, object] = {}
    if choices and not words:
        spec["choices"] = [c.strip().strip("'\"") for c in ",".join(choices).split(",")]
    kinds = sorted({BASIC[w] for w in words})
    spec["kinds"] = kinds if kinds and not choices else ["str"]
    if "List" in text or "list" in text:
        spec["list"] = True
    return spec


def main(swift46: str, v2: str) -> None:
    options = json.loads(Path(swift46).read_text())["SftArguments"]
    old = json.loads(Path(v2).read_text())["SftArguments"]
    table = {
        "options": {name: kind(type_) for name, (_, type_) in sorted(options.items())},
        "ms_swift_2": {name: entry["new"] if entry["new"] in options else None for name, entry in sorted(old.items())},
    }
    out = Path(__file__).parent.parent / "swiftkit" / "passthrough.json"
    out.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")
    print(out, len(table["options"]), len(table["ms_swift_2"]))


main(*sys.argv[1:])
