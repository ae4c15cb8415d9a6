"""The course notebook's rule for the base model, exactly, for comparison only: `course_tuned` with 1 instead of ½."""

from __future__ import annotations

from dataclasses import replace

from swiftkit.scorers import Score, course_tuned

EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 1), ("8", "{{ans:7}}", 0)]


def score(response: str, reference: str, *, question: str = "", cut: bool = False, tolerance: float = 0) -> Score:
    """Mark one response; only `response` and `reference` count. See `swiftkit.scorers.Scorer`."""
    marked = course_tuned.score(response, reference)
    return replace(marked, credit=1) if marked.credit else marked
