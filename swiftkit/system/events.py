"""Events of a child process: one JSON object a line, append-only; of a training, they are its events.jsonl.

Each line has `event` (the name below, in lower case), `time` (seconds since 1970), and the fields of the class.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from swiftkit import files
from swiftkit.errors import SwiftkitError


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened; `time` is in seconds since 1970."""

    time: float = field(default_factory=lambda: round(time.time(), 3))

    @property
    def name(self) -> str:
        """As in the file."""
        return type(self).__name__.lower()

    def to_json(self) -> dict[str, Any]:
        """The content of the line; fields that are None are left out."""
        content = {key: value for key, value in asdict(self).items() if value is not None}
        return {"event": self.name, "time": content.pop("time"), **content}


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """A process began to work.

    Attributes:
        pid, pid_started: process id and start (seconds since 1970), by which a living process is recognized.
        total: planned optimizer steps, or questions.
        num_done: questions that were answered before.
        details: what the work consists of.
    """

    pid: int
    pid_started: float
    total: int = 0
    num_done: int | None = None
    details: dict[str, Any] | None = None

    @classmethod
    def by_this_process(cls, total: int, **fields: Any) -> Started:
        """The event with the identity of the process that calls this."""
        process = psutil.Process()
        return cls(pid=process.pid, pid_started=process.create_time(), total=total, **fields)


@dataclass(frozen=True, kw_only=True)
class Phase(Event):
    """A part of the start is complete: `imports`, `model`, `trainer` (with what the trainer will do)."""

    phase: str
    trainable: int | None = None
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Step(Event):
    """An optimizer step; `tokens` is the number of tokens so far, by the average length of the rows."""

    step: int
    loss: float
    epoch: float = 0.0
    tokens: int = 0
    grad_norm: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class Eval(Event):
    """An evaluation on the validation rows."""

    step: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class Saved(Event):
    """A checkpoint was written."""

    step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Best(Event):
    """A checkpoint became the best one, by `metric`."""

    step: int
    value: float
    metric: str = "eval_loss"


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The run continues from this step; later ones that were logged before do not count."""

    step: int


@dataclass(frozen=True, kw_only=True)
class Answered(Event):
    """A question was answered: number answered so far, and tokens of this response."""

    num_done: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class End(Event):
    """How a process ended; `step` is the last optimizer step of a training."""

    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Finished(End):
    """All work is done; `memory` is the peak in bytes, by device."""

    memory: dict[str, int] | None = None
    details: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Failed(End):
    """The work failed; `is_bug` if a program error in a plugin is the cause; `hint` is the fix, if it is known."""

    error: str
    is_bug: bool = False
    hint: str | None = None

    @classmethod
    def by_error(cls, error: BaseException, **fields: Any) -> Failed:
        """The event for an exception."""
        if isinstance(error, SwiftkitError):
            return cls(error=str(error), hint=error.problems[0].hint, **fields)
        return cls(error=f"{type(error).__name__}: {error}", **fields)


@dataclass(frozen=True, kw_only=True)
class Interrupted(End):
    """A signal, or the end of the parent process, stopped the work."""


_CLASSES: tuple[type[Event], ...] = (Started, Phase, Step, Eval, Saved, Best, Resumed, Answered)
_BY_NAME = {cls.__name__.lower(): cls for cls in (*_CLASSES, Finished, Failed, Interrupted)}
# Names of fields in files of earlier versions.
_FORMER_FIELDS = {"started": {"steps": "total"}, "phase": {"name": "phase"}, "best": {"loss": "value"}}


def append(path: Path, event: Event) -> None:
    """Write one event; the line is complete or missing, since one write appends it."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(event.to_json(), ensure_ascii=False) + "\n")


def from_json(content: dict[str, Any]) -> Event | None:
    """The event in a line; None if it is not one that this version knows."""
    cls = _BY_NAME.get(str(content.get("event")))
    if cls is None:
        return None
    former = _FORMER_FIELDS.get(str(content["event"]), {})
    known = {item.name for item in fields(cls)}
    values = {former.get(key, key): value for key, value in content.items()}
    try:
        event: Event = cls(**{key: value for key, value in values.items() if key in known})
    except TypeError:  # a field is missing
        return None
    return event


def read(path: Path) -> Iterator[Event]:
    """Every event of a file; none if there is no file. A line that a crash has truncated is skipped."""
    for _, content in files.read_jsonl(path):
        if event := from_json(content):
            yield event


def effective(events: Iterable[Event]) -> list[Event]:
    """The events that count: `Resumed` discards later steps, and the end, of the run's earlier part."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, Resumed):
            kept = [e for e in kept if getattr(e, "step", 0) <= event.step and not isinstance(e, End)]
        kept.append(event)
    return kept


def last_end(events: Iterable[Event]) -> End | None:
    """How the process ended, if it said so."""
    return next((event for event in reversed(list(events)) if isinstance(event, End)), None)
