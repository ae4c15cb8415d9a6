"""Running an exam: answer what has no answer yet, score everything, write the result."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from filelock import FileLock, Timeout

from swiftkit import files, plugins
from swiftkit.config.exam import ExamConfig
from swiftkit.errors import FAILED, SwiftkitError
from swiftkit.exams import engines, metrics
from swiftkit.exams import job as jobs
from swiftkit.exams.job import ExamJob
from swiftkit.exams.questions import PreparedExam
from swiftkit.exams.result import ExamResult
from swiftkit.schema import DTYPES
from swiftkit.scoring import scorers
from swiftkit.system import estimates, hardware, session, supervisor
from swiftkit.system.events import Event, Finished
from swiftkit.system.versions import versions
from swiftkit.training.checkpoint import Checkpoint
from swiftkit.training.run import Run

logger = logging.getLogger(__name__)
WORKER = "swiftkit.worker.exam"
MAX_BATCH_SIZE = 256  # beyond, nothing is gained, and all responses wait for the slowest
BYTES_PER_TOKEN = 16  # of an answer on disk, generously


def create_job(config: ExamConfig, checkpoint: Checkpoint, prepared: PreparedExam) -> ExamJob:
    """The exam of a checkpoint, with its folder."""
    answers_key = files.digest(_answers_depend_on(config, checkpoint, prepared))
    scores_key = files.digest(
        [answers_key, config.scorer, config.tolerance, [question.reference for question in prepared.questions]]
    )
    run = _owner(checkpoint)
    home = run.path if run else files.parse_path(config.output_dir, "--output_dir") / checkpoint.model.name
    folder = home / "exams" / f"{prepared.label}-{answers_key[:12]}" / f"{config.scorer}-{scores_key[:8]}"
    return ExamJob(
        answers_key=answers_key,
        scores_key=scores_key,
        folder=folder.absolute(),
        engine=config.engine,
        model=checkpoint.folder.path.resolve(),
        adapter=checkpoint.adapter.path.resolve() if checkpoint.adapter else None,
        dtype=config.dtype,
        tokenizer=prepared.tokenizer.resolve(),
        stop_ids=prepared.stops.ids,
        stop_text=None if prepared.stops.trained else prepared.stops.text,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size or _batch_size(config, checkpoint, prepared),
        scorer=config.scorer,
        tolerance=config.tolerance,
        trust_remote_code=config.trust_remote_code,
        parent=supervisor.process_identity(),
    )


def _answers_depend_on(config: ExamConfig, checkpoint: Checkpoint, prepared: PreparedExam) -> dict[str, Any]:
    """Weights, prompts, stop rule, limit, precision and engine. A scorer matters only by when it ends a response."""
    return {
        "weights": checkpoint.hashes,
        "prompts": [[question.ids, question.prompt_text] for question in prepared.questions],
        "stops": [prepared.stops.ids, prepared.stops.text],
        "scorer_stop": scorers.stop_rule_key(config.scorer, [question.reference for question in prepared.questions]),
        "settings": [config.dtype, config.max_new_tokens],
        "engine": [config.engine, engines.settings_key(config.engine)],
    }


def _batch_size(config: ExamConfig, checkpoint: Checkpoint, prepared: PreparedExam) -> int:
    longest = max(len(question.ids) for question in prepared.questions) + config.max_new_tokens
    folder = checkpoint.folder
    return min(
        MAX_BATCH_SIZE,
        estimates.generation_batch(folder.config, folder.parameters, longest, DTYPES[config.dtype]),
    )


def _owner(checkpoint: Checkpoint) -> Run | None:
    """The run in whose folder the exam is kept; a base model's exam belongs to none, since all runs compare with it."""
    return None if checkpoint.kind == "base" else checkpoint.run


def run_exam(
    config: ExamConfig,
    checkpoint: Checkpoint,
    prepared: PreparedExam,
    on_event: Callable[[Event], None] | None = None,
) -> ExamResult:
    """Answer what has no answer yet, score everything, write exam.json.

    Raises:
        SwiftkitError: another process runs it, or the work failed or was interrupted, which its exit code says.
        RuntimeError: the scorer raised, which is a program error.
    """
    job = create_job(config, checkpoint, prepared)
    needed = len(prepared.questions) * config.max_new_tokens * BYTES_PER_TOKEN + 4 * estimates.MEBIBYTE
    hint = "an exam is kept in its run's folder: copy that to where you may write" if _owner(checkpoint) else None
    estimates.require_disk(job.folder, needed, flag="the exam's folder", what="the exam", hint=hint)
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(job.folder.parent / ".lock", timeout=0):
            return _run(job, checkpoint, prepared, on_event)
    except Timeout:
        raise SwiftkitError(f"another exam is running in {job.folder.parent}", "wait until it ends") from None


