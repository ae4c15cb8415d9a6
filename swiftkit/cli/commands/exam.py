"""`swiftkit exam`: ask a model questions with known answers, and print its score."""

from __future__ import annotations

import json
import logging
from typing import Any

from swiftkit import files
from swiftkit.config.exam import ExamConfig
from swiftkit.errors import BELOW_THRESHOLD, Problems
from swiftkit.exams import metrics
from swiftkit.exams.exam import exam
from swiftkit.exams.result import ExamResult
from swiftkit.system.console import table
from swiftkit.system.events import Answered, End, Event, Phase, Started
from swiftkit.system.progress import Line

logger = logging.getLogger(__name__)
CONFIG = ExamConfig
EPILOG = """\
examples:
  swiftkit exam --model_type qwen2_5-1_5b-instruct --dataset my_exam.jsonl
      the base model, before training
  swiftkit exam --ckpt best --dataset my_exam.jsonl
      the best checkpoint of the newest run, next to the base model's score if that is known
  swiftkit exam --ckpt best --with_base
  swiftkit exam --model_type tiny-math --system "Answer in steps." --few_shot 3
      whether a better prompt would have been enough
  swiftkit exam --ckpt output/tiny-math/v0-20261121-160926/merged-90

A reference holds its value as <<ans:78>> or {{ans:78}}, or ends with `#### 78` (docs/exam.md)."""
MAX_ANSWERS_SHOWN = 20  # in the terminal; the report has all
MAX_TYPES_SHOWN = 24


def run(config: ExamConfig, problems: Problems) -> int:
    """Run the exam; returns the exit code."""
    with ExamProgress() as progress:
        result = exam(config, on_event=progress.on_event, problems=problems)
    if config.json_:
        print(json.dumps(_to_json(result)))
    else:
        if answers := _not_right(result):
            print(answers + "\n")
        print(_scores(result))
        print(f"report: {files.display_path(result.report)}")
    is_below = config.fail_under is not None and result.exact < config.fail_under
    return BELOW_THRESHOLD if is_below else 0


class ExamProgress(Line):
    """Shows how many questions are answered, and how fast."""

    def __init__(self) -> None:
        super().__init__()
        self._total, self._tokens, self._start = 0, 0, 0.0

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Started):
            self._total, self._tokens = event.total, 0
            self.show("loading libraries" if (event.num_done or 0) < event.total else "scoring")
        elif isinstance(event, Phase):
            self._start = event.time
            is_ready = event.phase == "model"
            self.show("the model is loaded" if is_ready else "loading the model", permanent=is_ready)
        elif isinstance(event, Answered):
            self._tokens += event.tokens
            speed = self._tokens / max(event.time - self._start, 1e-3)
            line = f"{event.num_done} of {self._total} questions answered, {speed:,.0f} tokens/s"
            self.show(line, permanent=event.num_done == self._total)
        elif isinstance(event, End):
            self.stop()


def _to_json(result: ExamResult) -> dict[str, Any]:
    content = result.model_dump(mode="json") | {"folder": str(result.folder), "report": str(result.report)}
    if base := result.base:
        content["base"] = {
            **base.model_dump(mode="json", include={*metrics.ExamScore.model_fields, "checkpoint"}),
            **metrics.compare(base.scores, result.scores),
            "folder": str(base.folder),
        }
    return content


def _not_right(result: ExamResult) -> str:
    """A table of the answers that do not have the full score: reference, end of the response, explanation."""
    answers, rows = result.files.read_answers(), []
    for question in result.files.read_questions():
        record = result.scores[question.number]
        if record.value < 1:
            reference, response = _ending(question.reference, 24), _ending(answers[question.number].response, 44)
            rows.append([str(question.number), f"{record.value:g}", reference, response, record.score.explanation])
    if not rows:
        return ""
    more = f"\n… and {len(rows) - MAX_ANSWERS_SHOWN} more in the report" if len(rows) > MAX_ANSWERS_SHOWN else ""
    return table(["no.", "score", "reference", "response", "explanation"], rows[:MAX_ANSWERS_SHOWN]) + more


def _ending(text: str, width: int) -> str:
    """The last characters of a text in one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else "…" + line[-width + 1 :]


def _scores(result: ExamResult) -> str:
    """The score and its parts, next to those of the base model if they are known."""
    base = result.base
    columns = [base, result] if base else [result]
    rows = [
        ["score", *(f"{column.score:.1f}" for column in columns)],
        ["95 % interval", *("{:.1f} to {:.1f}".format(*column.interval) for column in columns)],
    ]
    labels = {
        "right": "right",
        "partial": "partially right",
        "wrong": "wrong",
        "failed": "failed",
        "truncated": "truncated at the token limit",
        "answer_correct": "right answer in any form",
        "in_marker": "answer in a marker",
    }
    for name, label in labels.items():
        values = [getattr(column, name) for column in columns]
        is_rare = name in ("partial", "failed")
        if values[-1] is not None and (any(values) or not is_rare):
            rows.append([label, *("" if value is None else str(value) for value in values)])
    text = table([f"{result.num_questions} questions", *(column.checkpoint for column in columns)], rows)
    if base:
        changes = metrics.compare(base.scores, result.scores)
        text += f"\n{changes['gained']} questions score higher than with the base model, {changes['lost']} lower"
    return text + _by_type(columns)


def _by_type(columns: list[ExamResult]) -> str:
    """The score of each type of question, unless there are too many for a summary."""
    types = columns[-1].types
    if not 0 < len(types) <= MAX_TYPES_SHOWN:
        return ""
    rows = [
        [name, str(part.num_questions), *(f"{c.types[name].score:.1f}" if name in c.types else "" for c in columns)]
        for name, part in types.items()
    ]
    return "\n\n" + table(["type", "questions", *(column.checkpoint for column in columns)], rows)
