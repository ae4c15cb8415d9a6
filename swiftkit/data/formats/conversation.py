"""`conversation`: [{"human": "…", "assistant": "…"}, …], as ms-swift 1 and MOSS write it; `dialog`: texts in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swiftkit.data import columns
from swiftkit.data.formats import parse_json, system_turns, turn
from swiftkit.schema import Turn

LAYOUTS = (("conversation",), ("dialog",), ("dialogue",), ("chat",), ("data",))
OPTIONAL = columns.SYSTEM
EXAMPLE = {"conversation": [{"human": "3 + 4?", "assistant": "7"}]}
_QUESTION, _ANSWER = ("human", "user", "question"), ("assistant", "gpt", "bot", "moss", "answer")


def to_messages(row: dict[str, Any]) -> list[Turn]:
    """Questions and answers in turn."""
    (name,) = next(names for names in LAYOUTS if names[0] in row)
    rounds = parse_json(row[name], name)
    if isinstance(rounds, Mapping):  # MOSS: {"turn_1": {…}, …}
        rounds = list(rounds.values())
    if not isinstance(rounds, list) or not rounds:
        raise ValueError(f"{name} must be a list of questions with answers")
    turns = system_turns(row)
    if all(isinstance(text, str) for text in rounds):
        return turns + [turn(("user", "assistant")[number % 2], text) for number, text in enumerate(rounds)]
    for item in rounds:
        if not isinstance(item, Mapping):
            raise ValueError(f"{name} must be a list of questions with answers")
        plain = {str(key).strip().lower(): value for key, value in item.items() if value is not None}
        question, answer = (next((key for key in names if key in plain), None) for names in (_QUESTION, _ANSWER))
        if "system" in plain and not turns:
            turns.append(turn("system", plain.pop("system")))
        if question is None or answer is None or len(plain) > 2:
            raise ValueError(f"every item of {name} must have a question and an answer ({_QUESTION[0]}, {_ANSWER[0]})")
        turns += [turn("user", plain[question]), turn("assistant", plain[answer])]
    return turns
