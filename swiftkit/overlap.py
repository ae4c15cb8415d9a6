"""Exam questions that stand in training data, or nearly: on them a mark flatters."""

from __future__ import annotations

import random
from collections.abc import Sequence

from swiftkit import data, instruct
from swiftkit.schema import Example

NEAR = 90  # two questions are nearly the same from this likeness on, of 100 (rapidfuzz's ratio)
PAIRS = 30_000_000  # of a question and a row that are compared at most: about half a minute
CHUNK = 10_000  # rows that are compared at once; a byte a pair is kept of them


def key(example: Example) -> str:
    """Hash of what an example asks, whether or not an instruction stands below it."""
    return data.key(instruct.without(example))


def same(asked: Sequence[Example], rows: Sequence[Example]) -> list[tuple[str, str]]:
    """Places of the questions that rows ask as well, each with the first such row's; white space aside."""
    known: dict[str, str] = {}
    for row in rows:
        known.setdefault(key(row), row.source)
    return [(example.source, known[own]) for example in asked if (own := key(example)) in known]


def near(asked: Sequence[Example], rows: Sequence[Example]) -> tuple[int, list[tuple[str, str]]]:
    """How many questions were compared, and the places of those that are near to a row, each with the nearest row's.

    Where there would be more than `PAIRS` comparisons, a sample of the questions is compared.
    """
    import numpy
    from rapidfuzz import fuzz, process

    room = max(1, PAIRS // max(1, len(rows)))
    compared = list(asked) if len(asked) <= room else random.Random(0).sample(list(asked), room)
    questions = [_text(example) for example in compared]
    found: dict[int, tuple[int, int]] = {}
    for start in range(0, len(rows) if questions else 0, CHUNK):
        part = [_text(row) for row in rows[start : start + CHUNK]]
        scores = process.cdist(questions, part, scorer=fuzz.ratio, score_cutoff=NEAR, dtype=numpy.uint8, workers=-1)
        for question, row in enumerate(scores.argmax(axis=1).tolist()):
            score = int(scores[question, row])
            if score > found.get(question, (0, 0))[0]:
                found[question] = (score, start + row)
    return len(compared), [(compared[q].source, rows[row].source) for q, (_, row) in sorted(found.items())]


def _text(example: Example) -> str:
    whole = instruct.without(example)
    return "\n".join(m["content"].strip() for m in whole.messages if m["role"] == "user") or (whole.text or "")
