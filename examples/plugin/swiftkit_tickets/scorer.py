"""Whether a reply sends a ticket to the right department."""

from __future__ import annotations

import re

from swiftkit.scorers import Score

SENDS = re.compile(r"goes to:\s*([a-z ]+)", re.I)
EXAMPLES = [
    ("This goes to: billing", "This goes to: billing", 1),
    ("This goes to: Billing.", "This goes to: billing", 1),
    ("That is for billing, I think.", "This goes to: billing", 0.5),
    ("This goes to: sales", "This goes to: billing", 0),
]


def check(reference: str) -> None:
    """Refuse a reference without a department.

    Raises:
        ValueError: it names none.
    """
    if not SENDS.search(reference):
        raise ValueError("the reference does not say `goes to: DEPARTMENT`")


def score(response: str, reference: str, *, question: str = "", cut: bool = False, tolerance: float = 0) -> Score:
    """1 for the right department, ½ where it is named without being chosen. See `swiftkit.scorers.Scorer`."""
    check(reference)
    wanted = _department(reference)
    chosen = _department(response)
    if chosen == wanted:
        return Score(1, "right", (chosen,), marked=True, stated=True)
    if chosen:
        return Score(0, f"another department: {chosen}", (chosen,), marked=True, stated=False)
    named = bool(wanted) and wanted in response.lower()
    return Score(0.5 if named else 0, "named, not chosen" if named else "no department", marked=False, stated=named)


def _department(text: str) -> str:
    found = SENDS.search(text)
    return found.group(1).strip().lower() if found else ""