def _run(
    job: ExamJob, checkpoint: Checkpoint, prepared: PreparedExam, on_event: Callable[[Event], None] | None
) -> ExamResult:
    exam_files, total = job.files, len(prepared.questions)
    if exam_files.job.is_file() and not jobs.matches_key(exam_files.job, job.answers_key):
        exam_files.answers.unlink(missing_ok=True)  # files of another exam were put here
    files.write(exam_files.questions, files.to_jsonl(prepared.questions))
    path = job.save()
    exam_files.events.unlink(missing_ok=True)
    known = len(exam_files.read_answers())
    before = f", {known} of them answered before" if known else ""
    logger.info("exam: %s: %d questions of %s%s", checkpoint.label, total, prepared.dataset, before)
    start = time.time()
    process = supervisor.run(
        [sys.executable, "-m", WORKER, str(path)],
        log=exam_files.log,
        events_file=exam_files.events,
        on_event=on_event,
    )
    exam_files.events.unlink(missing_ok=True)
    process.require_finished(
        "the exam",
        interrupted=f"{len(exam_files.read_answers())} of {total} questions are answered and kept",
        resume_hint="the same command continues from there",
    )
    assert isinstance(process.end, Finished)
    return _write_result(job, checkpoint, prepared, seconds=time.time() - start, details=process.end.details or {})


def _write_result(
    job: ExamJob, checkpoint: Checkpoint, prepared: PreparedExam, *, seconds: float, details: dict[str, Any]
) -> ExamResult:
    """Compute the score, and write exam.json."""
    exam_files = job.files
    answers, scores = exam_files.read_answers(), exam_files.read_scores()
    counts = getattr(plugins.module("scorers", job.scorer), "COUNTS", ())
    score = metrics.score_exam(len(prepared.questions), scores, answers, counts)
    if score.failed == score.num_questions:
        raise SwiftkitError(
            f"no question could be answered: {answers[1].error}", f"details are in {exam_files.log}", exit_code=FAILED
        )
    result = ExamResult(
        **score.model_dump(),
        types=metrics.score_by_type(prepared.questions, scores),
        dataset=prepared.dataset,
        is_validation=prepared.is_validation,
        checkpoint=checkpoint.label,
        model=checkpoint.model.name,
        kind=checkpoint.kind,
        step=checkpoint.step,
        run=str(checkpoint.run.path.absolute()) if checkpoint.run else None,
        scorer=job.scorer,
        tolerance=job.tolerance,
        prompt=prepared.prompt,
        engine=job.engine,
        dtype=job.dtype,
        max_new_tokens=job.max_new_tokens,
        notes=prepared.notes,
        new_answers=score.num_questions - details["num_known"],
        tokens={
            "prompts": sum(len(question.ids) for question in prepared.questions),
            "responses": sum(answer.tokens for answer in answers.values()),
        },
        seconds=round(seconds, 1),
        evalscope=evalscope_record(details["evalscope"], score.exact, score.num_questions),
        answers_key=job.answers_key,
        scores_key=job.scores_key,
        answers_sha256=exam_files.answers_sha256(),
        sha256=checkpoint.hashes,
        versions=versions(),
        device=hardware.device().to_json(),
        command=session.current.get().command,
        ended=datetime.now().astimezone().isoformat(timespec="seconds"),
        folder=job.folder,
    )
    files.write_json(exam_files.result, result.model_dump(mode="json"))
    return result


def evalscope_record(reported: dict[str, Any], score: float, num_questions: int) -> dict[str, Any]:
    """evalscope's version, and its own score (0 to 1, four decimals) only if it is the same."""
    own = reported["score"]
    agrees = own is not None and reported["questions"] == num_questions and abs(100 * own - score) < 0.01
    return {"version": reported["version"]} | ({"score": own} if agrees else {})
