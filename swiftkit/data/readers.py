"""Files to rows, each with its place: JSON lines, JSON, CSV, Parquet."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.data.source import RawRows, Source
from swiftkit.errors import MAX_PROBLEMS_SHOWN, Problems, SwiftkitError

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def read(source: Source, seed: int) -> RawRows:
    """All rows of a source, or the sample that was asked for (the same for the same seed, in file order).

    Raises:
        SwiftkitError: the file cannot be read, is empty, or has broken rows; all of them at once.
    """
    problems = Problems()
    rows = RawRows(source)
    readers: dict[str, Callable[[Path, Problems], Iterator[tuple[int, Any]]]] = {
        ".jsonl": _jsonl,
        ".json": _json,
        ".csv": _csv,
        ".parquet": _parquet,
    }
    reader = readers.get(source.path.suffix.lower())
    if reader is None:
        raise SwiftkitError(f"{source.path}: unknown file type", "known: " + ", ".join(SUFFIXES))
    try:
        for number, row in reader(source.path, problems):
            if isinstance(row, dict):
                rows.rows.append((f"{source.path}:{number}", row))
            else:
                problems.add(f"{source.path}:{number}: the row is of type {type(row).__name__}, not an object")
    except OSError as error:
        raise SwiftkitError(f"{source.path}: {error.strerror}") from error
    problems.raise_any(MAX_PROBLEMS_SHOWN)
    if not rows.rows:
        raise SwiftkitError(f"{source.path} holds no rows")
    rows.num_read = len(rows.rows)
    if source.sample is not None and source.sample < rows.num_read:
        kept = random.Random(seed).sample(range(rows.num_read), source.sample)
        rows.rows = [rows.rows[i] for i in sorted(kept)]
    return rows


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise SwiftkitError(
            f"{path}:{row}: not UTF-8 (byte {content[error.start]:#04x} at offset {error.start})",
            f"convert it: iconv -f GB18030 -t UTF-8 {path} > {path.stem}-utf8{path.suffix} (or -f LATIN1)",
        ) from error


def _jsonl(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    text = _text(path)
    if text.lstrip().startswith("["):
        raise SwiftkitError(f"{path} is a JSON array, but .jsonl has one object per line", "rename it to .json")
    # Only "\n" ends a line: JSON strings may contain the other separators of `str.splitlines`.
    yield from files.parse_jsonl(text.split("\n"), lambda number, reason: problems.add(f"{path}:{number}: {reason}"))


def _json(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    text = _text(path)
    if not text.lstrip().startswith("["):
        _refuse_single_object(path, text)
        yield from _jsonl(path, problems)  # many files called .json hold one row a line
        return
    try:
        yield from enumerate(json.loads(text), 1)
    except json.JSONDecodeError as error:
        raise SwiftkitError(f"{path}: broken JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise SwiftkitError(f"{path}: broken JSON: {error}") from error


def _refuse_single_object(path: Path, text: str) -> None:
    """Refuse a file that is one object over several lines, and say where its rows may be."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(content, dict) and "\n" in text.strip():
        lists = " or ".join(repr(key) for key, value in content.items() if isinstance(value, list))
        raise SwiftkitError(
            f"{path} is one JSON object with {', '.join(map(repr, content))}",
            f"the file must be the array of rows; is it the value of {lists}?" if lists else "write one row per line",
        )


def _csv(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        for number, row in enumerate(reader, 1):
            if None in row or None in row.values():
                problems.add(f"{path}:{number}: the row does not have as many fields as the header")
            else:
                yield number, row
    except csv.Error as error:
        raise SwiftkitError(f"{path}: broken CSV in line {reader.line_num}: {error}") from error


def _parquet(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    import pyarrow.lib
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.lib.ArrowInvalid as error:
        raise SwiftkitError(f"{path} is not a Parquet file: {error}") from error
    yield from enumerate(table.to_pylist(), 1)
