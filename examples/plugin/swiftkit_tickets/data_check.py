"""Departments with too few tickets to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Finding

MIN_TICKETS = 20  # of a department


def check(context: DataContext) -> Iterator[Finding]:
    """A finding for each department with fewer than `MIN_TICKETS` tickets. See `swiftkit.data.checks`."""
    answers = [example.messages[-1]["content"] for example in context.examples if example.messages]
    departments = Counter(text.partition("goes to:")[2].strip() for text in answers if "goes to:" in text)
    for department, count in sorted(departments.items()):
        if count < MIN_TICKETS:
            yield Finding(f"only {count} tickets for {department}", f"aim for at least {MIN_TICKETS}")
