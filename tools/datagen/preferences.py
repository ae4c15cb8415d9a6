"""Rows of the data set `prefs`: a word problem, its solution as in `math-sft`, and the same solution with a fault."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from . import problems, resources
from .math_rows import answer_text
from .scene import Problem
from .similarity import NEAR_PROBLEM, is_near_any

EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)$")
CONFUSED_SIGNS = {"+": "-", "-": "+", "*": "+", "/": "-*"}

Fault = Callable[[Problem, random.Random], str | None]


def compute(a: int, sign: str, b: int) -> int | None:
    """The result of an operation, or None if it is not a whole number above zero."""
    if sign == "/":
        return a // b if a % b == 0 and a >= b else None
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    return value if value > 0 else None


def propagate(steps: Sequence[str], at: int, sign: str = "", offset: int = 0) -> tuple[list[str], int] | None:
    """The steps with one wrong equation, later equations continued with its result, and the last result.

    Args:
        steps: the correct lines.
        at: index of the line to change.
        sign: another operation for that line; empty keeps its own.
        offset: error of the result of that line.

    Returns:
        None if a result is not a whole number above zero, or if it is ambiguous which operand a result replaces.
    """
    lines: list[str] = []
    correct = value = 0  # result of the previous line: the correct one, and the one that is continued with
    for number, step in enumerate(steps):
        match = EQUATION.search(step)
        if match is None:
            return None
        a, b, correct_result = (int(match[group]) for group in (1, 3, 4))
        prefix, used_sign = step[: match.start()], match[2]
        if number > at:
            if (a == correct) == (b == correct):
                return None
            a, b = (value, b) if a == correct else (a, value)
        if number == at and sign:
            prefix, used_sign = "", sign  # a prefix such as "Multiply:" does not fit any more
        result = compute(a, used_sign, b)
        if result is None:
            return None
        value = result + offset if number == at else result
        if value <= 0:
            return None
        lines.append(f"{prefix}{a} {used_sign} {b} = {value}")
        correct = correct_result
    return lines, value


def _first_wrong(problem: Problem, changes: list[dict[str, Any]], rng: random.Random) -> str | None:
    """The answer text after one of the changes, tried in random order, that leads to another answer."""
    for change in rng.sample(changes, len(changes)):
        changed = propagate(problem.steps, **change)
        if changed is not None and changed[1] != problem.answer:
            return answer_text(*changed)
    return None


def wrong_result(problem: Problem, rng: random.Random) -> str | None:
    """One equation has a wrong result: off by a few, by a ten that was not carried, by a row of the table."""
    changes = []
    for at, step in enumerate(problem.steps):
        a, sign, b, c = EQUATION.search(step).groups()  # type: ignore[union-attr]
        small = {1, 2} if sign == "/" else {1, 2, 3}
        large = {int(a), int(b)} if sign == "*" else {10} if sign in "+-" and int(c) > 20 else set()
        changes += [{"at": at, "offset": way * off} for off in sorted(small | large) for way in (1, -1)]
    return _first_wrong(problem, changes, rng)


def wrong_operation(problem: Problem, rng: random.Random) -> str | None:
    """One equation has a wrong operation."""
    signs = [EQUATION.search(step)[2] for step in problem.steps]  # type: ignore[index]
    changes = [{"at": at, "sign": other} for at, sign in enumerate(signs) for other in CONFUSED_SIGNS[sign]]
    return _first_wrong(problem, changes, rng)


def no_steps(problem: Problem, rng: random.Random) -> str | None:
    """The correct answer without any steps."""
    return answer_text([], problem.answer)


def no_marker(problem: Problem, rng: random.Random) -> str | None:
    """The correct steps and the closing sentence, without a marker."""
    return problem.solution


def padded(problem: Problem, rng: random.Random) -> str | None:
    """The correct steps in the middle of a lecture."""
    texts = resources.load("preferences")
    before = f"{rng.choice(texts['before'])} {texts['lectures'][problem.type]}"
    return answer_text([before, *problem.steps, rng.choice(texts["after"])], problem.answer)


FAULTS: list[Fault] = [wrong_result, no_steps, no_marker, padded, wrong_operation]


def preference_rows(count: int, seed: int, excluded: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of `prefs`: types and faults in turn, every type with every fault.

    Args:
        count: number of rows.
        seed: seed of all random choices.
        excluded: questions that no row's question may be a near-duplicate of.
    """
    rng = random.Random(seed)
    types = problems.KNOWN + problems.NEW
    rows: list[dict[str, Any]] = []
    questions: set[str] = set()
    for number in range(count):
        lap, turn = divmod(number, len(types))
        fault = FAULTS[(turn + lap) % len(FAULTS)]
        while True:
            problem = problems.make(types[turn], rng)
            rejected = fault(problem, rng)
            is_new = problem.question not in questions and not is_near_any(problem.question, excluded, NEAR_PROBLEM)
            if rejected and is_new:
                break
        questions.add(problem.question)
        responses = {"chosen": answer_text(problem.steps, problem.answer), "rejected": rejected}
        turns = {key: [{"role": "assistant", "content": text}] for key, text in responses.items()}
        rows.append({"prompt": [{"role": "user", "content": problem.question}], **turns})
    return rows
