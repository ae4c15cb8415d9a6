"""`ans` without partial scores: an answer that is not in its marker scores 0."""

from __future__ import annotations

from dataclasses import replace

from swiftkit.scoring.scorers import Score, ans

CLOSERS, COUNTS, check, done = ans.CLOSERS, ans.COUNTS, ans.check, ans.done
EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 0)]


def score(response: str, reference: str, *, question: str = "", truncated: bool = False, tolerance: float = 0) -> Score:
    """Score one response; see `swiftkit.scoring.scorers.Scorer`."""
    result = ans.score(response, reference, question=question, truncated=truncated, tolerance=tolerance)
    return result if result.value == 1 else replace(result, value=0)
