"""Alpaca: `instruction`, `input` (may be empty), `output`; Dolly calls the last one `response`."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import PAIR_OPTIONAL, pair
from swiftkit.schema import Turn

LAYOUTS = (("instruction", "output"), ("instruction", "response"))
OPTIONAL = ("input", *PAIR_OPTIONAL)
EXAMPLE = {"instruction": "Add.", "input": "3 + 4", "output": "7"}


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """The question is the instruction, followed by the input on a new line."""
    extra = row.get("input") or ""
    if not isinstance(row["instruction"], str) or not isinstance(extra, str):
        raise ValueError("instruction and input must be text")
    question = f"{row['instruction']}\n{extra}" if extra.strip() else row["instruction"]
    _, answer = next(names for names in LAYOUTS if set(names) <= set(row))
    return pair(row, question, row[answer])
