"""`ans` without the half credit: an answer that is not in its marker is none."""

from __future__ import annotations

from dataclasses import replace

from swiftkit.scorers import Score, ans

CLOSERS, check, done = ans.CLOSERS, ans.check, ans.done
EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 0)]


def score(response: str, reference: str, *, question: str = "", cut: bool = False, tolerance: float = 0) -> Score:
    """Mark one response; see `swiftkit.scorers.Scorer`."""
    marked = ans.score(response, reference, question=question, cut=cut, tolerance=tolerance)
    return marked if marked.credit == 1 else replace(marked, credit=0)
