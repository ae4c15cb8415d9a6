"""`prompt` and `completion`, as TRL writes them: both text, or both lists of messages."""

from __future__ import annotations

from typing import Any

from swiftkit.data.formats import PAIR_OPTIONAL, messages, pair
from swiftkit.schema import Turn

COLUMNS = ("prompt", "completion")
OPTIONAL = PAIR_OPTIONAL
EXAMPLE = {"prompt": "3 + 4?", "completion": "7"}


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """One question and one answer, or the two lists in a row, of which only the completion has loss."""
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        turns = messages.to_messages({**row, "messages": prompt + completion})
        start = len(turns) - len(completion)
        for number, turn in enumerate(turns):
            if turn["role"] == "assistant" and number < start:
                turn["loss"] = False
        return turns
    if isinstance(prompt, list) and isinstance(completion, str):
        return to_messages({**row, "completion": [{"role": "assistant", "content": completion}]})
    if isinstance(prompt, str) and isinstance(completion, list) and len(completion) > 1:
        return to_messages({**row, "prompt": [{"role": "user", "content": prompt}]})
    if isinstance(completion, list) and completion and isinstance(completion[0], dict):
        completion = completion[0].get("content")
    return pair(row, prompt, completion)
