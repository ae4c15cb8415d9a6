"""`prompt` and `completion`, as TRL writes them: both text, or both lists of messages."""

from __future__ import annotations

from typing import Any

from swiftkit.data import columns
from swiftkit.data.formats import PAIR_OPTIONAL, messages, pair
from swiftkit.schema import Turn

COLUMNS = ("prompt", "completion")
OPTIONAL = PAIR_OPTIONAL
EXAMPLE = {"prompt": "3 + 4?", "completion": "7"}


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """One question and one answer, or the messages of both, of which only the completion's have loss."""
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        return pair(row, prompt, completion)
    if not isinstance(prompt, list | str) or not isinstance(completion, list | str):
        raise ValueError("prompt and completion must be text or lists of messages")
    for name in OPTIONAL:
        if name not in columns.SYSTEM and row.get(name) not in columns.EMPTY:
            raise ValueError(f"`{name}` beside lists of messages is not supported; write it into the messages")
    before = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    after = completion if isinstance(completion, list) else [{"role": "assistant", "content": completion}]
    turns = messages.to_messages({**row, "messages": before + after})
    for turn in turns[: len(turns) - len(after)]:
        if turn["role"] == "assistant":
            turn["loss"] = False
    return turns
