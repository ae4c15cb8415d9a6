"""`python -m swiftkit.worker JOB.json`: one training by ms-swift, told in events.jsonl.

Everything heavy is imported in here, in a process group of its own. The parent reads the events, never this
process's output, which goes to swift.log.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from pathlib import Path

import psutil

from swiftkit import events
from swiftkit.worker import job as jobs


def main(path: str) -> int:
    """Train as `path` says; 0 when ms-swift came to its end, else 1."""
    job = jobs.load(Path(path))
    main_process = int(os.environ.get("RANK", "0")) == 0
    if main_process:
        me = psutil.Process()
        events.append(job.events, "started", pid=me.pid, pid_started=me.create_time(), **job.summary)
    try:
        _train(job, main_process)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # argparse in ms-swift leaves by SystemExit
        traceback.print_exc()
        if main_process and isinstance(error, KeyboardInterrupt):
            events.append(job.events, "interrupted")
        elif main_process:
            events.append(job.events, "failed", error=f"{type(error).__name__}: {error}")
        return 1
    finally:
        if main_process:
            shutil.rmtree(job.cache, ignore_errors=True)
    return 0


def _train(job: jobs.Job, main_process: bool) -> None:
    from swift.pipelines.train.sft import sft_main  # nearly all of the time that a start takes

    from datasets import Dataset

    jobs.phase(job, "imports")
    for name in ("train", "validation"):
        target = job.cache / name
        if main_process and (job.data / f"{name}.jsonl").is_file():
            with (job.data / f"{name}.jsonl").open(encoding="utf-8") as stream:
                Dataset.from_list([json.loads(line) for line in stream]).save_to_disk(target)
    jobs.wait_for_data(job)
    sft_main(job.argv)
    _part()


def _part() -> None:
    """Let the processes of a torchrun leave together: one that is gone first takes the others' threads by surprise."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
