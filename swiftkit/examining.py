"""An exam from its first question to exam.json: what is to be done, doing it in a child process, the mark."""

from __future__ import annotations

import json
import logging
import shlex
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from swiftkit import chat, child, events, exams, hardware, marks, paths, record, runs
from swiftkit.checkpoints import Checkpoint
from swiftkit.config import ExamConfig
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, SwiftkitError
from swiftkit.exams import Folder, Job
from swiftkit.marks import Mark
from swiftkit.progress import Line
from swiftkit.questions import Sheet

logger = logging.getLogger(__name__)
ROWS = 256  # most questions at once; with more of them nothing is gained, and all wait for the slowest


@dataclass(frozen=True)
class Done:
    """A finished exam."""

    files: Folder
    mark: Mark
    told: dict[str, Any]

    @cached_property
    def scores(self) -> dict[int, exams.Scored]:
        """Scores by question."""
        return self.files.scored()


def job(config: ExamConfig, checkpoint: Checkpoint, sheet: Sheet) -> Job:
    """The exam of this checkpoint, with its folder."""
    template = chat.path(checkpoint.wanted.family.template)
    key = exams.key(
        {
            "weights": checkpoint.hashes,
            "questions": [[q.ids, q.reference, q.asked] for q in sheet.questions],
            "template": runs.sha256(template),
            "stops": [sheet.stops, sheet.stop_text],
            "settings": [config.dtype, config.max_new_tokens, config.scorer, config.tolerance],
        }
    )
    run = _run(checkpoint)
    home = run.path if run else paths.typed(config.output_dir, "--output_dir") / checkpoint.wanted.name
    longest = max(len(question.ids) for question in sheet.questions)
    room = hardware.answering_rows(
        checkpoint.folder.config, checkpoint.folder.parameters, longest + config.max_new_tokens, config.dtype
    )
    return Job(
        key=key,
        folder=(home / "exams" / f"{sheet.label}-{key[:12]}").absolute(),
        model=checkpoint.folder.path.resolve(),
        adapter=checkpoint.adapter.path.resolve() if checkpoint.adapter else None,
        dtype=config.dtype,
        tokenizer=sheet.tokenizer.resolve(),
        stops=sheet.stops,
        stop_text=sheet.stop_text,
        limit=config.max_new_tokens,
        rows=config.batch_size or min(ROWS, room),
        scorer=config.scorer,
        tolerance=config.tolerance,
        trust_remote_code=config.trust_remote_code,
        parent=child.me(),
    )


def _run(checkpoint: Checkpoint) -> runs.Run | None:
    """The run in whose folder the exam stands; a base model's exam belongs to none, since all runs compare with it."""
    return None if checkpoint.kind == "base" else checkpoint.run


def examine(config: ExamConfig, checkpoint: Checkpoint, sheet: Sheet) -> Done:
    """Answer what is not answered yet, score all, make the mark.

    Raises:
        SwiftkitError: another process is at it, or the work failed or was interrupted, which its exit code says.
        RuntimeError: the scorer raised, which is a bug.
    """
    asked = job(config, checkpoint, sheet)
    files = asked.files
    needed = len(sheet.questions) * config.max_new_tokens * 16 + (4 << 20)
    way_out = "an exam stands in its run's folder: copy that to where you may write" if _run(checkpoint) else None
    hardware.need_disk(files.path, needed, flag="the exam's folder", what="the exam", way_out=way_out)
    files.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(files.path / ".lock", timeout=0):
            return _examine(asked, checkpoint, sheet)
    except Timeout:
        raise SwiftkitError(f"another exam is at work in {files.path}", "wait for its end") from None


