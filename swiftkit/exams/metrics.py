"""From the scores of questions to the score of an exam with its interval, and what changed between two exams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from swiftkit.exams.folder import ERROR, LIMIT, Answer, Question, ScoreRecord

Z95 = 1.959964  # quantile of the normal distribution for 95 %


class ExamScore(BaseModel):
    """The score of an exam, 0 to 100, and the counts behind it.

    Attributes:
        score: 100 * total / num_questions, rounded to two decimals.
        interval: its 95 % interval.
        total: sum of the questions' scores.
        num_questions: all that were asked, whatever became of them.
        failed: questions without an answer.
        truncated: responses that were truncated at the token limit.
        right, partial, wrong: questions with score 1, between 0 and 1, and 0 (failed ones excluded).
        answer_correct: right answers, in whatever form.
        in_marker: answers in the required form, right or wrong.

    The last two lines exist only for scorers that declare these counts: together, the last two tell what a model knows
    from what it has adopted of the format.
    """

    model_config = ConfigDict(frozen=True)

    score: float
    interval: tuple[float, float]
    total: float
    num_questions: int
    failed: int
    truncated: int
    right: int | None = None
    partial: int | None = None
    wrong: int | None = None
    answer_correct: int | None = None
    in_marker: int | None = None

    @property
    def exact(self) -> float:
        """The score without rounding."""
        return 100 * self.total / self.num_questions


class TypeScore(BaseModel):
    """The score of one type of question, 0 to 100."""

    model_config = ConfigDict(frozen=True)

    score: float
    num_questions: int


def score_exam(
    num_questions: int, scores: Mapping[int, ScoreRecord], answers: Mapping[int, Answer], counts: Sequence[str]
) -> ExamScore:
    """The score of an exam.

    Args:
        num_questions: the denominator, whatever became of them.
        scores: scores by question.
        answers: answers by question.
        counts: which counts the scorer declares (`swiftkit.scoring.scorers.COUNT_NAMES`).

    Raises:
        ValueError: there are no questions, or not as many scores; that is not a score of 0.
    """
    if not num_questions or len(scores) != num_questions:
        raise ValueError(f"{len(scores)} scores for {num_questions} questions")
    values = [record.value for record in scores.values()]
    total = math.fsum(values)
    low, high = wilson_interval(total, num_questions)
    failed = sum(answer.stop_reason == ERROR for answer in answers.values())
    right, partial = values.count(1.0), sum(0 < value < 1 for value in values)
    declared: dict[str, int] = {
        "right": right,
        "partial": partial,
        **{
            name: sum(bool(record.score.metadata.get(name)) for record in scores.values())
            for name in ("answer_correct", "in_marker")
        },
    }
    return ExamScore(
        score=round(100 * total / num_questions, 2),
        interval=(round(low, 2), round(high, 2)),
        total=total,
        num_questions=num_questions,
        failed=failed,
        truncated=sum(answer.stop_reason == LIMIT for answer in answers.values()),
        wrong=num_questions - right - partial - failed if "right" in counts else None,
        **{name: count for name, count in declared.items() if name in counts},
    )


def score_by_type(questions: Sequence[Question], scores: Mapping[int, ScoreRecord]) -> dict[str, TypeScore]:
    """The score of each type of question, if the rows name their types; in alphabetical order."""
    values: dict[str, list[float]] = {}
    for question in questions:
        if question.type is not None:
            values.setdefault(question.type, []).append(scores[question.number].value)
    return {
        name: TypeScore(score=round(100 * math.fsum(each) / len(each), 2), num_questions=len(each))
        for name, each in sorted(values.items())
    }


def wilson_interval(total: float, num_questions: int) -> tuple[float, float]:
    """Wilson's 95 % score interval, 0 to 100 (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).

    For scores between 0 and 1 it is conservative: no such scores vary more than right and wrong ones with their mean.
    """
    share = total / num_questions
    center = share + Z95**2 / (2 * num_questions)
    spread = Z95 * math.sqrt(share * (1 - share) / num_questions + Z95**2 / (4 * num_questions**2))
    scale = 100 / (1 + Z95**2 / num_questions)
    return max(0.0, scale * (center - spread)), min(100.0, scale * (center + spread))


def compare(before: Mapping[int, ScoreRecord], after: Mapping[int, ScoreRecord]) -> dict[str, int]:
    """How many questions score higher (`gained`), lower (`lost`) and the same as before."""
    differences = [after[number].value - before[number].value for number in after]
    return {
        "gained": sum(difference > 0 for difference in differences),
        "lost": sum(difference < 0 for difference in differences),
        "same": sum(difference == 0 for difference in differences),
    }
