"""`text` for plain language modelling: everything is learned. Only when asked for by `--format text`."""

from __future__ import annotations

from typing import Any

from swiftkit.formats import rendered, turn
from swiftkit.schema import Message

COLUMNS = ("text",)
OPTIONAL = ()
EXAMPLE = {"text": "Three and four are seven."}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """No conversation at all; refuses text that is a rendered one."""
    text = turn("user", row["text"])["content"]
    if not text.strip():
        raise ValueError("the text is empty")
    if rendered.marked(text):
        raise ValueError(
            "this text is a rendered chat, of which only the answers should be learned (--format rendered)"
        )
    return []
