"""Support tickets: `ticket`, and the `department` that takes care of it."""

from __future__ import annotations

from typing import Any

from swiftkit.formats import pair
from swiftkit.schema import Message

COLUMNS = ("ticket", "department")
OPTIONAL = ("system",)
EXAMPLE = {"ticket": "I was charged twice.", "department": "billing"}


def to_messages(row: dict[str, Any]) -> list[Message]:
    """The ticket is the question, the department the answer."""
    department = row["department"]
    if not isinstance(department, str) or not department.strip():
        raise ValueError("the department is missing")
    return pair(row, row["ticket"], f"This goes to: {department.strip()}")
