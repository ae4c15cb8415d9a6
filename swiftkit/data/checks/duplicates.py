"""Repeated rows, and questions with several answers."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Finding


def check(context: DataContext) -> Iterator[Finding]:
    """A finding for copies, and one for conflicting answers."""
    duplicates = context.duplicates
    if duplicates.first_identical:
        yield Finding(
            f"copies of other rows: {duplicates.identical:,} (the first: {' and '.join(duplicates.first_identical)})",
            "a repeated row has more weight: remove the copies, unless that is intended",
        )
    if duplicates.first_conflicting:
        yield Finding(
            f"other answers to the question of another row: {duplicates.conflicting:,} "
            f"(the first: {' and '.join(duplicates.first_conflicting)})",
            "if the answers contradict each other, keep the correct one",
        )
