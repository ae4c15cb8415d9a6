"""The folder of an exam: questions, answers as soon as they are given, scores, result, report.

Answers are kept under a hash of everything that they depend on (weights, prompts, stop rule, limit, precision, engine),
and below that the scores under a hash of what they depend on in addition (scorer, tolerance, references). So another
tolerance, or a scorer that ends responses at the same place, uses the same answers, and neither can belong to something
else.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.schema import Message
from swiftkit.scoring.scorers import Score

STOP, MARKER, LIMIT, ERROR = "stop", "marker", "limit", "error"  # why a response ended


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        number: counts from 1.
        source: `file:row` that it was read from.
        messages: the conversation up to the answer.
        reference: the whole reference answer.
        ids: token ids of the prompt.
        type: the row's `type`.
    """

    number: int
    source: str
    messages: tuple[Message, ...]
    reference: str
    ids: list[int] = field(repr=False)
    type: str | None = None

    @property
    def prompt_text(self) -> str:
        """The last user turn."""
        return self.messages[-1]["content"]


@dataclass(frozen=True)
class Answer:
    """One answer of the model.

    Attributes:
        number: the question's.
        response: its text.
        tokens: its number of tokens.
        stop_reason: `stop` token, `marker` (the last marker that counts was closed), token `limit`, or `error`.
        error: what failed.
    """

    number: int
    response: str
    tokens: int
    stop_reason: str
    error: str | None = None


@dataclass(frozen=True)
class ScoreRecord:
    """The score of the answer to a question."""

    number: int
    score: Score

    @property
    def value(self) -> float:
        """0 to 1."""
        return self.score.value

    def to_json(self) -> dict[str, Any]:
        """A line of scores.jsonl."""
        score = self.score
        return {
            "number": self.number,
            "value": score.value,
            "explanation": score.explanation,
            "answer": list(score.answer),
            "metadata": dict(score.metadata),
        }


@dataclass(frozen=True)
class ExamFolder:
    """The files of an exam: `path` has questions, scores and result; the folder above it the answers."""

    path: Path

    @property
    def answers(self) -> Path:
        """The answers, one a line, appended as they are given."""
        return self.path.parent / "answers.jsonl"

    @property
    def job(self) -> Path:
        """The latest job of the process that answers."""
        return self.path.parent / "job.json"

    @property
    def events(self) -> Path:
        """What that process reports while it works."""
        return self.path.parent / ".events.jsonl"

    @property
    def log(self) -> Path:
        """What that process prints."""
        return self.path.parent / "exam.log"

    @property
    def questions(self) -> Path:
        """The questions with their references, one a line."""
        return self.path / "questions.jsonl"

    @property
    def scores(self) -> Path:
        """The scores, one a line."""
        return self.path / "scores.jsonl"

    @property
    def result(self) -> Path:
        """The exam's score, and everything that it depends on."""
        return self.path / "exam.json"

    @property
    def report(self) -> Path:
        """The exam for people."""
        return self.path / "report.html"

    def read_questions(self) -> list[Question]:
        """The questions, in their order."""
        rows = files.read_jsonl(self.questions)
        return [Question(**{**row, "messages": tuple(row["messages"])}) for _, row in rows]

    def read_answers(self) -> dict[int, Answer]:
        """The answers so far, by number; the last one if a question has several."""
        answers = {}
        for _, row in files.read_jsonl(self.answers):
            with suppress(TypeError, KeyError):  # an edited line; the question is asked again
                answers[row["number"]] = Answer(**row)
        return answers

    def answers_sha256(self) -> str:
        """Hash of the answers. Exams with several scorers share them, and may replace those that failed."""
        return files.digest([asdict(answer) for _, answer in sorted(self.read_answers().items())])

    def read_scores(self) -> dict[int, ScoreRecord]:
        """The scores, by number."""
        return {
            row["number"]: ScoreRecord(
                row["number"], Score(row["value"], row["explanation"], tuple(row["answer"]), row["metadata"])
            )
            for _, row in files.read_jsonl(self.scores)
        }
