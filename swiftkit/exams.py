"""The exam folder: the questions, every answer as soon as it is given, the scores, the mark.

An exam's folder is named after its questions and its key, a hash of everything that answers and scores hang on:
weights, prompt tokens, references, template, settings. So what stands in it can never belong to something else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from swiftkit import runs
from swiftkit.schema import Message

STOP, MARKER, LIMIT, ERROR = "stop", "marker", "limit", "error"  # how an answer ends


@dataclass(frozen=True)
class Question:
    """One question: the conversation up to the answer, its token ids, the reference answer's whole text.

    `source` names the file and row that it came from; `number` counts from 1; `type` is the row's own column.
    """

    number: int
    source: str
    messages: tuple[Message, ...]
    reference: str
    ids: list[int]
    type: str | None = None

    @property
    def asked(self) -> str:
        """The last user turn."""
        return self.messages[-1]["content"]


@dataclass(frozen=True)
class Answer:
    """One answer. `end`: `stop` token, `marker` (the last that counts has closed), token `limit`, or `error`."""

    number: int
    response: str
    tokens: int
    end: str
    error: str | None = None


@dataclass(frozen=True)
class Scored:
    """What an answer earned, 0 to 1, why, and what was read from it; see `swiftkit.scorers.Score`."""

    number: int
    credit: float
    reason: str
    read: tuple[str, ...] = ()
    marked: bool | None = None
    stated: bool | None = None


@dataclass(frozen=True)
class Job:
    """An exam, decided: all that the process that answers and scores has to know.

    Attributes:
        key: hash of everything that answers and scores hang on.
        folder: the exam's folder.
        model: folder of the base or merged model.
        adapter: folder of the adapter, if there is one.
        dtype: bf16, fp16 or fp32.
        tokenizer: a tokenizer.json as transformers makes it.
        stops: token ids, each of which ends an answer.
        stop_text: text that ends an answer where the tokenizer has no token for it.
        limit: most tokens of an answer.
        rows: most questions at once.
        scorer: name of the rule.
        tolerance: largest relative difference between equal numbers.
        trust_remote_code: whether code from the model folder may run.
        parent: process id and start (seconds since 1970) of the command that watches; the work ends without it.
    """

    key: str
    folder: Path
    model: Path
    adapter: Path | None
    dtype: str
    tokenizer: Path
    stops: list[int]
    stop_text: str | None
    limit: int
    rows: int
    scorer: str
    tolerance: float
    trust_remote_code: bool
    parent: tuple[int, float]

    @cached_property
    def files(self) -> Folder:
        """The folder's files."""
        return Folder(self.folder)

    def save(self) -> Path:
        """Write the job file; returns its path."""
        runs.write(self.files.job, json.dumps(asdict(self), default=str, indent=1, ensure_ascii=False))
        return self.files.job


def load(path: Path) -> Job:
    """Read a job file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    adapter = Path(content["adapter"]) if content["adapter"] else None
    paths = {name: Path(content[name]) for name in ("folder", "model", "tokenizer")}
    return Job(**{**content, **paths, "adapter": adapter})


def is_of(path: Path, key: str) -> bool:
    """Whether the job file there is that of the exam with this key."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["key"] == key)
    except (OSError, ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class Folder:
    """The files of an exam."""

    path: Path

    @property
    def job(self) -> Path:
        """What was asked of the process that answered."""
        return self.path / "job.json"

    @property
    def questions(self) -> Path:
        """The questions, a line each."""
        return self.path / "questions.jsonl"

    @property
    def answers(self) -> Path:
        """The answers, a line each, appended as they are given."""
        return self.path / "answers.jsonl"

    @property
    def scores(self) -> Path:
        """The scores, a line each."""
        return self.path / "scores.jsonl"

    @property
    def result(self) -> Path:
        """The mark and what it consists of."""
        return self.path / "exam.json"

    @property
    def report(self) -> Path:
        """The exam for people."""
        return self.path / "report.html"

    @property
    def events(self) -> Path:
        """What the process that answers tells while it works."""
        return self.path / ".events.jsonl"

    @property
    def log(self) -> Path:
        """What that process and evalscope printed."""
        return self.path / "exam.log"

    def asked(self) -> list[Question]:
        """The questions, in their order."""
        return [Question(**{**row, "messages": tuple(row["messages"])}) for row in _rows(self.questions)]

    def answered(self) -> dict[int, Answer]:
        """The answers so far, by number; of several to a question, the last."""
        found = {}
        for row in _rows(self.answers):
            with suppress(TypeError, KeyError):  # somebody's edit; the question is asked again
                found[row["number"]] = Answer(**row)
        return found

    def scored(self) -> dict[int, Scored]:
        """The scores, by number."""
        return {row["number"]: Scored(**{**row, "read": tuple(row["read"])}) for row in _rows(self.scores)}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of a file; one that was cut off by a crash is passed over. None when there is no file."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict):
                    yield row


def lines(rows: list[Any]) -> str:
    """Dataclasses as JSON lines."""
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def key(parts: dict[str, Any]) -> str:
    """Hash of what an exam consists of."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
