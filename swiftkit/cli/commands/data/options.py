"""Options of `swiftkit data`."""

from __future__ import annotations

from swiftkit.config.fields import flag
from swiftkit.config.options import DataOptions


class DataConfig(DataOptions):
    """Check a dataset before training on it, or show its rows as a model reads them."""

    words: list[str] = flag(
        [], "`check DATASET ...` or `show DATASET ...`.", "Command", metavar="WORD", positional=True, shown="none"
    )
    exam: list[str] = flag(
        [],
        "With `check`: questions that must not be in the data.",
        "Check",
        "exam_dataset",
        shown="the exam that belongs to the data",
    )
    rows: int = flag(3, "With `show`: number of rows to show, from the first one.", "Show", ge=1)
    row: int | None = flag(None, "With `show`: only this row, counted from 1.", "Show", ge=1, shown="the first rows")
    html: str | None = flag(
        None,
        "With `show`: write an HTML page with every token and its id.",
        "Show",
        metavar="FILE",
        shown="print to stdout",
    )
