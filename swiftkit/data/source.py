"""One dataset that was asked for: where its rows are, and the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Source:
    """A dataset as the user named it.

    Attributes:
        name: as typed.
        path: the file or folder that holds it.
        sample: number of rows to draw; None: all.
        format: the format that its registry entry declares.
        columns: what its columns mean to their names in the file, as its registry entry declares.
    """

    name: str
    path: Path
    sample: int | None = None
    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BadRow:
    """A row that is left out: its place, the reason, and what it holds if that is known."""

    source: str
    reason: str
    row: Any = None


@dataclass
class RawRows:
    """The rows of a source, each with its place (`file:row`, rows counted from 1).

    Attributes:
        source: the dataset.
        rows: those that were kept.
        files: the files that they are from.
        broken: places that hold no row, with the reason; only with `--bad_rows skip`.
        num_read: number of rows in the file.
    """

    source: Source
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    broken: list[BadRow] = field(default_factory=list)
    num_read: int = 0

    @property
    def num_not_sampled(self) -> int:
        """Rows that `#n` left out."""
        return self.num_read - len(self.rows) - len(self.broken)
