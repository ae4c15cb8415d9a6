"""Exam questions that are in the training data, exactly or nearly: they inflate the score."""

from __future__ import annotations

import random
from collections.abc import Sequence

from swiftkit.data import instruct, split
from swiftkit.schema import Example

MIN_SIMILARITY = 90  # from which on two questions count as similar, of 100 (rapidfuzz's ratio)
MAX_PAIRS = 30_000_000  # of a question and a row that are compared: about half a minute
CHUNK_ROWS = 10_000  # rows that are compared at a time; each pair of a chunk takes one byte


def question_key(example: Example) -> str:
    """Hash of an example's questions, with or without an instruction below them, whatever its system message is."""
    return split.question_key(instruct.strip_instruction(example), with_system=False)


def exact_matches(questions: Sequence[Example], rows: Sequence[Example]) -> list[tuple[str, str]]:
    """Places of the questions that rows ask as well, each with the place of the first such row."""
    places: dict[str, str] = {}
    for row in rows:
        places.setdefault(question_key(row), row.source)
    return [(question.source, places[key]) for question in questions if (key := question_key(question)) in places]


def near_matches(questions: Sequence[Example], rows: Sequence[Example]) -> tuple[int, list[tuple[str, str]]]:
    """How many questions were compared, and the places of similar pairs of question and row (its most similar one).

    With more than `MAX_PAIRS` pairs, a sample of the questions is compared.
    """
    import numpy
    from rapidfuzz import fuzz, process

    limit = max(1, MAX_PAIRS // max(1, len(rows)))
    compared = list(questions) if len(questions) <= limit else random.Random(0).sample(list(questions), limit)
    texts = [_text(example) for example in compared]
    best: dict[int, tuple[int, int]] = {}  # question to similarity and row
    for start in range(0, len(rows) if texts else 0, CHUNK_ROWS):
        chunk = [_text(row) for row in rows[start : start + CHUNK_ROWS]]
        similarities = process.cdist(
            texts, chunk, scorer=fuzz.ratio, score_cutoff=MIN_SIMILARITY, dtype=numpy.uint8, workers=-1
        )
        for question, row in enumerate(similarities.argmax(axis=1).tolist()):
            similarity = int(similarities[question, row])
            if similarity > best.get(question, (0, 0))[0]:
                best[question] = (similarity, start + row)
    return len(compared), [(compared[q].source, rows[row].source) for q, (_, row) in sorted(best.items())]


def _text(example: Example) -> str:
    plain = instruct.strip_instruction(example)
    return "\n".join(m["content"].strip() for m in plain.messages if m["role"] == "user") or (plain.text or "")
