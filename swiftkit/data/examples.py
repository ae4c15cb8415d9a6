"""Rows to examples: recognize the format, check every row."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from swiftkit import plugins
from swiftkit.data.source import RawRows
from swiftkit.errors import MAX_PROBLEMS_SHOWN, Problems, SwiftkitError
from swiftkit.schema import Example, Message

logger = logging.getLogger(__name__)

# Columns to which other tools give a meaning that would be lost here; a row that uses one is refused.
MEANINGFUL_COLUMNS = (
    "tools",
    "images",
    "videos",
    "audios",
    "objects",
    "rejected_response",
    "rejected_messages",
    "chosen",
    "rejected",
)
TYPE_COLUMN = "type"  # in any format: the type of question, by which exam scores are broken down
PLAIN_TEXT = "text"  # the one format whose rows are not conversations


def to_examples(
    rows: RawRows,
    format: str,
    *,
    check: Callable[[Example], None],
    example_type: type[Example] = Example,
    system: str | None = None,
) -> list[Example]:
    """The examples of a source.

    Args:
        rows: what `readers.read` returned.
        format: name of the rows' format.
        check: the task's check of an example; raises ValueError.
        example_type: the task's example type; its own fields are columns of the rows, whatever their format.
        system: system prompt for conversations without one.

    Raises:
        SwiftkitError: the format is unknown, or rows are invalid; all of them at once.
    """
    module, to_messages = plugins.module("formats", format), plugins.get("formats", format)
    columns = getattr(module, "COLUMNS", ())
    known = {*columns, *getattr(module, "OPTIONAL", ()), *example_type.own_fields()}
    problems, examples, ignored = Problems(), [], set()
    for place, row in rows.rows:
        missing = [column for column in columns if column not in row]
        lost = [c for c in MEANINGFUL_COLUMNS if c not in known and row.get(c) not in (None, "", [], {})]
        if isinstance(row.get("label"), bool):  # KTO: whether the answer is desirable
            lost.append("label")
        if missing:
            problems.add(f"{place}: no `{missing[0]}`; format `{format}` needs it. The row has {_columns(row)}")
        elif lost:
            problems.add(
                f"{place}: column `{lost[0]}` is not supported, and dropping it would change the meaning of the row"
            )
        else:
            ignored |= set(row) - known - {TYPE_COLUMN}
            try:
                example = _example(to_messages(row), row, place, system, format, example_type)
                check(example)
                examples.append(example)
            except ValueError as error:
                problems.add(f"{place}: {error}")
    problems.raise_any(MAX_PROBLEMS_SHOWN)
    if ignored:
        logger.info("%s: columns not used: %s", rows.source.path, ", ".join(sorted(map(str, ignored))))
    return examples


def format_of(rows: RawRows, format: str | None) -> str:
    """The format of a source: the user's choice, else its registry entry's, else recognized by the first row."""
    place, first = rows.rows[0]
    return format or rows.source.format or recognize(first, place)


def recognize(row: dict[str, Any], place: str) -> str:
    """The format that a row's columns belong to.

    Raises:
        SwiftkitError: none, or several; says which columns there are and which formats exist.
    """
    formats = _known_formats()
    matching = [name for name, columns in formats.items() if set(columns) <= set(row)]
    if PLAIN_TEXT in matching:
        if matching == ["rendered", PLAIN_TEXT]:
            return _rendered_or_refused(row, place)
        matching = [name for name in matching if name not in ("rendered", PLAIN_TEXT)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise SwiftkitError(
            f"{place}: the columns fit several formats: {', '.join(matching)}", "choose one with --format"
        )
    if {"chosen", "rejected"} <= set(row):
        raise SwiftkitError(
            f"{place}: these are preference pairs (chosen, rejected); `sft` needs one answer per question",
            "to train on the chosen answers only, write them as `messages`",
        )
    known = "; ".join(f"{name} ({', '.join(columns)})" for name, columns in sorted(formats.items()))
    raise SwiftkitError(f"{place}: the row has {_columns(row)}, which match no known format", f"known formats: {known}")


def _known_formats() -> dict[str, tuple[str, ...]]:
    """Name to required columns of every format that can be imported."""
    formats: dict[str, Any] = {}
    for name in plugins.names("formats"):
        try:
            formats[name] = getattr(plugins.module("formats", name), "COLUMNS", ())
        except SwiftkitError as error:  # a broken third-party package must not stop the others
            logger.warning("skipped: %s", error)
    return {name: tuple(columns) for name, columns in formats.items() if isinstance(columns, tuple | list) and columns}


def _rendered_or_refused(row: dict[str, Any], place: str) -> str:
    """`rendered` for text with chat markers; plain text must be asked for."""
    from swiftkit.data.formats import rendered

    if rendered.has_markers(str(row[PLAIN_TEXT])):
        return "rendered"
    raise SwiftkitError(
        f"{place}: the rows have a `text` and no question and answer",
        "to train on all of the text, pass --format text",
    )


def _columns(row: dict[str, Any]) -> str:
    return "the columns " + ", ".join(f"`{column}`" for column in row) if row else "no columns"


def _example(
    messages: list[Message],
    row: dict[str, Any],
    place: str,
    system: str | None,
    format: str,
    example_type: type[Example],
) -> Example:
    own = {name: row[name] for name in example_type.own_fields() if row.get(name) is not None}
    if format == PLAIN_TEXT:
        return example_type((), place, text=row[PLAIN_TEXT], **own)
    if system is not None and messages and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    value = row.get(TYPE_COLUMN)
    question_type = str(value).strip() if isinstance(value, str | int) else ""
    return example_type(tuple(messages), place, type=question_type or None, **own)
