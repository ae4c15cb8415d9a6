"""`text` that is already rendered with chat markers: split into turns, so that only answers have loss."""

from __future__ import annotations

from typing import Any

from swiftkit.chat.rendered import find_dialect, parse
from swiftkit.data.formats import turn
from swiftkit.schema import Turn

COLUMNS = ("text",)
OPTIONAL = ()
EXAMPLE = {"text": "### Human: 3 + 4?\n### Assistant: 7"}


def has_markers(text: str) -> bool:
    """Whether `text` contains markers of a rendered chat."""
    return find_dialect(text) is not None


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """The turns between the markers, without the markers."""
    text = row["text"]
    if not isinstance(text, str):
        raise ValueError("text is not a string")
    return [turn(role, content) for role, content in parse(text)]
