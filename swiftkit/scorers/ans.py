"""The exam's rule: the response's first k markers against the reference's k; half credit for a last number.

1 when all k values equal the references; ½ when k = 1, the response has no marker, was not cut at the token limit, and
the last number that it states equals the reference; else 0. What only repeats the question earns nothing.
"""

from __future__ import annotations

from dataclasses import replace

from swiftkit import markers, values
from swiftkit.scorers import Score

CLOSERS = markers.CLOSERS
EXAMPLES = [("It is {{ans:7}}.", "{{ans:7}}", 1), ("It is 7.", "{{ans:7}}", 0.5), ("{{ans:8}}", "{{ans:7}}", 0)]


def check(reference: str) -> None:
    """Refuse a reference without an answer.

    Raises:
        ValueError: it has no marker and no `#### n`, or a marker that is empty or a placeholder.
    """
    markers.references(reference)


def done(response: str, reference: str, question: str = "") -> bool:
    """Whether the response has closed as many markers of its own as the reference holds."""
    return len(markers.own(response, question).markers) >= len(markers.references(reference))


def score(response: str, reference: str, *, question: str = "", cut: bool = False, tolerance: float = 0) -> Score:
    """Mark one response by the rule above; see `swiftkit.scorers.Scorer`."""
    wanted = markers.references(reference)
    own = markers.own(response, question)
    read = tuple(own.markers[: len(wanted)])
    marked = _marked(own, read, wanted, response, cut, tolerance)
    return replace(marked, marked=len(read) == len(wanted), stated=marked.credit > 0)


def _marked(
    own: markers.Own, read: tuple[str, ...], wanted: list[str], response: str, cut: bool, tolerance: float
) -> Score:
    if len(read) == len(wanted):
        wrong = [values.compare(given, want, tolerance) for given, want in zip(read, wanted, strict=True)]
        return _verdict(wrong, read)
    if cut:
        return Score(0, "cut at the token limit", read)
    if read:
        return Score(0, f"{len(read)} marker{'' if len(read) == 1 else 's'} of {len(wanted)}", read)
    if not own.text:
        return Score(0, "only repeats the question" if markers.without_reasoning(response).strip() else "no answer")
    return _half(own.text, wanted[0], tolerance) if len(wanted) == 1 else Score(0, "no marker")


def _verdict(wrong: list[str], read: tuple[str, ...]) -> Score:
    """Full credit when nothing is wrong with any of the values, else the first thing that is."""
    place = next((place for place, reason in enumerate(wrong) if reason), None)
    if place is None:
        return Score(1, "right", read)
    return Score(0, wrong[place] if len(wrong) == 1 else f"answer {place + 1} of {len(wrong)}: {wrong[place]}", read)


def _half(text: str, wanted: str, tolerance: float) -> Score:
    """Half credit for a response without a marker when its last number is right; units are not looked at."""
    last, value = values.last_number(text), values.parse(wanted)
    if last is None:
        return Score(0, "no marker")
    if value and values.close(last, value.number, tolerance):
        return Score(0.5, "no marker, but the last number is right", (str(last),))
    return Score(0, f"no marker, and the last number is {last}", (str(last),))
