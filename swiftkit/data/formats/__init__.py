"""Kind `formats`: how a row of a dataset becomes a conversation. One file a format, with

- `COLUMNS`: the columns that a row must have to be of this format,
- `OPTIONAL`: further columns that it understands,
- `EXAMPLE`: a valid row, for `swiftkit plugins --check` and for readers,
- `to_messages(row) -> list[Message]`, which raises ValueError with the reason if the row is invalid.

`text` and `rendered` are distinguished by content, not by columns; see `swiftkit.data.examples`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from swiftkit import plugins
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Message


class ToMessages(Protocol):
    """The function of a format. Pure: no files, no model."""

    def __call__(self, row: dict[str, Any]) -> list[Message]: ...


def turn(role: Any, content: Any) -> Message:
    """One message, checked."""
    if role not in ("system", "user", "assistant"):
        raise ValueError(f"unknown role {role!r} (known: system, user, assistant)")
    if not isinstance(content, str):
        raise ValueError(f"the {role}'s content is of type {type(content).__name__}, not text")
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the {role}'s content has half a character at {error.start} (a lone surrogate)") from error
    return {"role": role, "content": content}


def refuse_unknown_fields(message: dict[str, Any], *known: str) -> None:
    """Refuse a turn with further fields: `loss`, `weight`, `tool_calls`, `reasoning_content` … change its meaning."""
    for key, value in message.items():
        if key not in (*known, "name", "id") and value not in (None, "", [], {}):
            raise ValueError(
                f"a turn has `{key}`, which is not supported, and dropping it would change the meaning of the turn"
            )


def pair(row: dict[str, Any], question: Any, answer: Any) -> list[Message]:
    """Question and answer of a row, with its `system` prompt and `history` of [question, answer], if it has any."""
    messages = [] if row.get("system") is None else [turn("system", row["system"])]
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(h, list) and len(h) == 2 for h in history):
        raise ValueError("history must be a list of [question, answer]")
    for earlier_question, earlier_answer in history:
        messages += [turn("user", earlier_question), turn("assistant", earlier_answer)]
    return [*messages, turn("user", question), turn("assistant", answer)]


def check_plugin(name: str) -> None:
    """A format's example becomes a conversation, and an invalid row is refused with a reason.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    from swiftkit.data.examples import to_examples
    from swiftkit.data.source import RawRows, Source
    from swiftkit.data.tasks import sft

    module, to_messages = plugins.module("formats", name), plugins.get("formats", name)
    columns, example = getattr(module, "COLUMNS", None), getattr(module, "EXAMPLE", None)
    if not isinstance(columns, tuple) or not columns or not all(isinstance(c, str) for c in columns):
        raise SwiftkitError("COLUMNS is not a tuple of the columns that a row must have")
    if not isinstance(example, dict) or not set(columns) <= set(example):
        raise SwiftkitError(f"EXAMPLE is not a row with the columns {', '.join(columns)}")
    to_examples(RawRows(Source(name, Path("EXAMPLE")), [("EXAMPLE", example)]), name, check=sft.check)
    invalid: tuple[Any, ...] = (None, 7, [], {}, [7], "")
    for column in columns:
        for value in invalid:
            try:
                to_messages({**example, column: value})
            except ValueError:
                continue
            except Exception as error:
                raise SwiftkitError(
                    f"if `{column}` is {value!r}, it raises {type(error).__name__}: {error}",
                    "raise ValueError with the reason",
                ) from error
