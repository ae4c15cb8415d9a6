"""The job of the process that answers and scores: everything that it needs, decided by the parent."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from swiftkit import files
from swiftkit.exams.folder import ExamFolder


class ExamJob(BaseModel):
    """An exam, decided.

    Attributes:
        answers_key: hash of everything that the answers depend on.
        scores_key: hash of everything that the scores depend on.
        folder: where questions, scores and result are.
        engine: name of the engine.
        model: folder of the base or merged model.
        adapter: folder of the adapter, if there is one.
        dtype: bf16, fp16 or fp32.
        tokenizer: a tokenizer.json as transformers builds it.
        stop_ids: token ids that end a response.
        stop_text: text that ends a response, if the tokenizer has no single token for it.
        max_new_tokens: limit of a response, in tokens.
        batch_size: maximum number of questions at once.
        scorer: name of the scorer.
        tolerance: maximum relative difference between equal numbers.
        trust_remote_code: whether code from the model folder may run.
        parent: id and start (seconds since 1970) of the parent process; the work ends if it is gone.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    answers_key: str
    scores_key: str
    folder: Path
    engine: str
    model: Path
    adapter: Path | None
    dtype: str
    tokenizer: Path
    stop_ids: list[int]
    stop_text: str | None
    max_new_tokens: int
    batch_size: int
    scorer: str
    tolerance: float
    trust_remote_code: bool
    parent: tuple[int, float]

    @property
    def files(self) -> ExamFolder:
        """The exam's files."""
        return ExamFolder(self.folder)

    def save(self) -> Path:
        """Write the job file; returns its path."""
        files.write_json(self.files.job, self.model_dump(mode="json"))
        return self.files.job


def load(path: Path) -> ExamJob:
    """Read a job file."""
    return ExamJob.model_validate_json(path.read_text(encoding="utf-8"))


def matches_key(path: Path, answers_key: str) -> bool:
    """Whether a job file belongs to answers with this key."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["answers_key"] == answers_key)
    except (OSError, ValueError, KeyError, TypeError):
        return False
