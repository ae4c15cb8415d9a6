"""The course notebook's rule for the fine-tuned model, exactly, for comparison only.

It cuts a piece out of the reference, from two characters before the first "ans" to behind the next "}}", and looks for
it in the response: 1 when it is there, ½ when the piece without its first six and last two characters is. It pays for
substrings (78 in 1780), and its piece is no marker where "ans" stands earlier in the reference ("means", "answer").
"""

from __future__ import annotations

from swiftkit.scorers import Score

EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 0.5), ("8", "{{ans:7}}", 0)]


def score(response: str, reference: str, *, question: str = "", cut: bool = False, tolerance: float = 0) -> Score:
    """Mark one response; only `response` and `reference` count. See `swiftkit.scorers.Scorer`."""
    place = reference.find("ans")
    # As in the notebook, also where find gives -1 or the start is negative, which slices from the end.
    piece = reference[place - 2 : place + reference[place:].find("}}") + 2]
    if piece in response:
        return Score(1, "the reference's marker is in the response", (piece,))
    if piece[6:-2] in response:
        return Score(0.5, "the reference's value is somewhere in the response", (piece[6:-2],))
    return Score(0, "neither the reference's marker nor its value is in the response")
