"""`question` and `answer`, as GSM8K writes them."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import pair
from swiftkit.schema import Message

COLUMNS = ("question", "answer")
OPTIONAL = ("system", "history")
EXAMPLE = {"question": "3 + 4?", "answer": "3 + 4 = 7\n#### 7"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """One question and one answer."""
    return pair(row, row["question"], row["answer"])