def _examine(asked: Job, checkpoint: Checkpoint, sheet: Sheet) -> Done:
    files, total = asked.files, len(sheet.questions)
    if files.job.is_file() and not exams.is_of(files.job, asked.key):
        files.answers.unlink(missing_ok=True)  # somebody has put another exam's files here
    runs.write(files.questions, exams.lines(sheet.questions))
    path = asked.save()
    files.events.unlink(missing_ok=True)
    known = len(files.answered())
    logger.info("exam: %s: %d questions of %s%s", checkpoint.label, total, sheet.said, _known(known, total))
    began = time.time()
    with Line("starting") as line:
        ended = child.run(
            [sys.executable, "-m", "swiftkit.worker.exam", str(path)],
            log=files.log,
            events=files.events,
            show=_shower(line, total),
        )
    told = list(events.read(files.events))
    files.events.unlink(missing_ok=True)
    last = next((event for event in reversed(told) if event["event"] in events.ENDS), None)
    if ended.signal or (last and last["event"] == "interrupted"):
        raise SwiftkitError(
            f"interrupted: {len(files.answered())} of {total} questions are answered and kept",
            "the same command goes on from there",
            exit_code=INTERRUPTED if ended.signal == signal.SIGINT else TERMINATED,
        )
    if last is None or last["event"] == "failed":
        if last and last["bug"]:
            raise RuntimeError(last["error"])
        said = last["error"] if last else child.last_words(files.log, ended)
        raise SwiftkitError(f"the exam failed: {said}", f"what it printed is in {files.log}", exit_code=FAILED)
    return _result(asked, checkpoint, sheet, seconds=time.time() - began, told=last)


def _known(known: int, total: int) -> str:
    return f", {known} of them answered before" if known else ""


def _shower(line: Line, total: int) -> Callable[[events.Event], None]:
    """Shows how far the answering is."""
    tokens, began = 0, 0.0

    def show(event: events.Event) -> None:
        nonlocal tokens, began
        if event["event"] == "phase" and event["name"] == "model":
            began = event["time"]
            line.say("the model is loaded", lasting=True)
        elif event["event"] == "answered":
            tokens += event["tokens"]
            done, seconds = event["done"], max(event["time"] - began, 1e-3)
            line.say(f"{done} of {total} answered, {tokens / seconds:,.0f} tokens/s", lasting=done == total)

    return show


def _result(asked: Job, checkpoint: Checkpoint, sheet: Sheet, *, seconds: float, told: dict[str, Any]) -> Done:
    """Make the mark from the scores, and write exam.json."""
    files = asked.files
    answers = files.answered()
    mark = marks.mark(len(sheet.questions), files.scored(), answers)
    if mark.failed == mark.questions:
        reason = answers[1].error
        raise SwiftkitError(f"no question could be answered: {reason}", f"more is in {files.log}", exit_code=FAILED)
    result = {
        **mark.record(),
        "types": marks.by_type(sheet.questions, files.scored()),
        "questions": sheet.said,
        "dev": sheet.dev,
        "checkpoint": checkpoint.label,
        "model": checkpoint.wanted.name,
        "kind": checkpoint.kind,
        "step": checkpoint.step,
        "run": str(checkpoint.run.path.absolute()) if checkpoint.run else None,
        "scorer": asked.scorer,
        "tolerance": asked.tolerance,
        "prompt": sheet.prompt,
        "dtype": asked.dtype,
        "max_new_tokens": asked.limit,
        "notes": sheet.notes,
        "new_answers": mark.questions - told["known"],
        "tokens": {
            "prompts": sum(len(question.ids) for question in sheet.questions),
            "answers": sum(answer.tokens for answer in answers.values()),
        },
        "seconds": round(seconds, 1),
        "evalscope": theirs(told["evalscope"], mark.value, mark.questions),
        "key": asked.key,
        "sha256": checkpoint.hashes,
        "versions": record.versions(),
        "device": hardware.device().record(),
        "command": shlex.join(sys.argv),
        "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    runs.write(files.result, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return Done(files, mark, result)


def theirs(told: dict[str, Any], mark: float, asked: int) -> dict[str, Any]:
    """What evalscope says of the exam; its score (0 to 1, four decimals) only where it is ours."""
    score = told["score"]
    agrees = score is not None and told["questions"] == asked and abs(100 * score - mark) < 0.01
    return {"version": told["version"]} | ({"score": score} if agrees else {})


def read(files: Folder) -> Done | None:
    """A finished exam, from its folder; None when there is none, or it is not whole."""
    try:
        told = json.loads(files.result.read_text(encoding="utf-8"))
        scores, answers = files.scored(), files.answered()
        whole = scores.keys() == answers.keys() == {question.number for question in files.asked()}
        return Done(files, marks.mark(told["count"], scores, answers), told) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finished(home: Path) -> list[Done]:
    """The finished exams of a run's folder, or of a base model's, oldest first."""
    found = [done for path in (home / "exams").glob("*") if (done := read(Folder(path)))]
    return sorted(found, key=lambda done: str(done.told["ended"]))
