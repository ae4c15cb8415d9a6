"""`text` that is already rendered with chat markers: taken apart into turns, so that only answers are learned."""

from __future__ import annotations

import re
from typing import Any

from swiftkit.formats import turn
from swiftkit.schema import Message

COLUMNS = ("text",)
OPTIONAL = ()
EXAMPLE = {"text": "### Human: 3 + 4?\n### Assistant: 7"}

_CHATML = re.compile(r"<\|im_start\|>\s*(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.S)
_HUMAN = re.compile(r"^###\s*(System|Human|User|Assistant)\s*:[ \t]*", re.M)
# Markers that say "this is a chat", of which only the two above are taken apart.
_MARKED = re.compile(
    r"<\|im_start\|>|^###\s*(?:Human|User|Assistant)\s*:|\[INST\]|<\|(?:user|assistant)\|>|<start_of_turn>"
    r"|<\|start_header_id\|>",
    re.M,
)


def marked(text: str) -> bool:
    """Whether `text` carries markers of a rendered chat."""
    return bool(_MARKED.search(text))


def to_messages(row: dict[str, Any]) -> list[Message]:
    """The turns between the markers, without the markers."""
    text = row["text"]
    if not isinstance(text, str):
        raise ValueError("text is not text")
    if "<|im_start|>" in text:
        found = _CHATML.findall(text)
        covered = _CHATML.sub("", text).strip()
        # An <|im_start|>assistant at the very end is a generation prompt, not a turn.
        turns = [(role, content) for role, content in found if content.strip() or role != "assistant"]
    elif _HUMAN.search(text):
        head, *rest = _HUMAN.split(text)
        covered = head.strip()
        names = {"human": "user"}
        turns = [
            (names.get(role.lower(), role.lower()), content.strip())
            for role, content in zip(rest[::2], rest[1::2], strict=True)
        ]
    else:
        raise ValueError(
            "these chat markers are not understood; give the rows as messages, or render them with "
            "<|im_start|> or ### Human: / ### Assistant:"
        )
    if covered:
        raise ValueError(f"there is text outside of the turns: {covered[:40]!r}")
    return [turn(role, content) for role, content in turns]
