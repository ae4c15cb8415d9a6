"""`messages`: [{"role": "user", "content": "…"}, …], as OpenAI's API and ms-swift write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swiftkit.data import columns
from swiftkit.data.formats import join_system, parse_json, system_turns, to_turn
from swiftkit.schema import Turn

COLUMNS = ("messages",)
OPTIONAL = columns.SYSTEM
EXAMPLE = {"messages": [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}]}


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """The row's own list, checked."""
    messages = parse_json(row["messages"], "messages")
    if not isinstance(messages, list):
        raise ValueError(f"messages is of type {type(messages).__name__}, not a list")
    if not all(isinstance(message, Mapping) for message in messages):
        raise ValueError("every message must be an object with role and content")
    turns = [to_turn(message, message.get("role"), message.get("content"), "role", "content") for message in messages]
    return join_system(system_turns(row), turns)
