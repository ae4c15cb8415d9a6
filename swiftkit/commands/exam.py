"""`swiftkit exam`: ask a model questions with known answers, score every one, keep the record."""

from __future__ import annotations

import json
import logging
from typing import Any

from swiftkit import checkpoints, examining, hardware, marks, paths, questions, report, runs
from swiftkit.checkpoints import Checkpoint
from swiftkit.config import ExamConfig
from swiftkit.errors import Problems
from swiftkit.examining import Done
from swiftkit.flags import Given, build
from swiftkit.log import table

logger = logging.getLogger(__name__)
CONFIG = ExamConfig
EPILOG = """\
examples:
  swiftkit exam --model_type qwen2_5-1_5b-instruct --dataset my_exam.jsonl
      the base model, before training
  swiftkit exam --ckpt best --dataset my_exam.jsonl
      the best checkpoint of the newest run, and the base model's mark beside it if there is one
  swiftkit exam --ckpt best --with_base
  swiftkit exam --model_type tiny-math --system "Answer in steps." --examples 3
      would a better prompt have been enough?
  swiftkit exam --ckpt output/tiny-math/v0-20261121-160926/merged-90

A reference answer holds its value as <<ans:78>> or {{ans:78}}, or ends with `#### 78`; docs/exam.md has the rule."""
BELOW = 3  # exit code: the mark is under --fail_under
SHOWN = 20  # wrong answers in the terminal's table; the report has all
TYPES = 24  # types of question that are listed with their marks


def run(given: Given, problems: Problems) -> int:
    """Examine; returns the exit code."""
    problems.raise_any()
    config = build(ExamConfig, given)
    named = any(given.origin.get(name, "").startswith("--") for name in ("model_type", "model_id_or_path"))
    typed = {name for name, origin in given.origin.items() if not origin.startswith("swiftkit.yaml")}
    checkpoint = checkpoints.find(config, named=named)
    checkpoints.same_base(checkpoint)
    config = _as_trained(config, checkpoint, typed)
    sheet = questions.sheet(config, checkpoint, typed=typed)
    for note in sheet.notes:
        logger.warning("note: %s", note)
    base = checkpoints.base(checkpoint, config)
    if config.with_base and not base and checkpoint.kind in ("merged", "full"):
        logger.warning("note: the base model is not here any more, or another one: no comparison")
    before: Done | None = None
    if base and config.with_base:
        before = examining.examine(config, base, sheet)
        _write_report(before, None)
    elif base:
        before = examining.read(examining.job(config, base, sheet).files)
    after = examining.examine(config, checkpoint, sheet)
    _write_report(after, before)
    _print(config, after, before)
    if base and not before:
        logger.info("the base model on the same questions, beside it: add --with_base")
    return BELOW if config.fail_under is not None and after.mark.value < config.fail_under else 0


def _as_trained(config: ExamConfig, checkpoint: Checkpoint, typed: set[str]) -> ExamConfig:
    """The precision of the training, unless another one was asked for."""
    entry = checkpoint.wanted.entry
    trained, own = checkpoint.config.get("dtype"), entry.defaults.get("dtype") if entry else None
    own = own if config.dtype == "auto" else None
    if trained == "fp16" and hardware.device().kind == "cpu":  # trained on a GPU, examined on a CPU
        trained = None
    if "dtype" in typed or not (trained or own):
        dtype, why = hardware.precision(config.dtype)
    else:
        dtype, why = str(trained or own), "as trained" if trained else "this model's own setting"
    logger.info("model: %s, %s in %s (%s)", checkpoint.wanted.name, checkpoint.label, dtype, why)
    return config.model_copy(update={"dtype": dtype})


def _write_report(after: Done, before: Done | None) -> None:
    runs.write(after.files.report, report.page(after, before))


def _result(after: Done, before: Done | None) -> dict[str, Any]:
    result = after.told | {"folder": str(after.files.path), "report": str(after.files.report)}
    if before:
        result["base"] = {
            **{key: before.told[key] for key in (*before.mark.record(), "checkpoint")},
            **marks.compared(before.scores, after.scores),
            "folder": str(before.files.path),
        }
    return result


def _print(config: ExamConfig, after: Done, before: Done | None) -> None:
    if config.json_:
        print(json.dumps(_result(after, before)))
        return
    if wrong := _wrong(after):
        print(wrong + "\n")
    print(_marks(after, before))
    print(f"report: {paths.near(after.files.report)}")


def _wrong(done: Done) -> str:
    """The questions that did not earn everything: reference, the response's end, why."""
    answers, rows = done.files.answered(), []
    for question in done.files.asked():
        scored = done.scores[question.number]
        if scored.credit < 1:
            cells = [_end(question.reference, 24), _end(answers[question.number].response, 44), scored.reason]
            rows.append([str(question.number), f"{scored.credit:g}", *cells])
    more = f"\n… and {len(rows) - SHOWN} more, in the report" if len(rows) > SHOWN else ""
    return table(["no.", "credit", "reference", "response", "why"], rows[:SHOWN]) + more if rows else ""


def _end(text: str, width: int) -> str:
    """The last characters of a text in one line."""
    whole = " ".join(text.split())
    return whole if len(whole) <= width else "…" + whole[-width + 1 :]


def _marks(after: Done, before: Done | None) -> str:
    """The mark and its parts, before and after side by side where both are known."""
    columns = [done for done in (before, after) if done]
    rows = [
        ["mark", *(f"{done.mark.value:.1f}" for done in columns)],
        ["95 % interval", *(f"{done.mark.low:.1f} to {done.mark.high:.1f}" for done in columns)],
    ]
    for name in ("right", "half", "wrong", "failed", "cut"):
        values = [getattr(done.mark, name) for done in columns]
        if any(values) or name in ("right", "wrong", "cut"):
            said = "cut at the token limit" if name == "cut" else name
            rows.append([said, *map(str, values)])
    for name, said in (("stated", "right answer, marked or not"), ("marked", "answer in a marker")):
        values = [getattr(done.mark, name) for done in columns]
        if values[-1] is not None:
            rows.append([said, *("" if value is None else str(value) for value in values)])
    lines = table([f"{after.mark.questions} questions", *(done.told["checkpoint"] for done in columns)], rows)
    if before:
        changed = marks.compared(before.scores, after.scores)
        lines += f"\n{changed['gained']} questions earn more than before, {changed['lost']} less"
    return lines + _by_type(columns)


def _by_type(columns: list[Done]) -> str:
    """A mark for each type of question; nothing where that would be a list rather than a summary."""
    told: list[dict[str, dict[str, float]]] = [done.told.get("types", {}) for done in columns]
    if not 0 < len(told[-1]) <= TYPES:
        return ""
    rows = [
        [name, str(part["count"]), *(f"{types[name]['mark']:.1f}" if name in types else "" for types in told)]
        for name, part in told[-1].items()
    ]
    return "\n\n" + table(["type", "questions", *(done.told["checkpoint"] for done in columns)], rows)
