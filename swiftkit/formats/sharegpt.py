"""ShareGPT: `conversations`: [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}, …]."""

from __future__ import annotations

from typing import Any

from swiftkit.formats import known_only, turn
from swiftkit.schema import Message

COLUMNS = ("conversations",)
OPTIONAL = ("system",)
EXAMPLE = {"conversations": [{"from": "human", "value": "3 + 4?"}, {"from": "gpt", "value": "7"}]}
ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """The turns under their usual names; `role` and `content` are understood as well."""
    turns = row["conversations"]
    if not isinstance(turns, list) or not all(isinstance(t, dict) for t in turns):
        raise ValueError("conversations must be a list of objects with from and value")
    messages = [] if row.get("system") is None else [turn("system", row["system"])]
    for said in turns:
        known_only(said, "from", "value", "role", "content")
        role = said.get("from", said.get("role"))
        messages.append(turn(ROLES.get(role, role), said.get("value", said.get("content"))))
    return messages
