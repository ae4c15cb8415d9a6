"""Too few rows to generalize from."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Finding

MIN_ROWS = 50  # with fewer, a model memorizes them


def check(context: DataContext) -> Iterator[Finding]:
    """A finding if there are fewer than `MIN_ROWS` rows."""
    count = len(context.examples)
    if count < MIN_ROWS:
        yield Finding(
            f"only {count:,} {'row' if count == 1 else 'rows'}",
            "the model will likely memorize them; aim for a few hundred",
        )
