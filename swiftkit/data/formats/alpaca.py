"""Alpaca: `instruction`, `input` (may be empty), `output`."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import PAIR_OPTIONAL, pair
from swiftkit.schema import Turn

COLUMNS = ("instruction", "output")
OPTIONAL = ("input", *PAIR_OPTIONAL)
EXAMPLE = {"instruction": "Add.", "input": "3 + 4", "output": "7"}


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """The question is the instruction, followed by the input on a new line."""
    extra = row.get("input") or ""
    if not isinstance(row["instruction"], str) or not isinstance(extra, str):
        raise ValueError("instruction and input must be text")
    question = f"{row['instruction']}\n{extra}" if extra.strip() else row["instruction"]
    return pair(row, question, row["output"])
