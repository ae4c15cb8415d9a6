"""Conversations with a system message next to conversations without one."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Finding


def check(context: DataContext) -> Iterator[Finding]:
    """A finding if some conversations have a system message and others do not."""
    system = context.conversations.system
    without = system.none + system.blank
    if system.text and without:
        yield Finding(
            f"conversations with a system message: {system.text:,}; without: {without:,}",
            "a model answers best with the prompt that it was trained with: add it to all of them, or to none",
        )
