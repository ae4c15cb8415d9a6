"""`exam`: ask a checkpoint questions with known answers, score every answer, keep the record."""

from __future__ import annotations

import logging
from collections.abc import Callable

from swiftkit import assets, files, plugins
from swiftkit.config.exam import ExamConfig
from swiftkit.errors import Problems
from swiftkit.exams import report
from swiftkit.exams.questions import prepare
from swiftkit.exams.result import ExamResult, read_result
from swiftkit.exams.runner import create_job, run_exam
from swiftkit.system import hardware
from swiftkit.system.events import Event
from swiftkit.training.checkpoint import Checkpoint, check_base_unchanged
from swiftkit.training.checkpoint_lookup import base_of, resolve_checkpoint

logger = logging.getLogger(__name__)


def exam(
    config: ExamConfig,
    *,
    on_event: Callable[[Event], None] | None = None,
    problems: Problems | None = None,
) -> ExamResult:
    """Evaluate a checkpoint; returns its result, with that of the base model as `base` if there is one.

    Args:
        config: the options.
        on_event: called with each event: the model is loaded, a question is answered.
        problems: what is wrong already; it is raised before anything else.

    Raises:
        SwiftkitError: the checkpoint or the questions cannot be used, or the work failed or was interrupted.
        RuntimeError: the scorer raised, which is a program error.
    """
    problems = problems or Problems()
    with assets.search_path(config.registry, problems):
        problems.raise_any()
        plugins.get("engines", config.engine)
        is_named = config.is_typed("model_type") or config.is_typed("model_id_or_path")
        checkpoint = resolve_checkpoint(config, model_means_base=is_named)
        check_base_unchanged(checkpoint)
        config = _with_precision(config, checkpoint)
        prepared = prepare(config, checkpoint)
        for note in prepared.notes:
            logger.warning("note: %s", note)
        base = base_of(checkpoint)
        if config.with_base and not base and checkpoint.kind in ("merged", "full"):
            logger.warning("note: the base model is gone or was changed: no comparison")
        before: ExamResult | None = None
        if base and config.with_base:
            before = run_exam(config, base, prepared, on_event)
            files.write(before.report, report.render(before))
        elif base:
            before = read_result(create_job(config, base, prepared).folder)
        result = run_exam(config, checkpoint, prepared, on_event).model_copy(update={"base": before})
        files.write(result.report, report.render(result))
        if base and not before:
            logger.info("to compare with the base model on the same questions, add --with_base")
        return result


def _with_precision(config: ExamConfig, checkpoint: Checkpoint) -> ExamConfig:
    """The precision of the training, unless another one is explicit."""
    entry = checkpoint.model.entry
    trained = checkpoint.settings.dtype if checkpoint.settings else None
    if trained == "auto" or (trained == "fp16" and hardware.device().kind == "cpu"):  # trained on a GPU
        trained = None
    default = entry.defaults.get("dtype") if entry and config.dtype == "auto" else None
    if config.is_explicit("dtype") or not (trained or default):
        dtype, reason = hardware.choose_dtype(config.dtype)
        name = dtype.name
    else:
        name, reason = str(trained or default), "as trained" if trained else "this model's default"
    logger.info("model: %s, %s in %s (%s)", checkpoint.model.name, checkpoint.label, name, reason)
    return config.model_copy(update={"dtype": name})
