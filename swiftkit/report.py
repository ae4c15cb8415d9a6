"""Pages for people, each one file that loads nothing from anywhere: an exam (report.html), rows as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from swiftkit.examining import Done
from swiftkit.exams import ERROR, LIMIT
from swiftkit.marks import compared

FOLDER = Path(__file__).parent


def page(after: Done, before: Done | None) -> str:
    """The whole page: the mark, what it consists of, every question with its answer; before and after where known."""
    changed = compared(before.scores, after.scores) if before else None
    return _template("report.html.jinja").render(
        columns=[done for done in (before, after) if done], told=after.told, changed=changed, rows=_rows(after, before)
    )


def rows(model: str, template: str, shown: Sequence[dict[str, Any]]) -> str:
    """Rows as tokens: each with `source`, `tokens`, `learned`, `spans`, and a `note` where it would be dropped."""
    return _template("rows.html.jinja").render(model=model, template=template, rows=shown)


def _template(name: str) -> Template:
    loader = FileSystemLoader(FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


def _rows(after: Done, before: Done | None) -> list[dict[str, Any]]:
    """The questions, those that earned least first."""
    answers, earlier = after.files.answered(), before.files.answered() if before else {}
    rows = []
    for question in after.files.asked():
        answer, scored = answers[question.number], after.scores[question.number]
        old = before.scores[question.number] if before else None
        rows.append(
            {
                "question": question,
                "answer": answer,
                "scored": scored,
                "note": {LIMIT: "cut at the token limit", ERROR: answer.error or "failed"}.get(answer.end, ""),
                "before": {"scored": old, "answer": earlier[question.number]} if old else None,
                "change": "" if old is None else _change(scored.credit - old.credit),
            }
        )
    return sorted(rows, key=lambda row: (row["scored"].credit, row["question"].number))


def _change(difference: float) -> str:
    return "gained" if difference > 0 else "lost" if difference < 0 else "same"
