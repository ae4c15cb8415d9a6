"""Files to rows, each with its place: JSON, JSON lines, CSV, Excel, Parquet, saved datasets; plain or compressed."""

from __future__ import annotations

import glob
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from swiftkit.data.readers import json_rows, tables, text_files
from swiftkit.data.source import BadRow, RawRows, Source
from swiftkit.errors import MAX_PROBLEMS_SHOWN, Problems, SwiftkitError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".xlsx", ".parquet", ".arrow")
COMPRESSED = (".gz", ".zst")
Reader = Callable[[Path, Problems, str | None], Iterator[tuple[int, Any]]]
_READERS: dict[str, Reader] = {
    ".jsonl": json_rows.read_lines,
    ".ndjson": json_rows.read_lines,
    ".json": json_rows.read_json,
    ".csv": tables.read_csv,
    ".tsv": tables.read_csv,
    ".xlsx": tables.read_excel,
    ".parquet": tables.read_parquet,
    ".arrow": tables.read_arrow,
}


def read(source: Source, seed: int, encoding: str | None = None, *, skip_bad: bool = False) -> RawRows:
    """All rows of a source, or the sample that was asked for (the same for the same seed, in file order).

    Args:
        source: the dataset; its path may be a folder.
        seed: of the sample.
        encoding: of text files; None: UTF-8, or UTF-16 if they begin with its byte order mark.
        skip_bad: keep broken rows apart instead of refusing the file.

    Raises:
        SwiftkitError: the file cannot be read, is empty, or has broken rows; all of them at once.
    """
    problems = Problems()
    rows = RawRows(source)
    for path in _files(source.path):
        try:
            _read_file(path, rows, problems, encoding)
        except OSError as error:
            raise SwiftkitError(f"{path}: {error.strerror or error}") from error
    if skip_bad:
        rows.broken = [BadRow(*_split_place(problem.message)) for problem in problems.found]
    else:
        problems.raise_any(MAX_PROBLEMS_SHOWN)
    if not rows.rows:
        raise SwiftkitError(f"{source.path} holds no rows")
    rows.num_read = len(rows.rows) + len(rows.broken)
    if source.sample is not None and source.sample < len(rows.rows):
        kept = random.Random(seed).sample(range(len(rows.rows)), source.sample)
        rows.rows = [rows.rows[i] for i in sorted(kept)]
    return rows


def _split_place(message: str) -> tuple[str, str]:
    """`file:17: reason` as place and reason."""
    place, _, reason = message.partition(": ")
    return place, reason


def _read_file(path: Path, rows: RawRows, problems: Problems, encoding: str | None) -> None:
    rows.files.append(path)
    for number, row in _reader(path)(path, problems, encoding):
        if (
            isinstance(row, list) and row and all(isinstance(item, dict) for item in row)
        ):  # a conversation without a name
            row = {"messages": row}
        if isinstance(row, dict):
            rows.rows.append((f"{path}:{number}", row))
        else:
            problems.add(f"{path}:{number}: the row is of type {type(row).__name__}, not an object")


def matching_files(path: Path) -> list[Path]:
    """The files that a pattern with `*`, `?` or `[…]` means, sorted; none if it is not a pattern."""
    if path.exists() or not glob.has_magic(str(path)):
        return []
    folder, pattern = Path(path.anchor), str(path.relative_to(path.anchor))
    return sorted(found for found in folder.glob(pattern) if found.is_file())


def suffix(path: Path) -> str:
    """The suffix that says what a file holds, without that of a compression."""
    name = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return name.suffix.lower()


def _reader(path: Path) -> Reader:
    if reader := _READERS.get(suffix(path)):
        return reader
    start = text_files.start_of(path)
    if start.startswith(b"{"):
        return json_rows.read_lines
    if start.startswith(b"["):
        return json_rows.read_json
    raise SwiftkitError(f"{path}: unknown file type", "known: " + ", ".join(SUFFIXES) + ", also with .gz or .zst")


def _files(path: Path) -> list[Path]:
    """The file, or those of a folder: what `datasets` saved there, else all of one known type.

    Raises:
        SwiftkitError: the folder has none, or several types.
    """
    if not path.is_dir():
        return matching_files(path) or [path]
    if (path / "dataset_dict.json").is_file():
        if not (path / "train").is_dir():
            raise SwiftkitError(f"{path} is a saved dataset without a split `train`", "name the folder of one split")
        path = path / "train"
    if (path / "state.json").is_file():
        return sorted(path.glob("*.arrow"))
    found = sorted(p for p in path.iterdir() if p.is_file() and suffix(p) in SUFFIXES and not p.name.startswith("."))
    types = sorted({suffix(p) for p in found})
    if len(types) != 1:
        holds = f"files of several types ({', '.join(types)})" if types else "no file with rows"
        raise SwiftkitError(f"dataset {path} is a folder with {holds}", f"name a file in it ({', '.join(SUFFIXES)})")
    return found
