"""Kind `formats`: how a row of a dataset becomes a conversation. One file a format, with

- `COLUMNS`: the columns that a row must have to be of this format; `LAYOUTS` instead: several such tuples, of which a
  row must have one,
- `OPTIONAL`: further columns that it understands,
- `EXAMPLE`: a valid row, for `swiftkit plugins --check` and for readers,
- `to_messages(row) -> list[Turn]`, which raises ValueError with the reason if the row is invalid.

`text` and `rendered` are distinguished by content, not by columns; see `swiftkit.data.examples`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from swiftkit import plugins
from swiftkit.chat.rendered import split_prompt
from swiftkit.data import columns
from swiftkit.data.columns import EMPTY
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Turn

# What `pair` understands besides question and answer.
PAIR_OPTIONAL = (*columns.SYSTEM, "history", *columns.CONTEXT, *columns.CHOICES, *columns.REASONING)
ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "chatbot", "model"), "assistant"),
}


class ToMessages(Protocol):
    """The function of a format. Pure: no files, no model."""

    def __call__(self, row: dict[str, Any]) -> list[Turn]: ...


def layouts(module: ModuleType) -> list[tuple[str, ...]]:
    """The sets of columns by which a format is recognized."""
    declared = getattr(module, "LAYOUTS", None) or [getattr(module, "COLUMNS", ())]
    return [tuple(layout) for layout in declared if isinstance(layout, tuple | list) and layout]


def turn(role: Any, content: Any) -> Turn:
    """One message, checked; the names of roles of other tools are accepted, and a list of texts as content.

    Raises:
        ValueError: the role is unknown, or the content is not text.
    """
    known = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is None:
        raise ValueError(f"unknown role {role!r} (known: system, user, assistant)")
    if isinstance(content, list) and content and all(map(_is_text_part, content)):
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        kind = (
            next((p.get("type") for p in content if isinstance(p, Mapping)), None)
            if isinstance(content, list)
            else None
        )
        detail = f" with a part of type {kind!r}" if kind else ""
        fix = "; write it as JSON text if that is meant" if isinstance(content, dict) else ""
        raise ValueError(f"the {known}'s content is of type {type(content).__name__}{detail}, not text{fix}")
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the {known}'s content has half a character at {error.start} (a lone surrogate)") from error
    return {"role": known, "content": content}  # type: ignore[typeddict-item]


def _is_text_part(part: Any) -> bool:
    """OpenAI's way to write content as a list."""
    return isinstance(part, Mapping) and part.get("type", "text") == "text" and isinstance(part.get("text"), str)


def to_turn(message: Mapping[str, Any], role: Any, content: Any, *known: str) -> Turn:
    """A turn with its own word about loss (`weight`, `loss`, `train`) and about reasoning.

    Args:
        message: the turn as in the row.
        role, content: those of its values that are role and content.
        known: the names of these values, and of others that mean nothing.

    Raises:
        ValueError: it has further fields that change its meaning.
    """
    understood = {*known, "name", "id", *columns.LOSS, *columns.REASONING}
    for key, value in message.items():
        if key not in understood and value not in EMPTY:
            raise ValueError(
                f"a turn has `{key}`, which is not supported, and dropping it would change the meaning of the turn"
            )
    found = turn(role, content)
    if found["role"] == "assistant":
        found = add_reasoning(message, found)
        if not columns.has_loss(message, "a turn"):
            found["loss"] = False
    elif any(columns.flag(message.get(name)) for name in columns.LOSS):
        raise ValueError(f"a turn of the {found['role']} asks for loss, which only the assistant's turns can have")
    return found


def add_reasoning(place: Mapping[str, Any], reply: Turn) -> Turn:
    """An answer with the reasoning of its row or turn in front of it, between `<think>` and `</think>`.

    Raises:
        ValueError: the reasoning is not text, or is in several places.
    """
    names = [name for name in columns.REASONING if place.get(name) not in EMPTY]
    if not names:
        return reply
    reasoning = place[names[0]]
    if not isinstance(reasoning, str):
        raise ValueError(f"{names[0]} is of type {type(reasoning).__name__}, not text")
    if len(names) > 1 or "</think>" in reply["content"]:
        raise ValueError(f"there is reasoning in `{names[0]}` and in {f'`{names[1]}`' if names[1:] else 'the answer'}")
    content = f"<think>\n{reasoning.strip()}\n</think>\n\n{reply['content']}"
    return {"role": "assistant", "content": content, "reasoning": True}


