"""Where rows come from: a dataset's name, a file, a hub id; and reading them, with the place of each row."""

from __future__ import annotations

import csv
import io
import json
import logging
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from swiftkit import assets
from swiftkit.errors import Problems, SwiftkitError, nearest

logger = logging.getLogger(__name__)
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
SHOWN = 20  # problems of one dataset that are printed; the rest is counted


class DatasetEntry(BaseModel):
    """What `datasets/<name>.yaml` declares: a `path` relative to that file, or the hub ids; `exam` names a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    license: str
    path: str | None = None
    modelscope: str | None = None
    huggingface: str | None = None
    format: str | None = None
    exam: str | None = None


@dataclass(frozen=True)
class Source:
    """One dataset as asked for: the file that holds it and how many of its rows are wanted (None: all)."""

    asked: str
    path: Path
    sample: int | None = None
    format: str | None = None


@dataclass
class Rows:
    """The rows of a source, each with its place (`file:row`, rows counted from 1), and how many were left out."""

    source: Source
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    read: int = 0

    @property
    def not_sampled(self) -> int:
        """Rows that `#n` left out."""
        return self.read - len(self.rows)


def entries() -> dict[str, DatasetEntry]:
    """Every sound dataset of the registry; of the others is said what is wrong with them."""
    found = {}
    for name, paths in assets.claims("datasets", ".yaml").items():
        try:
            found[name] = entry(assets.one("datasets", name, paths))
        except SwiftkitError as error:
            logger.warning("left out: %s", error)
    return found


def entry(path: Path) -> DatasetEntry:
    """One `datasets/*.yaml`, checked."""
    try:
        return DatasetEntry(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, TypeError, ValueError) as error:  # ValidationError is a ValueError
        raise SwiftkitError(f"{path} is no dataset entry: {error}", "docs/data.md lists its fields") from error


def find(asked: str) -> Source:
    """The source that `asked` means: a file, a name of the registry, or a hub id, `#n` behind it or not.

    Raises:
        SwiftkitError: nothing is found under that name.
    """
    try:
        asked.encode()
        name, sample = _sampled(asked)
        path = Path(name).expanduser()
        is_file = path.is_file()
    except (OSError, UnicodeEncodeError, RuntimeError) as error:
        raise SwiftkitError(f"--dataset {asked[:60]!r} is no name of a file: {error}") from error
    known = assets.claims("datasets", ".yaml")
    if is_file:
        return Source(asked, path, sample)
    if name in known:
        return replace(_registered(name, assets.one("datasets", name, known[name])), asked=asked, sample=sample)
    if Path(name).is_dir():
        raise SwiftkitError(f"dataset {name} is a folder", f"name a file in it ({', '.join(SUFFIXES)})")
    looks_like_a_file = name.startswith((".", "/", "~")) or Path(name).suffix in SUFFIXES
    if looks_like_a_file:
        raise SwiftkitError(f"dataset {name} does not exist", _beside(Path(name)))
    if re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+){0,2}", name):
        from swiftkit.hub import fetch_dataset

        return Source(asked, fetch_dataset(name), sample)
    hint = nearest(name, known) + "; a file ends in " + " ".join(SUFFIXES) + ", a hub id is org/name"
    raise SwiftkitError(f"no dataset is named `{name}`", hint)


def _sampled(asked: str) -> tuple[str, int | None]:
    name, mark, count = asked.rpartition("#")
    if not mark or Path(asked).expanduser().exists():
        return asked, None
    if not count.isdecimal() or int(count) == 0:
        raise SwiftkitError(f"dataset {asked}: `#{count}` is no number of rows", f"write {name}#500")
    return name, int(count)


def _registered(name: str, path: Path) -> Source:
    declared = entry(path)
    if declared.path:
        return Source(name, path.parent / declared.path, format=declared.format)
    from swiftkit.hub import fetch_dataset

    if declared.modelscope:
        return Source(name, fetch_dataset(declared.modelscope, ("modelscope",)), format=declared.format)
    if declared.huggingface:
        return Source(name, fetch_dataset(declared.huggingface, ("huggingface",)), format=declared.format)
    raise SwiftkitError(f"{path} names neither a path nor a hub id", "docs/data.md lists its fields")


def _beside(path: Path) -> str:
    folder = path.expanduser().parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    held = sorted(p.name for p in folder.iterdir())
    return nearest(path.name, held, f"the folder {folder.resolve()} holds: {', '.join(held[:10]) or 'nothing'}")


def read(source: Source, seed: int) -> Rows:
    """All rows of `source`, or the sample that was asked for (the same for the same seed, in file order).

    Raises:
        SwiftkitError: the file cannot be read, is empty, or has broken rows; all of them at once.
    """
    problems = Problems()
    rows = Rows(source)
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(source.path.suffix.lower())
    if reader is None:
        raise SwiftkitError(f"{source.path}: unknown kind of file", "known: " + ", ".join(SUFFIXES))
    try:
        for number, row in reader(source.path, problems):
            if isinstance(row, dict):
                rows.rows.append((f"{source.path}:{number}", row))
            else:
                problems.add(f"{source.path}:{number}: the row is {type(row).__name__}, not an object")
    except OSError as error:
        raise SwiftkitError(f"{source.path}: {error.strerror}") from error
    raise_shortened(problems)
    if not rows.rows:
        raise SwiftkitError(f"{source.path} holds no rows")
    rows.read = len(rows.rows)
    if source.sample is not None and source.sample < rows.read:
        kept = random.Random(seed).sample(range(rows.read), source.sample)
        rows.rows = [rows.rows[i] for i in sorted(kept)]
    return rows


def raise_shortened(problems: Problems) -> None:
    """Raise what was found, at most `SHOWN` of it, and say how much more there is."""
    more = len(problems.found) - SHOWN
    if more > 0:
        del problems.found[SHOWN:]
        problems.add(f"… and {more:,} more rows like these")
    problems.raise_any()


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
        raise SwiftkitError(f"{path} is a JSON array, and .jsonl is one object a line", "rename it to .json")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(f"{path}:{number}: broken JSON: {error.msg} at character {error.pos + 1}")
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
            problems.add(f"{path}:{number}: broken JSON: {error}")


def _json(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    text = _text(path)
    if not text.lstrip().startswith("["):
        _no_single_object(path, text)
        yield from _jsonl(path, problems)  # many files called .json hold a row a line
        return
    try:
        yield from enumerate(json.loads(text), 1)
    except json.JSONDecodeError as error:
        said = f"{path}: broken JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        raise SwiftkitError(said) from error
    except (ValueError, RecursionError) as error:
        raise SwiftkitError(f"{path}: broken JSON: {error}") from error


def _no_single_object(path: Path, text: str) -> None:
    """Refuse a file that is one object over several lines, and say where its rows may be."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(whole, dict) and "\n" in text.strip():
        lists = " or ".join(repr(key) for key, value in whole.items() if isinstance(value, list))
        raise SwiftkitError(
            f"{path} is one JSON object with {', '.join(map(repr, whole))}",
            f"the file must be the array itself; is it what stands under {lists}?" if lists else "one row a line",
        )


def _csv(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        for number, row in enumerate(reader, 1):
            if None in row or None in row.values():
                problems.add(f"{path}:{number}: the row has not as many fields as the header")
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
        raise SwiftkitError(f"{path} is no Parquet file: {error}") from error
    yield from enumerate(table.to_pylist(), 1)
