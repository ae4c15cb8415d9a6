"""`swiftkit models --datasets`: the datasets of the registry."""

from __future__ import annotations

import json

from swiftkit.data import catalog
from swiftkit.system.console import table


def run(words: list[str], *, as_json: bool) -> int:
    """Print the datasets with all `words` in their names."""
    entries = {name: entry for name, entry in catalog.entries().items() if all(word in name for word in words)}
    if as_json:
        print(json.dumps({"datasets": [{"dataset": name, **entry.model_dump()} for name, entry in entries.items()]}))
    else:
        rows = [[name, entry.license, entry.description] for name, entry in entries.items()]
        print(table(["dataset", "license", "description"], rows))
    return 0