def system_turns(row: Mapping[str, Any]) -> list[Turn]:
    """The row's system prompt as a turn, if a column of it has one.

    Raises:
        ValueError: two columns have different ones.
    """
    texts = [row[name] for name in columns.SYSTEM if row.get(name) is not None]
    if len(texts) > 1 and texts[0] != texts[1]:
        raise ValueError(f"the columns {' and '.join(columns.SYSTEM)} have different texts")
    return [turn("system", text) for text in texts[:1]]


def join_system(system: list[Turn], turns: list[Turn]) -> list[Turn]:
    """A conversation below the system prompt of its row.

    Raises:
        ValueError: it has another one itself.
    """
    if system and turns and turns[0]["role"] == "system":
        if system[0]["content"] not in ("", turns[0]["content"]):
            raise ValueError("there is a system column and a system message")
        return turns
    return [*system, *turns]


def parse_json(value: Any, name: str) -> Any:
    """A list that is written as JSON text, the only way in CSV.

    Raises:
        ValueError: the text is not JSON.
    """
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"{name} is text that is not JSON: {error}") from error


def pair(row: Mapping[str, Any], question: Any, answer: Any) -> list[Turn]:
    """Question and answer of a row, with all that its other columns say (`PAIR_OPTIONAL`).

    The context is put in front of the question and the choices below it (`columns.put_in_front`); a number as answer
    becomes text.

    Raises:
        ValueError: the reason why the row is invalid.
    """
    answer = columns.choice_of(row, _plain_answer(answer))
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    if isinstance(question, str) and isinstance(answer, str) and (parts := split_prompt(question, answer)):
        turns, answer = parts
        *earlier, last = [turn(role, content) for role, content in turns]
        if row.get("history") not in EMPTY:
            raise ValueError("there is a history, and the question is a rendered chat itself")
        for reply in earlier:
            if reply["role"] == "assistant":
                reply["loss"] = False  # it belongs to the prompt
    else:
        earlier, last = _history(row.get("history")), turn("user", question)
    last["content"] = columns.put_in_front(row, last["content"])
    return [*join_system(system_turns(row), earlier), last, add_reasoning(row, turn("assistant", answer))]


def _plain_answer(answer: Any) -> Any:
    """The answer in a list of one or, as in SQuAD, in a dictionary with a list of equal texts."""
    texts = answer.get("text") if isinstance(answer, Mapping) and set(answer) <= {"text", "answer_start"} else answer
    if isinstance(texts, list) and texts and len({json.dumps(text, default=str) for text in texts}) == 1:
        return texts[0]
    if isinstance(texts, list) and len(texts) > 1:
        raise ValueError("there are several answers; keep one of them")
    return answer


def _history(value: Any) -> list[Turn]:
    """Earlier turns: [[question, answer], …], the same as JSON text, or a list of messages."""
    history = parse_json(value, "history") or []
    turns: list[Turn] = []
    if isinstance(history, list) and history and all(isinstance(item, Mapping) for item in history):
        return [to_turn(item, item.get("role"), item.get("content"), "role", "content") for item in history]
    if not isinstance(history, list) or not all(isinstance(item, list | tuple) and len(item) == 2 for item in history):
        raise ValueError("history must be a list of [question, answer]")
    for question, reply in history:
        if question is None:
            raise ValueError(f"history has an answer without a question ({str(reply)[:40]!r}); remove it")
        turns += [turn("user", question), turn("assistant", reply)]
    return turns


def check_plugin(name: str) -> None:
    """A format's example becomes a conversation, and an invalid row is refused with a reason.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    from swiftkit.data.examples import to_examples
    from swiftkit.data.source import RawRows, Source
    from swiftkit.data.tasks import sft

    module, to_messages = plugins.module("formats", name), plugins.get("formats", name)
    known, example = layouts(module), getattr(module, "EXAMPLE", None)
    if not known or not all(isinstance(column, str) for layout in known for column in layout):
        raise SwiftkitError("COLUMNS is not a tuple of the columns that a row must have")
    layout = next((layout for layout in known if isinstance(example, dict) and set(layout) <= set(example)), None)
    if layout is None or not isinstance(example, dict):
        raise SwiftkitError(f"EXAMPLE is not a row with the columns {', '.join(known[0])}")
    to_examples(RawRows(Source(name, Path("EXAMPLE")), [("EXAMPLE", example)]), name, check=sft.check)
    invalid: tuple[Any, ...] = (None, 7, [], {}, [7], "")
    for column in layout:
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
