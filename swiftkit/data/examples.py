"""Rows to examples: recognize the format, check every row."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from swiftkit import plugins
from swiftkit.data import columns, formats
from swiftkit.data.columns import TYPE_COLUMN
from swiftkit.data.source import BadRow, RawRows
from swiftkit.errors import MAX_PROBLEMS_SHOWN, Problems, SwiftkitError
from swiftkit.schema import Example, Message, Turn

logger = logging.getLogger(__name__)
PLAIN_TEXT = "text"  # the one format whose rows are not conversations


@dataclass
class ReadExamples:
    """The examples of a source.

    Attributes:
        format: name of its format.
        examples: one for each row, except for those without loss.
        num_without_loss: rows that are left out because they say so (`weight: 0`).
        skipped: invalid rows, with `--bad_rows skip`.
        unused: columns that nothing reads and that may change what a row means, with the number of rows that have them.
    """

    format: str
    examples: list[Example] = field(default_factory=list)
    num_without_loss: int = 0
    skipped: list[BadRow] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example, unused: Sequence[str]) -> None:
        """Keep an example, unless none of its answers has loss."""
        answers = {index for index, message in enumerate(example.messages) if message["role"] == "assistant"}
        if answers and answers <= set(example.masked):
            self.num_without_loss += 1
        else:
            self.examples.append(example)
            self.unused.update(unused)

    def require_examples(self, path: Path) -> None:
        """Refuse a source of which nothing is left."""
        if not self.examples and self.skipped:
            raise SwiftkitError(f"{path}: no row is valid; the first: {self.skipped[0].reason}")
        if not self.examples:
            raise SwiftkitError(f"{path}: no row has loss: all {self.num_without_loss:,} have weight 0")


def to_examples(
    rows: RawRows,
    format: str | None = None,
    *,
    check: Callable[[Example], None],
    example_type: type[Example] = Example,
    system: str | None = None,
    mapping: Mapping[str, str] = MappingProxyType({}),
    skip_bad: bool = False,
) -> ReadExamples:
    """The examples of a source.

    Args:
        rows: what `readers.read` returned.
        format: name of the rows' format; None: that of the registry entry, else recognized by the first row.
        check: the task's check of an example; raises ValueError.
        example_type: the task's example type; its own fields are columns of the rows, whatever their format.
        system: system prompt for conversations without one.
        mapping: what columns mean to their names in the file (`--columns`).
        skip_bad: keep invalid rows apart instead of refusing all of them.

    Raises:
        SwiftkitError: the format is unknown, or rows are invalid; all of them at once.
    """
    mapping = {**rows.source.columns, **mapping}
    rows = rename_columns(rows, mapping)
    format = format or ("question_answer" if {"question", "answer"} <= mapping.keys() else format_of(rows))
    module, to_messages = plugins.module("formats", format), plugins.get("formats", format)
    layouts = formats.layouts(module)
    optional = {*getattr(module, "OPTIONAL", ()), *example_type.own_fields()}
    problems, read = Problems(), ReadExamples(format)
    with problems.collect():
        columns.check_flags(rows.rows, {*sum(layouts, ()), *optional})
    for place, row in rows.rows:
        try:
            known = {*_layout_of(row, layouts, format), *optional}
            columns.check_meaning(row, known)
            if not columns.has_loss(row, "the row"):
                read.num_without_loss += 1
                continue
            example = _example(to_messages(row), row, place, system, format, example_type)
            check(example)
            read.add(example, _unused(row, example, known))
        except ValueError as error:
            read.skipped.append(BadRow(place, str(error), row))
    if not skip_bad:
        problems.add_faults((bad.source, bad.reason) for bad in read.skipped)
    problems.raise_any(MAX_PROBLEMS_SHOWN)
    read.require_examples(rows.source.path)
    return read


def _layout_of(row: Mapping[str, Any], layouts: Sequence[tuple[str, ...]], format: str) -> tuple[str, ...]:
    """The first of the format's sets of columns that a row has; the columns of the others are not read."""
    nearest = max(layouts, key=lambda layout: len(set(layout) & set(row)) / len(layout))
    if missing := [column for column in nearest if column not in row]:
        raise ValueError(f"no `{missing[0]}`; format `{format}` needs it. The row has {_columns(row)}")
    return nearest


def _unused(row: Mapping[str, Any], example: Example, known: Collection[str]) -> list[str]:
    """Columns that nothing has read: neither harmless, nor empty, nor with a text that the example has anyway."""
    understood = {*known, TYPE_COLUMN, *columns.LOSS}
    texts = {message["content"].strip() for message in example.messages}
    return [
        name
        for name, value in row.items()
        if name not in understood
        and not columns.is_harmless(name)
        and value not in columns.EMPTY
        and not (name in columns.FLAGS and columns.flag(value) is not None)
        and not (isinstance(value, str) and value.strip() in texts)
    ]


