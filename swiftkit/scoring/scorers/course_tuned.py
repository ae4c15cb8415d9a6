"""The course notebook's rule for the fine-tuned model, unchanged, for comparison only.

It takes a slice of the reference, from two characters before the first "ans" to the end of the next "}}": 1 if the
response contains the slice, 0.5 if it contains the slice without its first six and last two characters. It rewards
substrings (78 in 1780), and the slice is not a marker if "ans" occurs earlier in the reference ("means", "answer").
"""

from __future__ import annotations

from swiftkit.scoring.scorers import Score

COUNTS = ("right", "partial")
EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 0.5), ("8", "{{ans:7}}", 0)]


def score(response: str, reference: str, *, question: str = "", truncated: bool = False, tolerance: float = 0) -> Score:
    """Score one response from `response` and `reference` alone; see `swiftkit.scoring.scorers.Scorer`."""
    start = reference.find("ans")
    # As in the notebook, even where find returns -1 or the start is negative, which slices from the end.
    marker = reference[start - 2 : start + reference[start:].find("}}") + 2]
    if marker in response:
        return Score(1, "the reference's marker is in the response", (marker,))
    if marker[6:-2] in response:
        return Score(0.5, "the reference's value is somewhere in the response", (marker[6:-2],))
    return Score(0, "neither the reference's marker nor its value is in the response")
