"""`prompt` and `completion`, TRL's way: both text, or both lists of messages."""

from __future__ import annotations

from typing import Any

from swiftkit.formats import messages, pair
from swiftkit.schema import Message

COLUMNS = ("prompt", "completion")
OPTIONAL = ("system",)
EXAMPLE = {"prompt": "3 + 4?", "completion": "7"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """One question, one answer, or the two lists one behind the other."""
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        return messages.to_messages({"messages": prompt + completion, "system": row.get("system")})
    return pair(row, prompt, completion)