def rename_columns(rows: RawRows, mapping: Mapping[str, str]) -> RawRows:
    """The rows with the names of columns that swiftkit uses: those of `mapping`, and known ones without regard to case.

    Raises:
        SwiftkitError: rows do not have the columns that the mapping names.
    """
    modules = _modules().values()
    known = {name for module in modules for layout in formats.layouts(module) for name in layout}
    known |= {name for module in modules for name in getattr(module, "OPTIONAL", ())}
    renamed = []
    for place, row in rows.rows:
        try:
            renamed.append((place, columns.rename(row, mapping, known)))
        except ValueError as error:
            raise SwiftkitError(f"{place}: {error}; the row has {_columns(row)}") from error
    return replace(rows, rows=renamed)


def format_of(rows: RawRows) -> str:
    """The format of a source: that of its registry entry, else recognized by the first row."""
    place, first = rows.rows[0]
    return rows.source.format or recognize(first, place)


def recognize(row: dict[str, Any], place: str) -> str:
    """The format that a row's columns belong to.

    Raises:
        SwiftkitError: none, or several; says which columns there are and which formats exist.
    """
    filled = {name for name, value in row.items() if value is not None}
    fitting = {
        name: [layout for layout in formats.layouts(module) if set(layout) <= filled]
        for name, module in _modules().items()
    }
    matching = {name: layouts for name, layouts in fitting.items() if layouts}
    if PLAIN_TEXT in matching:
        if list(matching) == ["rendered", PLAIN_TEXT]:
            return _rendered_or_refused(row, place)
        matching = {name: layouts for name, layouts in matching.items() if name not in ("rendered", PLAIN_TEXT)}
    if "alpaca" in matching:  # its `input` belongs to the question
        matching["question_answer"] = [names for names in matching.get("question_answer", []) if "input" not in names]
    if len(matching) > 1:  # a conversation says more than a pair that is derived from it
        matching = {name: layouts for name, layouts in matching.items() if name in ("messages", "sharegpt")} or matching
    choices = [layout for layouts in matching.values() for layout in layouts]
    if len(choices) == 1:
        return next(name for name, layouts in matching.items() if layouts)
    if choices:
        raise SwiftkitError(
            f"{place}: the columns fit several layouts: {'; '.join(', '.join(layout) for layout in choices)}",
            _how_to_choose([name for name, layouts in matching.items() if layouts], choices),
        )
    if {"chosen", "rejected"} <= set(row):
        raise SwiftkitError(
            f"{place}: these are preference pairs (chosen, rejected); `sft` needs one answer per question",
            "to train on the chosen answers only, write them as `messages`",
        )
    raise SwiftkitError(
        f"{place}: the row has {_columns(row)}, which match no known format",
        "say which are question and answer: --columns question=COLUMN answer=COLUMN (docs/data.md lists the formats)",
    )


def _how_to_choose(names: Sequence[str], layouts: Sequence[tuple[str, ...]]) -> str:
    if len(names) > 1:
        return "choose one: " + " or ".join(f"--format {name}" for name in names)
    question, answer = layouts[0]
    return f"say which are question and answer, for example --columns question={question} answer={answer}"


def _modules() -> dict[str, Any]:
    """Every format that can be imported; a broken third-party package must not stop the others."""
    modules: dict[str, Any] = {}
    for name in plugins.names("formats"):
        try:
            modules[name] = plugins.module("formats", name)
        except SwiftkitError as error:
            logger.warning("skipped: %s", error)
    return modules


def _rendered_or_refused(row: dict[str, Any], place: str) -> str:
    """`rendered` for text with chat markers; plain text must be asked for."""
    from swiftkit.data.formats import rendered

    if rendered.has_markers(str(row[PLAIN_TEXT])):
        return "rendered"
    raise SwiftkitError(
        f"{place}: the rows have a `text` and no question and answer",
        "to train on all of the text, pass --format text",
    )


def _columns(row: Mapping[str, Any]) -> str:
    names = [f"`{str(name)[:40]}`" for name in row]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return "the columns " + ", ".join(names[:12]) + more if names else "no columns"


def _example(
    turns: Sequence[Turn], row: dict[str, Any], place: str, system: str | None, format: str, example_type: type[Example]
) -> Example:
    own = {name: row[name] for name in example_type.own_fields() if row.get(name) is not None}
    if format == PLAIN_TEXT:
        return example_type((), place, text=row[PLAIN_TEXT], **own)
    if system is not None and turns and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": system}, *turns]
    value = row.get(TYPE_COLUMN)
    question_type = str(value).strip() if isinstance(value, str | int) else ""
    messages: list[Message] = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    masked = tuple(index for index, turn in enumerate(turns) if not turn.get("loss", True))
    own |= {"masked": masked, "has_reasoning": any(turn.get("reasoning") for turn in turns)}
    return example_type(tuple(messages), place, type=question_type or None, **own)
