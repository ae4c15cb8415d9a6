"""`messages`: [{"role": "user", "content": "…"}, …], as OpenAI's API and ms-swift write it."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import refuse_unknown_fields, turn
from swiftkit.schema import Message

COLUMNS = ("messages",)
OPTIONAL = ("system",)
EXAMPLE = {"messages": [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}]}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """The row's own list, checked."""
    messages = row["messages"]
    if not isinstance(messages, list):
        raise ValueError(f"messages is of type {type(messages).__name__}, not a list")
    if not all(isinstance(message, dict) for message in messages):
        raise ValueError("every message must be an object with role and content")
    for message in messages:
        refuse_unknown_fields(message, "role", "content")
    turns = [turn(message.get("role"), message.get("content")) for message in messages]
    if row.get("system") is not None:
        if turns and turns[0]["role"] == "system":
            raise ValueError("there is a system column and a system message")
        turns.insert(0, turn("system", row["system"]))
    return turns
