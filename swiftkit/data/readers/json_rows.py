"""Rows of JSON and JSON lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.data.readers import text_files
from swiftkit.errors import Problems, SwiftkitError

logger = logging.getLogger(__name__)
TRAIN_KEYS = ("train", "data", "rows", "examples")  # where an object holds its rows, if several of its values are lists


def read_lines(path: Path, problems: Problems, encoding: str | None = None) -> Iterator[tuple[int, Any]]:
    """Line number and value of every line; objects that span several lines are read as well.

    Raises:
        SwiftkitError: it is no JSON at all, or has raw line breaks in its texts.
    """
    text = text_files.read_text(path, encoding)
    if text.lstrip().startswith("["):
        raise SwiftkitError(f"{path} is a JSON array, but .jsonl has one object per line", "rename it to .json")
    if _spans_lines(text, strict=True):
        yield from _spread_objects(path, text)
    elif _spans_lines(text, strict=False):
        raise SwiftkitError(
            f"{path}:1: a text has a line break in it, which JSON does not allow",
            "write it as \\n; a JSON library does that",
        )
    else:
        # Only "\n" ends a line: JSON strings may contain the other separators of `str.splitlines`.
        lines = text.split("\n")
        yield from files.parse_jsonl(lines, lambda line, reason: problems.add(f"{path}:{line}: {reason}"), _loads)


def _spans_lines(text: str, *, strict: bool) -> bool:
    """Whether the first value is JSON and does not end in its first line."""
    text = text.lstrip()
    try:
        _, end = json.JSONDecoder(strict=strict).raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return "\n" in text[:end]


def _spread_objects(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Objects over several lines, as pretty-printed JSON lines have them, each with the line that it begins in."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    position = 0
    while position < len(text):
        if text[position].isspace() or text[position] == ",":
            position += 1
            continue
        line = text.count("\n", 0, position) + 1
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            # Where the next object begins is not known, so the others cannot be read, and none may be lost.
            raise SwiftkitError(f"{path}:{line}: broken JSON in the object that begins here: {error}") from error
        yield line, value


def _loads(text: str) -> Any:
    """As `json.loads`, but a name that an object has twice is an error: only the last value would be read."""
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        name = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
        raise ValueError(f"`{name}` is there twice")
    return content


def read_json(path: Path, problems: Problems, encoding: str | None = None) -> Iterator[tuple[int, Any]]:
    """Number and value of every row of an array, or of an object that holds the rows or the columns.

    Raises:
        SwiftkitError: it is not JSON, or no rows are found in it.
    """
    text = text_files.read_text(path, encoding)
    try:
        content = _loads(text)
    except json.JSONDecodeError as error:
        if not text.lstrip().startswith("["):
            yield from read_lines(path, problems, encoding)  # many files called .json hold one row a line
            return
        raise SwiftkitError(f"{path}: broken JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise SwiftkitError(f"{path}: broken JSON: {error}") from error
    if isinstance(content, dict):
        content = _rows_of_object(path, content, is_one_line="\n" not in text.strip())
    yield from enumerate(content if isinstance(content, list) else [content], 1)


def _rows_of_object(path: Path, content: dict[str, Any], *, is_one_line: bool) -> list[Any]:
    """The rows that an object holds under a name, or as columns; itself, if it is a row."""
    lists = {name: value for name, value in content.items() if isinstance(value, list) and value}
    with_rows = [name for name, value in lists.items() if all(isinstance(item, dict) for item in value)]
    is_conversation = any(name in content for name in ("messages", "conversations", "conversation"))
    if with_rows and not is_conversation:
        name = next((key for key in TRAIN_KEYS if key in with_rows), with_rows[0] if len(with_rows) == 1 else None)
        if name is not None:
            others = ", ".join(f"`{other}`" for other in with_rows if other != name)
            logger.info("%s: the rows are those of `%s`%s", path, name, f"; {others} are not used" if others else "")
            return list(lists[name])
        raise SwiftkitError(
            f"{path} is one JSON object with several lists: {', '.join(map(repr, with_rows))}",
            "write the rows to train on into a file of their own",
        )
    columns = {name: list(value.values()) if isinstance(value, dict) else value for name, value in content.items()}
    lengths = {len(value) if isinstance(value, list) else -1 for value in columns.values()}
    if len(lengths) == 1 and lengths != {-1} and len(columns) > 1 and not is_conversation:
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if is_one_line or is_conversation:
        return [content]
    raise SwiftkitError(
        f"{path} is one JSON object with {', '.join(repr(name)[:40] for name in content)}",
        "the file must be an array of rows, or have one row per line",
    )
