"""Exams and training sets of word problems: fixed seeds, balanced types, no near-duplicates of exam questions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from types import ModuleType
from typing import Any

from .scene import Problem
from .similarity import NEAR_PROBLEM, is_near_any


@dataclass(frozen=True)
class MathSets:
    """The problems of one language: no training question is a near-duplicate of a question of the exam."""

    exam: list[Problem]
    train: list[Problem]
    small_train: list[Problem]


def draw(types: Sequence[Any], module: ModuleType, seed: int) -> Iterator[Problem]:
    """An endless stream of problems, the types in turn; `module` is `problems` or `problems_zh`."""
    rng = random.Random(seed)
    return (module.make(problem_type, rng) for problem_type in cycle(types))


def select(stream: Iterator[Problem], count: int, excluded: Sequence[str], *, mutually_distinct: bool) -> list[Problem]:
    """The first `count` acceptable problems of a stream that `draw` returns, with the same number of each type.

    A rejected problem is replaced by the next one of its type, so the types stay balanced.

    Args:
        stream: the problems, the types in turn.
        count: length of the result.
        excluded: questions that no selected question may be a near-duplicate of.
        mutually_distinct: whether the selected questions must not be near-duplicates of each other either.
    """
    selected: list[Problem] = []
    questions: list[str] = []
    missing_type: str | None = None
    for problem in stream:
        if missing_type not in (None, problem.type):
            continue
        if (
            problem.question in questions
            or is_near_any(problem.question, excluded, NEAR_PROBLEM)
            or (mutually_distinct and is_near_any(problem.question, questions, NEAR_PROBLEM))
        ):
            missing_type = problem.type
            continue
        missing_type = None
        selected.append(problem)
        questions.append(problem.question)
        if len(selected) == count:
            break
    return selected


def answer_text(steps: Sequence[str], answer: int) -> str:
    """Steps, one per line, and the answer in a marker as the last line."""
    return "\n".join([*steps, f"<<ans:{answer}>>"])


def to_row(problem: Problem) -> dict[str, Any]:
    """The row of a data set: the question, its solution with the answer in a marker, and the type."""
    turns = [
        {"role": "user", "content": problem.question},
        {"role": "assistant", "content": answer_text(problem.steps, problem.answer)},
    ]
    return {"messages": turns, "type": problem.type}


def build_sets(module: ModuleType, exam: int, train: int, small_train: int, seed: int) -> MathSets:
    """Exam, training set and small training set of one language, with the numbers of rows in the arguments."""
    types = module.KNOWN + module.NEW
    exam_problems = select(draw(types, module, seed), exam, [], mutually_distinct=True)
    excluded = [problem.question for problem in exam_problems]
    stream = draw(types, module, seed + 1)
    problems = select(stream, train + small_train, excluded, mutually_distinct=False)
    sets = MathSets(exam_problems, problems[:train], problems[train:])
    # Problems were drawn with the types in turn. After shuffling, any first rows are a random sample.
    for number, part in enumerate((sets.exam, sets.train, sets.small_train)):
        random.Random(seed + 2 + number).shuffle(part)
    return sets
