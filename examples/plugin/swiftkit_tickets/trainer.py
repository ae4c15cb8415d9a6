"""A trainer that trains nothing: it records its job. A real one starts its own training here.

The parent's side is `train`; the worker's side is this module as `__main__`, in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.errors import SwiftkitError
from swiftkit.system import events
from swiftkit.system.events import Event, Finished, Started
from swiftkit.training import job as jobs
from swiftkit.training.job import TrainJob
from swiftkit.training.process import run_trainer
from swiftkit.training.trainers import TrainResult


def check_option(name: str, value: Any) -> Any:
    """`--recorder.note TEXT` is the only option.

    Raises:
        SwiftkitError: another one.
    """
    if name != "note":
        raise SwiftkitError(f"the recorder has no option `{name}`", "--recorder.note TEXT")
    return str(value)


def train(job: TrainJob, on_event: Callable[[Event], None] | None) -> TrainResult:
    """Run the worker to its end. See `swiftkit.training.trainers`."""
    command = [sys.executable, "-m", __name__, str(job.save())]
    return run_trainer(command, job, on_event, variables={})


def work(job: TrainJob) -> None:
    """The worker's side: report the start, do the work, report the end."""
    events.append(job.events, Started.by_this_process(job.steps))
    rows = len(job.data("train").read_text(encoding="utf-8").splitlines())
    content = {"rows": rows, "note": job.config.trainer_options.get("note"), "template": job.template_name}
    files.write_json(job.run / "recorded.json", content)
    events.append(job.events, Finished())


if __name__ == "__main__":
    work(jobs.load(Path(sys.argv[1])))
