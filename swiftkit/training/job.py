"""The job of a training process: everything that it needs, decided by the parent; the same for every trainer."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from swiftkit.chat import template
from swiftkit.chat.template import Template
from swiftkit.config.sft import SftConfig
from swiftkit.schema import DTYPES, Precision


class JobModel(BaseModel):
    """The base model: its folder, its name, its family, and what ms-swift calls its type and template."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    name: str
    family: str
    swift_model_type: str
    swift_template: str


class TrainJob(BaseModel):
    """One training.

    Attributes:
        run: the run folder.
        config: the resolved config; no value is left open.
        model: the base model.
        template_name, template: name and text of the chat template.
        stop_token: text that ends plain text.
        storage, compute: names of the precisions of weights and of matrix products.
        device: `cpu` or `cuda`.
        num_train, num_validation: rows in `data/train.jsonl` and `data/validation.jsonl`; without the latter, no best
            checkpoint is chosen.
        steps: optimizer steps.
        rows_per_step: training rows of one optimizer step.
        mean_tokens: tokens of an average training row, for the throughput.
        trainable: parameters that should be trained.
        parent: id and start (seconds since 1970) of the parent process; training ends if it is gone.
    """

    model_config = ConfigDict(frozen=True)

    run: Path
    config: SftConfig
    model: JobModel
    template_name: str
    template: str
    stop_token: str
    storage: str
    compute: str
    device: str
    num_train: int
    num_validation: int
    steps: int
    rows_per_step: int
    mean_tokens: float
    trainable: int
    parent: tuple[int, float]

    @property
    def events(self) -> Path:
        """events.jsonl of the run; the training process appends to it."""
        return self.run / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the training process prints."""
        return self.run / "swift.log"

    def data(self, part: str) -> Path:
        """The rows of `train` or `validation`, as JSON lines: messages or text, source, num_tokens."""
        return self.run / "data" / f"{part}.jsonl"

    @property
    def cache(self) -> Path:
        """Folder for the same rows in the trainer's own format; it is deleted when training ends."""
        return self.run / ".cache"

    @cached_property
    def compiled_template(self) -> Template:
        """The chat template, ready to render."""
        return template.compile(self.template, self.template_name)

    @property
    def precision(self) -> Precision:
        """Precisions of weights and of matrix products."""
        return Precision(DTYPES[self.storage], DTYPES[self.compute], "")

    def summary(self) -> dict[str, Any]:
        """What the event `started` says about the training."""
        return {
            "model": self.model.name,
            "trainer": self.config.trainer,
            "dtype": self.compute,
            "trainable": self.trainable,
            "train": self.num_train,
            "validation": self.num_validation,
        }

    def save(self) -> Path:
        """Write job.json into the run folder; returns its path."""
        path = self.run / "job.json"
        content = self.model_dump(mode="json")
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        return path


def load(path: Path) -> TrainJob:
    """Read a job file."""
    return TrainJob.model_validate_json(path.read_text(encoding="utf-8"))
