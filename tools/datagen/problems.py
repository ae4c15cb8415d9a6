"""The English types of problem: what tiny-math is pre-trained on, and the source of `math-sft` and `math-exam`.

A type draws numbers, then describes the same situation in one of several ways: sentences, their order, names, things
and units change, and one question of four contains a number that is not needed. Solutions are written line by line, in
words and equations, and end with a sentence. They never contain an answer marker; `math_rows.answer_text` adds it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .arithmetic import bigger, chain, drill, drills, halves, more_than, sequence, unknown, up_and_down, weeks
from .scene import Problem, Scene
from .word_problems import average, change, fewer, gain, groups, loss, packs, perimeter, rest, share

ProblemType = Callable[[Scene], Problem]

KNOWN: list[ProblemType] = [gain, loss, groups, share, packs, change, fewer]
NEW: list[ProblemType] = [average, perimeter, rest]
ONLY_PRETRAINING: list[ProblemType] = [
    more_than, up_and_down, halves, weeks, drill, drills, chain, unknown, bigger, sequence
]  # fmt: skip


def make(problem_type: ProblemType, rng: random.Random) -> Problem:
    """One problem of the type; the function's name is the name of the type."""
    return problem_type(Scene(rng, problem_type.__name__))
