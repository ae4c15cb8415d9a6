"""The result of an exam: its score, and everything that the score depends on."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from swiftkit.exams.folder import ExamFolder, ScoreRecord
from swiftkit.exams.metrics import ExamScore, TypeScore


class PromptSettings(BaseModel):
    """How a question became a prompt: system prompt, instruction, number of few-shot examples."""

    model_config = ConfigDict(frozen=True)

    system: str | None = None
    instruct: str = "none"
    few_shot: int = 0


class ExamResult(ExamScore):
    """A finished exam, as in exam.json.

    Attributes:
        types: score of each type of question.
        dataset: the questions, as a user would name them.
        is_validation: whether they are the run's validation rows, by which the checkpoint was chosen.
        checkpoint, model, kind, step, run: what was evaluated.
        scorer, tolerance: how it was scored.
        prompt: how it was asked.
        engine, dtype, max_new_tokens: how it was answered.
        notes: what a reader should know.
        new_answers: questions that were answered now, and not before.
        tokens: of prompts and responses.
        seconds: duration.
        evalscope: its version, and its own score if that is the same.
        answers_key, scores_key: hashes of everything that answers and scores depend on.
        answers_sha256: hash of the answers.
        sha256: hash of every weight file.
        versions, device, command, ended: where and when.
        folder: of questions, scores, this result and the report; the answers are one folder up.
        base: in Python, the result of the base model on the same questions, if there is one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    types: dict[str, TypeScore] = Field({})
    dataset: str
    is_validation: bool = False
    checkpoint: str
    model: str
    kind: str
    step: int | None = None
    run: str | None = None
    scorer: str
    tolerance: float
    prompt: PromptSettings
    engine: str
    dtype: str
    max_new_tokens: int
    notes: list[str] = Field([])
    new_answers: int
    tokens: dict[str, int]
    seconds: float
    evalscope: dict[str, Any] = Field({})
    answers_key: str
    scores_key: str
    answers_sha256: str
    sha256: dict[str, str]
    versions: dict[str, str]
    device: dict[str, Any]
    command: str | None = None
    ended: str
    folder: Path = Field(exclude=True)
    base: ExamResult | None = Field(None, exclude=True)

    @property
    def files(self) -> ExamFolder:
        """The exam's files."""
        return ExamFolder(self.folder)

    @property
    def report(self) -> Path:
        """The page with every question."""
        return self.files.report

    @cached_property
    def scores(self) -> dict[int, ScoreRecord]:
        """Scores by question."""
        return self.files.read_scores()


def read_result(folder: Path) -> ExamResult | None:
    """A finished exam, from its folder; None if there is none, it is not complete, or its answers have changed."""
    files = ExamFolder(folder)
    try:
        content = json.loads(files.result.read_text(encoding="utf-8"))
        result = ExamResult.model_validate({**content, "folder": folder})
        numbers = {question.number for question in files.read_questions()}
        is_complete = files.read_scores().keys() == numbers and files.answers_sha256() == result.answers_sha256
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if is_complete else None


def list_results(home: Path) -> list[ExamResult]:
    """The finished exams in a run's folder, or in that of a base model, oldest first."""
    found = [result for path in (home / "exams").glob("*/*/exam.json") if (result := read_result(path.parent))]
    return sorted(found, key=lambda result: result.ended)
