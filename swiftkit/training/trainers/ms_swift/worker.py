"""`python -m swiftkit.training.trainers.ms_swift.worker JOB.json`: one training by ms-swift, reported in events.jsonl.

Everything heavy is imported in here, in a process group of its own. The parent reads the events, never this process's
output, which goes to swift.log.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

from swiftkit.system import events
from swiftkit.system.events import Failed, Interrupted, Phase, Started
from swiftkit.training import job as jobs
from swiftkit.training.job import TrainJob
from swiftkit.training.trainers.ms_swift import arguments


def main(path: str) -> int:
    """Train as the job file says; 0 if ms-swift came to its end, else 1."""
    job = jobs.load(Path(path))
    if is_main_process():
        events.append(job.events, Started.by_this_process(job.steps, details=job.summary()))
    try:
        _train(job)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # argparse in ms-swift raises SystemExit
        traceback.print_exc()
        if is_main_process():
            is_interrupt = isinstance(error, KeyboardInterrupt)
            events.append(job.events, Interrupted() if is_interrupt else Failed.by_error(error))
        return 1
    finally:
        if is_main_process():
            shutil.rmtree(job.cache, ignore_errors=True)
    return 0


def is_main_process() -> bool:
    """Whether this is the first (or only) process of the training."""
    return int(os.environ.get("RANK", "0")) == 0


def _train(job: TrainJob) -> None:
    from swift.pipelines.train.sft import sft_main  # nearly all of the start-up time

    if is_main_process():
        events.append(job.events, Phase(phase="imports"))
        _write_cache(job)
    _wait_for_cache(job)
    sft_main(arguments.to_argv(arguments.options(job)))
    _shutdown_distributed()


def _write_cache(job: TrainJob) -> None:
    """The rows as ms-swift's `cached_dataset` expects them."""
    from datasets import Dataset

    for part in ("train", "validation"):
        if job.data(part).is_file():
            with job.data(part).open(encoding="utf-8") as stream:
                rows = [json.loads(line) for line in stream]
            # ms-swift reads the column `lengths`, to sort and to pack.
            for row in rows:
                row["lengths"] = row.pop("num_tokens")
            Dataset.from_list(rows).save_to_disk(job.cache / part)
    (job.cache / "ready").touch()


def _wait_for_cache(job: TrainJob) -> None:
    """Let the other processes of a torchrun wait until the first one has written the rows."""
    while not (job.cache / "ready").exists():
        time.sleep(0.1)


def _shutdown_distributed() -> None:
    """Let the processes of a torchrun end together: one that ends first breaks the others' connections."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
