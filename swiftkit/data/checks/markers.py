"""Answer markers that are invalid, missing in some rows, or of two kinds."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.data.facts import INVALID, NONE, DataContext
from swiftkit.schema import Finding


def check(context: DataContext) -> Iterator[Finding]:
    """Findings about the markers of the last answers."""
    counts, first = context.markers.counts, context.markers.first
    if counts[INVALID]:
        yield Finding(
            f"answers with a marker that holds no value: {counts[INVALID]:,} (the first: {first[INVALID]})",
            "write the value into it",
        )
    if (counts["<<ans:…>>"] or counts["{{ans:…}}"]) and counts[NONE]:
        yield Finding(
            f"answers without a marker, which other rows have: {counts[NONE]:,} of {len(context.examples):,} "
            f"(the first: {first[NONE]})",
            "the model would be trained on both: give all answers a marker, or none",
        )
    if counts["<<ans:…>>"] and counts["{{ans:…}}"]:
        yield Finding("both <<ans:…>> and {{ans:…}} are used", "one kind of marker is easier to train than two")
