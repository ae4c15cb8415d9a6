"""`text` for language modeling without a chat format: every token has loss. Only with `--format text`."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import rendered, turn
from swiftkit.schema import Turn

COLUMNS = ("text",)
OPTIONAL = ()
EXAMPLE = {"text": "Three and four are seven."}


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """No conversation at all; refuses text that is a rendered chat."""
    text = turn("user", row["text"])["content"]
    if not text.strip():
        raise ValueError("the text is empty")
    if rendered.has_markers(text):
        raise ValueError("this text is a rendered chat, of which only the answers should have loss (--format rendered)")
    return []
