"""Kind `trainers`: an engine that trains. One folder (or file) a trainer, with

- `train(job, on_event) -> TrainResult`: run the job to its end, in a child process, and pass every event on; most
  trainers only call `swiftkit.training.process.run_trainer` with the command of their own worker,
- optionally `check_option(name, value) -> value`: what `--TRAINER.NAME VALUE` means (for ms_swift also `--swift.NAME`),
  or a SwiftkitError; the trainer finds its options in `job.config.trainer_options`,
- optionally `preview(job) -> list[str]`: the command that would run, for `--dry_run`.

`--trainer NAME` chooses one. The job (`swiftkit.training.job.TrainJob`) is the same for every trainer; what a worker
has to write are the events of `swiftkit.system.events` and, in the run folder, checkpoints `checkpoint-N` with a
trainer_state.json, the link `last` to the newest of them, and the best one by `swiftkit.training.run.save_best`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from swiftkit import plugins
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.system.events import Event
from swiftkit.training.job import TrainJob


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes:
        state: `finished`, `failed`, `interrupted` or `crashed`.
        step: the last optimizer step.
        error: why it failed or crashed.
        signal: SIGINT or SIGTERM, if one of them ended it.
    """

    state: str
    step: int
    error: str | None = None
    signal: int | None = None


class Trainer(Protocol):
    """The function of a trainer."""

    def __call__(self, job: TrainJob, on_event: Callable[[Event], None] | None) -> TrainResult: ...


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A trainer's own options, with the types that it expects.

    Raises:
        SwiftkitError: all that it does not accept.
    """
    check = getattr(plugins.module("trainers", name), "check_option", None)
    if not options:
        return {}
    if check is None:
        raise SwiftkitError(f"trainer `{name}` has no options of its own: {', '.join(options)}")
    problems, checked = Problems(), {}
    for option, value in options.items():
        with problems.collect():
            checked[option] = check(option, value)
    problems.raise_any()
    return checked


def preview(job: TrainJob) -> list[str]:
    """The command that a trainer would run; empty if it does not say."""
    function = getattr(plugins.module("trainers", job.config.trainer), "preview", None)
    return list(function(job)) if function else []


def check_plugin(name: str) -> None:
    """A trainer defines its function, with a job and a callback as parameters.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    try:
        inspect.signature(plugins.get("trainers", name)).bind("job", "on_event")
    except TypeError as error:
        raise SwiftkitError(f"`train` cannot be called as train(job, on_event): {error}") from error
