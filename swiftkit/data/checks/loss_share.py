"""Prompts that are much longer than the answers."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Finding

MIN_SHARE = 0.05  # of loss tokens; below, nearly all of the training time goes into prompts


def check(context: DataContext) -> Iterator[Finding]:
    """A finding if less than `MIN_SHARE` of the tokens have loss."""
    share = context.loss_share
    if share is not None and share < MIN_SHARE:
        yield Finding(
            f"only {share:.1%} of the tokens have loss, the others are prompts",
            "shorter prompts would make training proportionally faster",
        )
