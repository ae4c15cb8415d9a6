"""From rows to examples: recognise the format, check every row, drop what is too long, split off validation."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from swiftkit import plugins, sources
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.schema import Encoded, Example, Message

logger = logging.getLogger(__name__)

# Columns that other tools give a meaning which would be lost here; a row that uses one is refused.
MEANINGFUL = (
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
TYPE = "type"  # a column of any format: the kind of question, by which an exam reports


@dataclass(frozen=True)
class Sized:
    """An example with its lengths, in tokens."""

    example: Example
    tokens: int
    learned: int


@dataclass(frozen=True)
class Account:
    """What became of every row: `read == not_sampled + too_long + train + validation`."""

    read: int
    not_sampled: int
    too_long: int
    train: int
    validation: int

    def __str__(self) -> str:
        said = [f"{self.read:,} rows read"]
        said += [f"{self.not_sampled:,} not sampled"] if self.not_sampled else []
        said += [f"{self.too_long:,} too long and dropped"] if self.too_long else []
        return ", ".join([*said, f"{self.train:,} to train on, {self.validation:,} to validate on"])


def examples(rows: sources.Rows, format: str | None, system: str | None) -> list[Example]:
    """The conversations of a source.

    Args:
        rows: what `sources.read` gave.
        format: name of the format, or None to recognise it by the columns.
        system: system prompt for conversations that have none.

    Raises:
        SwiftkitError: the format is unknown, or rows are not sound; all of them at once.
    """
    name = format_of(rows, format)
    module, to_messages = plugins.module("formats", name), plugins.get("formats", name)
    columns = getattr(module, "COLUMNS", ())
    known = {*columns, *getattr(module, "OPTIONAL", ())}
    problems, made, ignored = Problems(), [], set()
    for place, row in rows.rows:
        missing = [column for column in columns if column not in row]
        lost = [c for c in MEANINGFUL if c not in known and row.get(c) not in (None, "", [], {})]
        if isinstance(row.get("label"), bool):  # KTO: whether the answer is a good one
            lost.append("label")
        if missing:
            problems.add(f"{place}: no `{missing[0]}`; format `{name}` needs it. The row has {_listed(row)}")
        elif lost:
            problems.add(f"{place}: column `{lost[0]}` is not understood; without it the row means something else")
        else:
            ignored |= set(row) - known - {TYPE}
            try:
                made.append(_example(to_messages(row), row, place, system, name))
            except ValueError as error:
                problems.add(f"{place}: {error}")
    sources.raise_shortened(problems)
    if ignored:
        logger.info("%s: columns not used: %s", rows.source.path, ", ".join(sorted(map(str, ignored))))
    return made


def format_of(rows: sources.Rows, format: str | None) -> str:
    """The format of a source: as the user says, as its entry in the registry says, or by its first row's columns."""
    place, first = rows.rows[0]
    return format or rows.source.format or recognise(first, place)


def recognise(row: dict[str, Any], place: str) -> str:
    """The format that a row's columns belong to.

    Raises:
        SwiftkitError: none, or several; says which columns were seen and which formats exist.
    """
    formats = {}
    for name in plugins.names("formats"):
        try:
            formats[name] = getattr(plugins.module("formats", name), "COLUMNS", ())
        except SwiftkitError as error:  # somebody's broken package should not stop the others
            logger.warning("passed over: %s", error)
    formats = {name: columns for name, columns in formats.items() if isinstance(columns, tuple | list)}
    matching = [name for name, columns in formats.items() if columns and set(columns) <= set(row)]
    if "text" in matching:
        from swiftkit.formats import rendered

        if matching == ["rendered", "text"]:
            if rendered.marked(str(row["text"])):
                return "rendered"
            raise SwiftkitError(
                f"{place}: the rows have a `text` and no question and answer",
                "to learn every word of it, say --format text",
            )
        matching = [name for name in matching if name not in ("rendered", "text")]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise SwiftkitError(
            f"{place}: the columns fit several formats: {', '.join(matching)}", "choose one with --format"
        )
    if {"chosen", "rejected"} <= set(row):
        raise SwiftkitError(
            f"{place}: these are preference pairs (chosen, rejected); here every question has one answer",
            "to learn the chosen answers alone, write them as `messages`",
        )
    known = "; ".join(f"{name} ({', '.join(columns)})" for name, columns in sorted(formats.items()) if columns)
    raise SwiftkitError(f"{place}: the row has {_listed(row)}, which is no known format", f"known formats: {known}")


