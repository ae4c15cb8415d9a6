"""The resolved job file: everything that the training process needs, decided by the parent."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from swiftkit import events

VARIABLE = "SWIFTKIT_JOB"  # tells the plugin, which ms-swift imports again in every loader process, its job file


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        run: the run folder.
        argv: ms-swift's command line.
        template: name of the chat template in `templates/`.
        swift_template: ms-swift's own template of the family, for its stop words.
        stop: the stop token, which ends plain text.
        summary: what the event `started` says.
        mean_tokens: tokens of an average training row, for the throughput shown.
        rows_per_step: training rows of one optimizer step.
        trust_remote_code: whether ms-swift may run code from the model folder.
        keep_best: whether there is validation to choose a best checkpoint by.
        parent: process id and start (seconds since 1970) of the command that watches; training ends without it.
    """

    run: Path
    argv: list[str]
    template: str
    swift_template: str
    stop: str
    summary: dict[str, Any]
    mean_tokens: float
    rows_per_step: int
    trust_remote_code: bool
    keep_best: bool
    parent: tuple[int, float]

    @cached_property
    def events(self) -> Path:
        """events.jsonl of the run."""
        return self.run / "events.jsonl"

    @property
    def data(self) -> Path:
        """The rows that are trained and validated on, as JSON lines."""
        return self.run / "data"

    @property
    def cache(self) -> Path:
        """The same rows as ms-swift wants them; gone when training ends."""
        return self.run / ".cache"

    def save(self) -> Path:
        """Write the job file; returns its path."""
        path = self.run / "job.json"
        path.write_text(json.dumps(asdict(self), default=str, indent=1, ensure_ascii=False), encoding="utf-8")
        return path


def load(path: Path) -> Job:
    """Read a job file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Job(**{**content, "run": Path(content["run"])})


def orphaned(parent: tuple[int, float]) -> bool:
    """Whether the command that watches a job is gone; `parent`: its process id and start."""
    pid, began = parent
    try:
        return abs(psutil.Process(pid).create_time() - began) > 1
    except psutil.Error:
        return True


def phase(job: Job, name: str) -> None:
    """Tell that a part of the start is done."""
    if int(os.environ.get("RANK", "0")) == 0:
        events.append(job.events, "phase", name=name)


def wait_for_data(job: Job) -> None:
    """Let the other processes of a torchrun wait until the first has written the rows."""
    done = job.cache / "ready"
    if int(os.environ.get("RANK", "0")) == 0:
        done.touch()
    while not done.exists():
        time.sleep(0.1)
