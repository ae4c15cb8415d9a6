"""ShareGPT: `conversations`: [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}, …]."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import refuse_unknown_fields, turn
from swiftkit.schema import Message

COLUMNS = ("conversations",)
OPTIONAL = ("system",)
EXAMPLE = {"conversations": [{"from": "human", "value": "3 + 4?"}, {"from": "gpt", "value": "7"}]}
ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """The turns with the usual roles; `role` and `content` are accepted as well."""
    turns = row["conversations"]
    if not isinstance(turns, list) or not all(isinstance(t, dict) for t in turns):
        raise ValueError("conversations must be a list of objects with from and value")
    messages = [] if row.get("system") is None else [turn("system", row["system"])]
    for message in turns:
        refuse_unknown_fields(message, "from", "value", "role", "content")
        role = message.get("from", message.get("role"))
        messages.append(turn(ROLES.get(role, role), message.get("value", message.get("content"))))
    return messages
