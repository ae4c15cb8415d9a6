"""Questions of the exam in the training data."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Finding


def check(context: DataContext) -> Iterator[Finding]:
    """A finding for identical questions, and one for similar ones."""
    overlap = context.overlap
    if overlap is None:
        return
    for what, pairs in (("in the data", overlap.identical), ("similar to a row of the data", overlap.similar)):
        if pairs:
            yield Finding(
                f"questions of {overlap.dataset} that are {what}: {len(pairs):,} of {overlap.num_questions:,} "
                f"(the first: {pairs[0][0]} and {pairs[0][1]})",
                "remove these rows from the training data: they inflate the score",
            )
