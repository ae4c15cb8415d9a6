"""Whether a reply sends a ticket to the right department."""

from __future__ import annotations

import re

from swiftkit.scorers import Score

DEPARTMENT = re.compile(r"goes to:\s*([a-z ]+)", re.I)
COUNTS = ("right", "partial", "answer_correct")
EXAMPLES = [
    ("This goes to: billing", "This goes to: billing", 1),
    ("This goes to: Billing.", "This goes to: billing", 1),
    ("That is for billing, I think.", "This goes to: billing", 0.25),
    ("This goes to: sales", "This goes to: billing", 0),
]


def check(reference: str) -> None:
    """Refuse a reference without a department.

    Raises:
        ValueError: it names none.
    """
    if not DEPARTMENT.search(reference):
        raise ValueError("the reference does not say `goes to: DEPARTMENT`")


def score(response: str, reference: str, *, question: str = "", truncated: bool = False, tolerance: float = 0) -> Score:
    """1 for the right department, 0.25 if it is only mentioned. See `swiftkit.scoring.scorers.Scorer`."""
    check(reference)
    expected, chosen = _department(reference), _department(response)
    if chosen == expected:
        return Score(1, "right", (chosen,), {"answer_correct": True})
    if chosen:
        return Score(0, f"another department: {chosen}", (chosen,), {"answer_correct": False})
    if expected and expected in response.lower():
        return Score(0.25, "mentioned, not chosen", metadata={"answer_correct": True})
    return Score(0, "no department", metadata={"answer_correct": False})


def _department(text: str) -> str:
    found = DEPARTMENT.search(text)
    return found.group(1).strip().lower() if found else ""
