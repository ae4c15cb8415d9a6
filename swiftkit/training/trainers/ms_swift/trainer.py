"""The parent's side: start the worker with ms-swift, and judge how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from swiftkit.system import hardware
from swiftkit.system.events import Event
from swiftkit.training.job import TrainJob
from swiftkit.training.process import run_trainer
from swiftkit.training.trainers import TrainResult
from swiftkit.training.trainers.ms_swift import arguments

WORKER = "swiftkit.training.trainers.ms_swift.worker"
# Names the job file to the plugin, which ms-swift imports again in every data loader process.
JOB_VARIABLE = "SWIFTKIT_JOB"


def train(job: TrainJob, on_event: Callable[[Event], None] | None) -> TrainResult:
    """Run the job to its end; signals are passed on to the worker. See `swiftkit.training.trainers`."""
    path = job.save()
    return run_trainer(command(path, hardware.num_processes()), job, on_event, {JOB_VARIABLE: str(path)})


def preview(job: TrainJob) -> list[str]:
    """ms-swift's command line for the job."""
    return ["swift", "sft", *arguments.to_argv(arguments.options(job))]


def command(job: Path, num_processes: int) -> list[str]:
    """The worker's command line; more than one process is started by torchrun."""
    module = ["-m", WORKER, str(job)]
    if num_processes == 1:
        return [sys.executable, *module]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_processes}"]
    return [sys.executable, *torchrun, *module]
