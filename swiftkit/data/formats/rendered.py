"""`text` that is already rendered with chat markers: split into turns, so that only answers have loss."""

from __future__ import annotations

import re
from typing import Any

from swiftkit.data.formats import turn
from swiftkit.schema import Message

COLUMNS = ("text",)
OPTIONAL = ()
EXAMPLE = {"text": "### Human: 3 + 4?\n### Assistant: 7"}

_CHATML = re.compile(r"<\|im_start\|>\s*(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.S)
_HUMAN = re.compile(r"^###\s*(System|Human|User|Assistant)\s*:[ \t]*", re.M)
# Markers that identify a chat; only the two kinds above can be split into turns.
_MARKED = re.compile(
    r"<\|im_start\|>|^###\s*(?:Human|User|Assistant)\s*:|\[INST\]|<\|(?:user|assistant)\|>|<start_of_turn>"
    r"|<\|start_header_id\|>",
    re.M,
)


def has_markers(text: str) -> bool:
    """Whether `text` contains markers of a rendered chat."""
    return bool(_MARKED.search(text))


def to_messages(row: dict[str, Any]) -> list[Message]:
    """The turns between the markers, without the markers."""
    text = row["text"]
    if not isinstance(text, str):
        raise ValueError("text is not a string")
    if "<|im_start|>" in text:
        found = _CHATML.findall(text)
        outside = _CHATML.sub("", text).strip()
        # An <|im_start|>assistant at the very end is a generation prompt, not a turn.
        turns = [(role, content) for role, content in found if content.strip() or role != "assistant"]
    elif _HUMAN.search(text):
        head, *rest = _HUMAN.split(text)
        outside = head.strip()
        names = {"human": "user"}
        turns = [
            (names.get(role.lower(), role.lower()), content.strip())
            for role, content in zip(rest[::2], rest[1::2], strict=True)
        ]
    else:
        raise ValueError(
            "these chat markers are not supported; provide the rows as messages, or render them with "
            "<|im_start|> or ### Human: / ### Assistant:"
        )
    if outside:
        raise ValueError(f"there is text outside of the turns: {outside[:40]!r}")
    return [turn(role, content) for role, content in turns]
