"""Near-duplicates of texts."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz, process

NEAR_PROBLEM = 90  # similarity from which two word problems count as near-duplicates, of 100 (rapidfuzz's ratio)
NEAR_MESSAGE = 95  # the same for two messages of the style data set


def is_near_any(text: str, others: Sequence[str], threshold: int) -> bool:
    """Whether the similarity to at least one of `others` is `threshold` or more."""
    return process.extractOne(text, others, scorer=fuzz.ratio, score_cutoff=threshold) is not None
