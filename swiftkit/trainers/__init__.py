"""KIND: how a training is run. One file a trainer, with `train(job, show) -> Outcome`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from swiftkit.events import Event
from swiftkit.worker.job import Job


@dataclass(frozen=True)
class Outcome:
    """How a training ended: a state of `events.ENDS` or `died`, the last step, why if it failed, and the signal
    (SIGINT, SIGTERM) that asked for the end if one did."""

    state: str
    step: int
    error: str | None = None
    signal: int | None = None


class Train(Protocol):
    """The verb of a trainer: run the job to its end, hand every event to `show`."""

    def __call__(self, job: Job, show: Callable[[Event], None]) -> Outcome: ...
