"""`query` and `response`, ms-swift's way."""

from __future__ import annotations

from typing import Any

from swiftkit.formats import pair
from swiftkit.schema import Message

COLUMNS = ("query", "response")
OPTIONAL = ("system", "history")


def to_messages(row: dict[str, Any]) -> list[Message]:
    """One question, one answer."""
    return pair(row, row["query"], row["response"])
