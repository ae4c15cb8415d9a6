"""`prompt` and `completion`, as TRL writes them: both text, or both lists of messages."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import messages, pair
from swiftkit.schema import Message

COLUMNS = ("prompt", "completion")
OPTIONAL = ("system",)
EXAMPLE = {"prompt": "3 + 4?", "completion": "7"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """One question and one answer, or the concatenation of the two lists."""
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        return messages.to_messages({"messages": prompt + completion, "system": row.get("system")})
    return pair(row, prompt, completion)