def _listed(row: dict[str, Any]) -> str:
    return "the columns " + ", ".join(f"`{column}`" for column in row) if row else "no columns"


def _example(messages: list[Message], row: dict[str, Any], place: str, system: str | None, name: str) -> Example:
    if name == "text":
        return Example((), place, text=row["text"])
    check(messages)
    if system is not None and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    named = row.get(TYPE)
    kind = str(named).strip() if isinstance(named, str | int) else ""
    return Example(tuple(messages), place, type=kind or None)


def check(messages: Sequence[Message]) -> None:
    """A conversation that can be learned: a system message or none, then user and assistant in turn.

    Raises:
        ValueError: it is not.
    """
    turns = list(messages)
    if turns and turns[0]["role"] == "system":
        del turns[0]
    if not any(message["role"] == "assistant" for message in turns):
        raise ValueError("no assistant turn: there is nothing to learn")
    for number, message in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        if message["role"] != expected:
            raise ValueError(f"turn {number + 1} is the {message['role']}'s, expected the {expected}'s")
        if not message["content"].strip():
            raise ValueError(f"turn {number + 1}: the {expected}'s content is empty")
    if turns[-1]["role"] != "assistant":
        raise ValueError("the last turn is the user's: there is no answer to it")


def measure(made: Sequence[Example], encoded: Iterable[Encoded]) -> list[Sized]:
    """Each example with its lengths."""
    return [Sized(example, len(tokens.ids), tokens.learned) for example, tokens in zip(made, encoded, strict=True)]


def fitting(made: list[Sized], max_length: int, max_dropped: float) -> list[Sized]:
    """The examples of at most `max_length` tokens.

    Raises:
        SwiftkitError: more than the share `max_dropped` is too long.
    """
    kept = [sized for sized in made if sized.tokens <= max_length]
    dropped = len(made) - len(kept)
    if dropped > max_dropped * len(made):
        lengths = sorted(sized.tokens for sized in made)
        enough = lengths[math.ceil((1 - max_dropped) * len(lengths)) - 1]
        longest = max(made, key=lambda sized: sized.tokens)
        raise SwiftkitError(
            f"{dropped:,} of {len(made):,} rows are longer than --max_length {max_length} tokens; "
            f"the longest is {longest.example.source} with {longest.tokens:,}",
            f"--max_length {lengths[-1]} keeps all, {enough} keeps enough; or allow it with --max_dropped "
            f"{math.ceil(100 * dropped / len(made)) / 100}",
        )
    return kept


def validation_size(rows: int, ratio: float | None) -> int:
    """How many of `rows` to validate on; `ratio` None: 1 %, at least 64, at most 1,000, never over 20 %."""
    if ratio is not None:
        return min(rows - 1, max(1, round(ratio * rows))) if ratio else 0
    return min(max(math.ceil(rows / 100), 64), 1000, rows // 5)


def split(made: list[Sized], size: int, seed: int) -> tuple[list[Sized], list[Sized]]:
    """Training and validation examples, in their order; at most `size` of the latter.

    Rows with the same questions stay together, so that no question stands on both sides. Which groups go to
    validation hangs on the questions and the seed, not on the order of the rows.
    """
    groups: dict[str, list[int]] = {}
    for index, sized in enumerate(made):
        groups.setdefault(key(sized.example, seed), []).append(index)
    chosen: set[int] = set()
    room = min(size, len(made) - 1)
    for _, group in sorted(groups.items()):
        if len(chosen) + len(group) <= room:
            chosen.update(group)
    return (
        [sized for index, sized in enumerate(made) if index not in chosen],
        [sized for index, sized in enumerate(made) if index in chosen],
    )


def key(example: Example, seed: int = 0) -> str:
    """Hash of what an example asks (of its text, if it is plain text), white space aside."""
    asked = [m["content"].split() for m in example.messages if m["role"] == "user"]
    content = json.dumps([seed, asked or (example.text or "").split()], ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
