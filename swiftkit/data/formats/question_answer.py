"""A question and its answer in two columns, under the names that public datasets have."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import PAIR_OPTIONAL, pair
from swiftkit.schema import Turn

LAYOUTS = (
    ("question", "answer"),  # GSM8K
    ("query", "response"),  # ms-swift
    ("prompt", "response"),
    ("question", "response"),  # OpenOrca
    ("input", "output"),
    ("inputs", "targets"),  # FLAN
    ("problem", "solution"),  # NuminaMath
    ("source", "target"),
    ("question", "answers"),  # SQuAD
)
OPTIONAL = PAIR_OPTIONAL
EXAMPLE = {"question": "3 + 4?", "answer": "3 + 4 = 7\n#### 7"}


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """One question and one answer."""
    question, answer = next(names for names in LAYOUTS if set(names) <= set(row))
    return pair(row, row[question], row[answer])
