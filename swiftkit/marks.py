"""From scores to a mark with its interval, and what changed between two exams of the same questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swiftkit.exams import ERROR, LIMIT, Answer, Question, Scored

Z = 1.959964  # the normal distribution's quantile for 95 %


@dataclass(frozen=True)
class Mark:
    """A mark from 0 to 100 with its 95 % interval, and how many questions are behind it.

    `stated` counts right answers wherever they stand, `marked` answers in the form that is asked for, right or wrong:
    what has been learned of the matter, and what of the format. None where the scorer does not tell.
    """

    questions: int
    points: float
    low: float
    high: float
    right: int
    half: int
    wrong: int
    failed: int
    cut: int
    stated: int | None = None
    marked: int | None = None

    @property
    def value(self) -> float:
        """100 * points / questions; who has not been answered counts as well."""
        return 100 * self.points / self.questions

    def record(self) -> dict[str, Any]:
        """For exam.json."""
        return {
            "mark": round(self.value, 2),
            "interval": [round(self.low, 2), round(self.high, 2)],
            "points": self.points,
            "count": self.questions,
            **{name: getattr(self, name) for name in ("right", "half", "wrong", "failed", "cut")},
            **{name: told for name in ("stated", "marked") if (told := getattr(self, name)) is not None},
        }


def mark(asked: int, scores: Mapping[int, Scored], answers: Mapping[int, Answer]) -> Mark:
    """The mark of an exam.

    Args:
        asked: number of questions; the denominator, whatever became of them.
        scores: scores by question.
        answers: answers by question.

    Raises:
        ValueError: there are no questions, or not as many scores: that is no mark of 0.
    """
    if not asked or len(scores) != asked:
        raise ValueError(f"{len(scores)} scores for {asked} questions")
    credits = [scored.credit for scored in scores.values()]
    points = math.fsum(credits)
    low, high = interval(points, asked)
    right, half = credits.count(1.0), sum(0 < credit < 1 for credit in credits)
    failed = sum(answer.end == ERROR for answer in answers.values())
    cut = sum(answer.end == LIMIT for answer in answers.values())
    told = any(scored.marked is not None for scored in scores.values())
    stated = sum(bool(scored.stated) for scored in scores.values()) if told else None
    marked = sum(bool(scored.marked) for scored in scores.values()) if told else None
    wrong = asked - right - half - failed
    return Mark(asked, points, low, high, right, half, wrong, failed, cut, stated, marked)


def by_type(questions: Sequence[Question], scores: Mapping[int, Scored]) -> dict[str, dict[str, float]]:
    """`mark` and `count` of each type of question, where the rows name their types; types in alphabetical order."""
    credits: dict[str, list[float]] = {}
    for question in questions:
        if question.type is not None:
            credits.setdefault(question.type, []).append(scores[question.number].credit)
    return {
        name: {"mark": round(100 * math.fsum(each) / len(each), 2), "count": len(each)}
        for name, each in sorted(credits.items())
    }


def interval(points: float, questions: int) -> tuple[float, float]:
    """Wilson's 95 % score interval for the mark, 0 to 100 (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).

    For credits between 0 and 1 it is on the safe side: no such credits scatter more than right and wrong of that mean.
    """
    share = points / questions
    centre = share + Z**2 / (2 * questions)
    spread = Z * math.sqrt(share * (1 - share) / questions + Z**2 / (4 * questions**2))
    scale = 100 / (1 + Z**2 / questions)
    return max(0.0, scale * (centre - spread)), min(100.0, scale * (centre + spread))


def compared(before: Mapping[int, Scored], after: Mapping[int, Scored]) -> dict[str, int]:
    """How many questions earn more, less and the same as before."""
    differences = [after[number].credit - before[number].credit for number in after]
    return {
        "gained": sum(difference > 0 for difference in differences),
        "lost": sum(difference < 0 for difference in differences),
        "same": sum(difference == 0 for difference in differences),
    }
