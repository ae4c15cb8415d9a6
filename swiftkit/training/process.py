"""A training in a child process, and what became of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping

from swiftkit.system import events, supervisor
from swiftkit.system.events import Event, Interrupted
from swiftkit.system.supervisor import ProcessResult
from swiftkit.training.job import TrainJob
from swiftkit.training.trainers import TrainResult

logger = logging.getLogger(__name__)


def run_trainer(
    command: list[str], job: TrainJob, on_event: Callable[[Event], None] | None, variables: Mapping[str, str]
) -> TrainResult:
    """Run the worker of a trainer to its end; signals are passed on to it.

    Args:
        command: program and arguments of the worker.
        job: what it works on; its events are read from `job.events`.
        on_event: called with each event.
        variables: further environment variables of the worker.
    """
    process = supervisor.run(command, log=job.log, events_file=job.events, on_event=on_event, variables=variables)
    result = judge(job, process)
    if process.signal and process.end is None:  # it had no time to say so itself
        events.append(job.events, Interrupted(step=result.step))
    return result


def judge(job: TrainJob, process: ProcessResult) -> TrainResult:
    """What became of a training, by its events and by what the trainer saved, not by the exit code alone."""
    effective = events.effective(process.events)
    step = max((getattr(event, "step", 0) for event in effective), default=0)
    code = process.returncode
    if process.state == "crashed":
        how = f"was killed by signal {-code}" if code < 0 else "exited"
        error = f"the training process {how} at step {step} without reporting an error"
        return TrainResult("crashed", step, error)
    if process.state == "finished" and _saved_step(job) < step:
        return TrainResult("failed", step, f"the trainer ended with exit code {code} before it saved its last step")
    if process.state == "finished":
        if code:  # only cleaning up is left by then
            logger.warning("everything is trained and saved, but the trainer then ended with exit code %d", code)
        return TrainResult("finished", step)
    error_text = process.failure_reason if process.state == "failed" else None
    return TrainResult(process.state, step, error_text, process.signal)


def _saved_step(job: TrainJob) -> int:
    """The step of the newest checkpoint, as the trainer recorded it; 0 if there is none."""
    states = job.run.glob("checkpoint-*/trainer_state.json")
    return max((int(json.loads(p.read_text(encoding="utf-8"))["global_step"]) for p in states), default=0)
