"""`ans` without partial scores: an answer that is not in its marker scores 0."""

from __future__ import annotations

from dataclasses import replace

from swiftkit.scoring.scorers import Score, ans

CLOSERS, COUNTS = ans.CLOSERS, ans.COUNTS
check, done, stop_key = ans.check, ans.done, ans.stop_key
EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 0)]


def score(response: str, reference: str, *, question: str = "", truncated: bool = False, tolerance: float = 0) -> Score:
    """Score one response; see `swiftkit.scoring.scorers.Scorer`."""
    result = ans.score(response, reference, question=question, truncated=truncated, tolerance=tolerance)
    return result if result.value == 1 else replace(result, value=0)
