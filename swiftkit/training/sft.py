"""`sft`: plan a training, run it, keep its record."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from swiftkit import assets, files, plugins
from swiftkit.config.sft import SftConfig
from swiftkit.data.split import TokenizedExample
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, Problems, SwiftkitError
from swiftkit.system import events, hardware, supervisor
from swiftkit.system.events import Event
from swiftkit.training import curves, manifest, planning
from swiftkit.training.job import JobModel, TrainJob
from swiftkit.training.planning import TrainingPlan
from swiftkit.training.record import RunRecord
from swiftkit.training.run import Run, create_run
from swiftkit.training.trainers import TrainResult

logger = logging.getLogger(__name__)


class TrainingError(SwiftkitError):
    """A training that failed or was interrupted; what it saved is in `run`."""

    def __init__(self, run: Run, result: TrainResult) -> None:
        if result.state == "interrupted":
            message, hint = f"interrupted at step {result.step}", f"what was saved is in {run.path}"
            code = INTERRUPTED if result.signal != signal.SIGTERM else TERMINATED
        else:
            message, hint = f"the training failed: {result.error}", f"the trainer's own output is in {run.log}"
            code = FAILED
        super().__init__(message, hint, exit_code=code)
        self.run = run
        self.result = result


def sft(
    config: SftConfig,
    *,
    on_plan: Callable[[TrainingPlan], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
    problems: Problems | None = None,
) -> Run:
    """Fine-tune a model; returns the finished run.

    Args:
        config: the options.
        on_plan: called when everything is decided; only the space on the disk is checked after that.
        on_event: called with each event of the training: steps, evaluations, checkpoints.
        problems: what is wrong already; it is raised together with what is found here.

    Raises:
        SwiftkitError: everything that is wrong with options, model or data; nothing was written.
        TrainingError: the training failed or was interrupted.
    """
    if config.dry_run:
        raise SwiftkitError("dry_run is for the command line", "swiftkit.training.planning.plan(config) only plans")
    problems = problems or Problems()
    with assets.search_path(config.registry, problems):
        plan = planning.plan(config, problems)
        if on_plan:
            on_plan(plan)
        planning.check_disk(plan)
        return _train(plan, on_event)


def _train(plan: TrainingPlan, on_event: Callable[[Event], None] | None) -> Run:
    run = create_run(files.parse_path(plan.config.output_dir, "--output_dir"), plan.model.name)
    logger.info("run: %s", run.path)
    record = manifest.begin(plan)
    manifest.save(run, plan, record)
    _write_inputs(run, plan)
    weights: dict[str, str] = {}
    hashing = Thread(target=lambda: weights.update(manifest.hash_weights(plan)), daemon=True)
    hashing.start()
    start = time.time()
    try:
        result: TrainResult = plugins.get("trainers", plan.config.trainer)(create_job(run.path, plan), on_event)
    except BaseException as error:  # a bug, or KeyboardInterrupt in a notebook; the training process has ended by now
        step = max((getattr(event, "step", 0) for event in events.read(run.events)), default=0)
        if isinstance(error, Exception):
            result = TrainResult("failed", step, error=f"{type(error).__name__}: {error}")
        else:
            result = TrainResult("interrupted", step)
        _finish(run, plan, record, result, time.time() - start)
        raise
    seconds = time.time() - start
    if result.state == "finished":  # after an interrupt, the user does not want to wait for hashes
        hashing.join()
    record = record.model_copy(update={"sha256": {**record.sha256, **weights}})
    _finish(run, plan, record, result, seconds)
    if result.state != "finished":
        raise TrainingError(run, result)
    return run


def _finish(run: Run, plan: TrainingPlan, record: RunRecord, result: TrainResult, seconds: float) -> None:
    """Complete the record, draw the curves."""
    record = manifest.finish(run, record, result, seconds)
    manifest.save(run, plan, record)
    if result.step:
        what = "full" if plan.config.sft_type == "full" else f"rank {plan.config.lora_rank}"
        title = f"{run.name}, {what}, learning rate {plan.config.learning_rate:g}"
        curves.save(curves.from_events(events.effective(events.read(run.events))), title, run.curves)
    if record.trainable != plan.trainable:
        logger.warning(
            "the trainer trained %s parameters, not the %s announced", f"{record.trainable:,}", f"{plan.trainable:,}"
        )


def create_job(folder: Path, plan: TrainingPlan) -> TrainJob:
    """The job of the training process, in a run folder."""
    counts, family = plan.data.counts, plan.model.family
    return TrainJob(
        run=folder.resolve(),
        config=plan.config,
        model=JobModel(
            folder=plan.context.folder.path.resolve(),
            name=plan.model.name,
            family=family.name,
            swift_model_type=family.swift.model_type,
            swift_template=family.swift.template,
        ),
        template_name=plan.context.template.name,
        template=plan.context.template.source,
        stop_token=plan.context.encoder.stop_token,
        storage=plan.precision.storage.name,
        compute=plan.precision.compute.name,
        device=hardware.device().kind,
        num_train=counts.train,
        num_validation=counts.validation,
        steps=plan.steps,
        rows_per_step=plan.rows_per_step,
        mean_tokens=plan.data.num_tokens / counts.train,
        trainable=plan.trainable,
        parent=supervisor.process_identity(),
    )


def _write_inputs(run: Run, plan: TrainingPlan) -> None:
    """The chat template and the rows, which belong to the run from now on."""
    files.write(run.template_file, plan.context.template.source)
    run.data("train").parent.mkdir()
    for part, rows in (("train", plan.data.train), ("validation", plan.data.validation)):
        if rows:
            files.write(run.data(part), files.to_jsonl([_row(example) for example in rows]))
    if plan.data.skipped:
        files.write(run.data("skipped"), files.to_jsonl(plan.data.skipped))


def _row(tokenized: TokenizedExample) -> dict[str, Any]:
    example = tokenized.example
    content: dict[str, Any] = {"text": example.text} if example.text else {"messages": list(example.messages)}
    own = {name: getattr(example, name) for name in example.own_fields()}
    further = {"num_tokens": tokenized.num_tokens, "type": example.type, "masked": list(example.masked)}
    return content | {"source": example.source} | further | own
