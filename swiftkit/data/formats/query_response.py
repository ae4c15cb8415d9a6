"""`query` and `response`, as ms-swift writes them."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import pair
from swiftkit.schema import Message

COLUMNS = ("query", "response")
OPTIONAL = ("system", "history")
EXAMPLE = {"query": "3 + 4?", "response": "7"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """One question and one answer."""
    return pair(row, row["query"], row["response"])
