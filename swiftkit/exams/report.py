"""report.html: an exam for people, in one file that loads nothing from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from swiftkit.exams.folder import ERROR, LIMIT, Answer
from swiftkit.exams.metrics import compare
from swiftkit.exams.result import ExamResult

TRUNCATED = "truncated at the token limit"


def render(result: ExamResult) -> str:
    """The page: the score, the settings behind it, every question with its answer, and the base model's if known."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    base = result.base
    return environment.get_template("report.html.jinja").render(
        result=result,
        columns=[each for each in (base, result) if each],
        counts=[(name, label) for name, label in COLUMNS if getattr(result, name) is not None],
        changes=compare(base.scores, result.scores) if base else None,
        rows=_rows(result),
        details=result.model_dump(mode="json"),
    )


COLUMNS = (
    ("right", "right"),
    ("partial", "partial"),
    ("wrong", "wrong"),
    ("failed", "failed"),
    ("truncated", "truncated"),
    ("answer_correct", "right answer, in any form"),
    ("in_marker", "in a marker"),
)


def _rows(result: ExamResult) -> list[dict[str, Any]]:
    """The questions, lowest scores first."""
    base = result.base
    answers, base_answers = result.files.read_answers(), base.files.read_answers() if base else {}
    rows = []
    for question in result.files.read_questions():
        answer, record = answers[question.number], result.scores[question.number]
        before = base.scores[question.number] if base else None
        rows.append(
            {
                "question": question,
                "answer": answer,
                "record": record,
                "note": _note(answer),
                "before": {"record": before, "answer": base_answers[question.number]} if before else None,
                "change": _change(record.value - before.value) if before else "",
            }
        )
    return sorted(rows, key=lambda row: (row["record"].value, row["question"].number))


def _note(answer: Answer) -> str:
    return {LIMIT: TRUNCATED, ERROR: answer.error or "failed"}.get(answer.stop_reason, "")


def _change(difference: float) -> str:
    return "gained" if difference > 0 else "lost" if difference < 0 else "same"
