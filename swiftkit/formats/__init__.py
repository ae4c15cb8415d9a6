"""KIND: how a row of a dataset becomes a conversation. One file a format, with

- `COLUMNS`: the columns that a row must have to be of this format,
- `OPTIONAL`: further columns that it understands,
- `EXAMPLE`: a sound row, for `swiftkit plugins --check` and for those who read it,
- `to_messages(row) -> list[Message]`, which raises ValueError with the reason when the row is not sound.

`text` and `rendered` are told apart by content, not by columns; see `swiftkit.data`.
"""

from __future__ import annotations

from typing import Any, Protocol

from swiftkit.schema import Message


class ToMessages(Protocol):
    """The verb of a format. Pure: no files, no model."""

    def __call__(self, row: dict[str, Any]) -> list[Message]: ...


def turn(role: Any, content: Any) -> Message:
    """One message, checked."""
    if role not in ("system", "user", "assistant"):
        raise ValueError(f"unknown role {role!r} (known: system, user, assistant)")
    if not isinstance(content, str):
        raise ValueError(f"the {role}'s content is {type(content).__name__}, not text")
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the {role}'s content has half a character at {error.start} (a lone surrogate)") from error
    return {"role": role, "content": content}


def known_only(said: dict[str, Any], *known: str) -> None:
    """Refuse a turn with further fields: `loss`, `weight`, `tool_calls`, `reasoning_content` … change what is meant."""
    for key, value in said.items():
        if key not in (*known, "name", "id") and value not in (None, "", [], {}):
            raise ValueError(f"a turn has `{key}`, which is not understood; without it the turn means something else")


def pair(row: dict[str, Any], question: Any, answer: Any) -> list[Message]:
    """Question and answer of a row, with its `system` prompt and `history` of [question, answer] where it has any."""
    messages = [] if row.get("system") is None else [turn("system", row["system"])]
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(h, list) and len(h) == 2 for h in history):
        raise ValueError("history must be a list of [question, answer]")
    for asked, answered in history:
        messages += [turn("user", asked), turn("assistant", answered)]
    return [*messages, turn("user", question), turn("assistant", answer)]
