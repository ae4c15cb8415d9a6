"""ShareGPT: `conversations`: [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}, …]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swiftkit.data import columns
from swiftkit.data.formats import join_system, parse_json, system_turns, to_turn
from swiftkit.schema import Turn

COLUMNS = ("conversations",)
OPTIONAL = columns.SYSTEM
EXAMPLE = {"conversations": [{"from": "human", "value": "3 + 4?"}, {"from": "gpt", "value": "7"}]}
_NAMES = ("from", "value", "role", "content")


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """The turns with the usual roles; `role` and `content` are accepted as well."""
    turns = parse_json(row["conversations"], "conversations")
    if not isinstance(turns, list) or not all(isinstance(item, Mapping) for item in turns):
        raise ValueError("conversations must be a list of objects with from and value")
    return join_system(system_turns(row), [_turn(item) for item in turns])


def _turn(item: Mapping[str, Any]) -> Turn:
    for name, other in (("from", "role"), ("value", "content")):
        if name in item and other in item and item[name] != item[other] and item[other] is not None:
            raise ValueError(f"a turn has {name} {item[name]!r} and {other} {item[other]!r}")
    return to_turn(item, item.get("from", item.get("role")), item.get("value", item.get("content")), *_NAMES)
