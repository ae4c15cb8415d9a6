"""Rows of tables: CSV, Excel, Parquet, Arrow."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swiftkit.data.readers import text_files
from swiftkit.errors import Problems, SwiftkitError

csv.field_size_limit(sys.maxsize)  # documents are longer than the 128 KiB of the default
DELIMITERS = (",", ";", "\t", "|")


def read_csv(path: Path, problems: Problems, encoding: str | None = None) -> Iterator[tuple[int, dict[str, str]]]:
    """The line in which it begins, and the fields of every row; rows without any text are skipped.

    The delimiter is what `sep=` in the first line says, a tab in .tsv, else the one that the header has.

    Raises:
        SwiftkitError: it is not CSV, or two columns have one name.
    """
    text = text_files.read_text(path, encoding)
    first, _, rest = text.partition("\n")
    offset, delimiter = 0, "\t" if ".tsv" in path.suffixes else None
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        offset, delimiter, text = 1, first[4], rest
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter(text), strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for fields in reader:
            line, start = start + offset, reader.line_num + 1
            if not any(field.strip() for field in fields):
                continue
            if header is None:
                header = _header(path, fields)
            elif len(fields) != len(header):
                problems.add(
                    f"{path}:{line}: the row has {len(fields)} fields, the header {len(header)}; "
                    f"a text with {reader.dialect.delimiter!r} in it must be in quotes"
                )
            else:
                yield line, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise SwiftkitError(
            f"{path}:{start + offset}: broken CSV in the row that begins here: {error}",
            'a text with quotes in it must be in quotes itself, and its own be doubled: "a ""b"" c"',
        ) from error


def _delimiter(text: str) -> str:
    """The delimiter of the header; a comma if that has several kinds, or none."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    found = [delimiter for delimiter in DELIMITERS if delimiter in header]
    return found[0] if found else ","


def _header(path: Path, names: Sequence[str]) -> list[str]:
    repeated = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if repeated:
        raise SwiftkitError(f"{path}: several columns are named `{repeated[0]}`", "rename all but one of them")
    return list(names)


def read_excel(path: Path, problems: Problems, encoding: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number in the sheet and cells of every row of the first sheet; rows without any content are skipped.

    Raises:
        SwiftkitError: it is not an Excel file, or two columns have one name.
    """
    import zipfile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(io.BytesIO(text_files.read_bytes(path)), read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise SwiftkitError(f"{path} is not an Excel file (.xlsx): {error}") from error
    header: list[str] | None = None
    for number, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
        if all(cell in (None, "") for cell in cells):
            continue
        if header is None:
            header = _header(path, ["" if cell is None else str(cell) for cell in cells])
        else:
            yield number, {name: cell for name, cell in zip(header, cells, strict=False) if name or cell is not None}


def read_parquet(path: Path, problems: Problems, encoding: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and values of every row.

    Raises:
        SwiftkitError: it is not a Parquet file.
    """
    import pyarrow.lib
    import pyarrow.parquet

    content = text_files.read_bytes(path)
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except (pyarrow.lib.ArrowInvalid, OSError) as error:
        raise SwiftkitError(f"{path} is not a Parquet file: {error}") from error
    yield from enumerate(table.to_pylist(), 1)


def read_arrow(path: Path, problems: Problems, encoding: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and values of every row of what `datasets` saved.

    Raises:
        SwiftkitError: it is not an Arrow file.
    """
    import pyarrow
    import pyarrow.ipc

    try:
        with pyarrow.memory_map(str(path)) as stream:
            yield from enumerate(pyarrow.ipc.open_stream(stream).read_all().to_pylist(), 1)
    except (pyarrow.lib.ArrowInvalid, OSError) as error:
        raise SwiftkitError(f"{path} is not an Arrow stream: {error}") from error
