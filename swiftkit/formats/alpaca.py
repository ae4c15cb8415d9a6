"""Alpaca: `instruction`, `input` (may be empty), `output`."""

from __future__ import annotations

from typing import Any

from swiftkit.formats import pair
from swiftkit.schema import Message

COLUMNS = ("instruction", "output")
OPTIONAL = ("input", "system", "history")
EXAMPLE = {"instruction": "Add.", "input": "3 + 4", "output": "7"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """Instruction and input, one below the other, are the question."""
    extra = row.get("input") or ""
    if not isinstance(row["instruction"], str) or not isinstance(extra, str):
        raise ValueError("instruction and input must be text")
    question = f"{row['instruction']}\n{extra}" if extra.strip() else row["instruction"]
    return pair(row, question, row["output"])
