"""The course notebook's rule for the base model, unchanged, for comparison only: `course_tuned` with 1 for 0.5."""

from __future__ import annotations

from dataclasses import replace

from swiftkit.scoring.scorers import Score, course_tuned

COUNTS = ("right",)
EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 1), ("8", "{{ans:7}}", 0)]


def score(response: str, reference: str, *, question: str = "", truncated: bool = False, tolerance: float = 0) -> Score:
    """Score one response from `response` and `reference` alone; see `swiftkit.scoring.scorers.Scorer`."""
    result = course_tuned.score(response, reference)
    return replace(result, value=1) if result.value else result
