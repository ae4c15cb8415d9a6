"""Columns that nothing reads, and that may change what a row means."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Finding

MAX_SHOWN = 8


def check(context: DataContext) -> Iterator[Finding]:
    """A finding with the columns' names; ids, sources, scores, dates and the like are not reported."""
    if not context.unused:
        return
    names = [f"`{name}` ({count:,} rows)" for name, count in context.unused.items()]
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    yield Finding(
        f"columns that are not used: {', '.join(names[:MAX_SHOWN])}{more}",
        "if one of them is a question, an answer or context, say so: --columns question=COLUMN; else remove it",
    )
