"""The default scorer: the first k markers of the response against the k answers of the reference.

1 if all k answers equal the reference's. 0.5 if k = 1, the response has no marker and is not truncated, and its last
number equals the reference. 0 otherwise. Text that only repeats the question scores 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swiftkit.scoring import markers, numeric
from swiftkit.scoring.scorers import COUNT_NAMES, Score

CLOSERS = markers.CLOSERS
COUNTS = COUNT_NAMES
EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 0.5), ("{{ans:8}}", "{{ans:7}}", 0)]


def check(reference: str) -> None:
    """Refuse a reference without an answer.

    Raises:
        ValueError: it has no marker and no `#### n`, or a marker that is empty or a placeholder.
    """
    markers.references(reference)


def stop_key(reference: str) -> int:
    """What `done` reads of a reference: how many answers it has."""
    return len(markers.references(reference))


def done(response: str, reference: str, question: str = "") -> bool:
    """Whether the response has closed as many markers as the reference has answers."""
    return len(markers.parse_response(response, question).markers) >= stop_key(reference)


def score(response: str, reference: str, *, question: str = "", truncated: bool = False, tolerance: float = 0) -> Score:
    """Score one response by the rule above; see `swiftkit.scoring.scorers.Scorer`."""
    references = markers.references(reference)
    parsed = markers.parse_response(response, question)
    answers = tuple(parsed.markers[: len(references)])
    in_marker = len(answers) == len(references)
    if in_marker:
        result = _score_answers(answers, references, tolerance)
    elif truncated:
        result = Score(0, "truncated at the token limit", answers)
    elif answers:
        plural = "" if len(answers) == 1 else "s"
        result = Score(0, f"{len(answers)} marker{plural} of {len(references)}", answers)
    elif not parsed.text:
        repeats = markers.strip_reasoning(response).strip()
        result = Score(0, "only repeats the question" if repeats else "no answer")
    else:
        result = _score_text(parsed.text, references, tolerance)
    return replace(result, metadata={"in_marker": in_marker, "answer_correct": result.value > 0})


def _score_answers(answers: tuple[str, ...], references: Sequence[str], tolerance: float) -> Score:
    """1 if every answer equals its reference, else 0 with the first mismatch as the explanation."""
    mismatches = [numeric.mismatch(*pair, tolerance) for pair in zip(answers, references, strict=True)]
    first = next((index for index, mismatch in enumerate(mismatches) if mismatch), None)
    if first is None:
        return Score(1, "right", answers)
    position = f"answer {first + 1} of {len(mismatches)}: " if len(mismatches) > 1 else ""
    return Score(0, position + mismatches[first], answers)


def _score_text(text: str, references: Sequence[str], tolerance: float) -> Score:
    """0.5 if there is a single reference, and the last number of `text` equals it; units are ignored."""
    last = numeric.last_number(text) if len(references) == 1 else None
    if last is None:
        return Score(0, "no marker")
    value = numeric.parse(references[0])
    if value and numeric.is_close(last, value.number, tolerance):
        return Score(0.5, "no marker, but the last number is right", (str(last),))
    return Score(0, f"no marker, and the last number is {last}", (str(last),))
