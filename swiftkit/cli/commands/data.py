"""`swiftkit data`: check a dataset before training on it, and see its rows as a model reads them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.config.fields import flag
from swiftkit.config.options import DataOptions
from swiftkit.data import catalog, page, pipeline, report
from swiftkit.data.facts import INVALID, NONE, DataContext, Overlap
from swiftkit.data.page import RowView
from swiftkit.data.pipeline import LoadedExamples, TrainingData
from swiftkit.data.report import Verdict
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.models.context import ModelContext
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.resolve import resolve_model
from swiftkit.schema import Example, Finding
from swiftkit.system.console import table, use_color

logger = logging.getLogger(__name__)
EPILOG = """\
examples:
  swiftkit data check my_data.jsonl
      what it contains, what would be dropped, what to fix; what sft refuses is refused here too
  swiftkit data check my_data.jsonl --model_type qwen2_5-1_5b-instruct --exam my_exam.jsonl
      with lengths in tokens, and whether the exam's questions are in it
  swiftkit data show my_data.jsonl --model_type tiny-math
      the first rows as the model reads them, with loss tokens highlighted
  swiftkit data show my_data.jsonl#20 --model_type tiny-math --html rows.html
      twenty random rows, token by token"""
BAR_WIDTH = 32  # characters of the histogram's longest bar
VERDICTS = {
    Verdict.REFUSED: "sft would refuse this",
    Verdict.REVIEW: "ready for training, but review the points above first",
    Verdict.READY: "ready for training",
}
LOSS_START, LOSS_END = "⟦", "⟧"  # around text with loss, where there is no color


class DataConfig(DataOptions):
    """Check a dataset before training on it, or show its rows as a model reads them."""

    words: list[str] = flag(
        [], "`check DATASET ...` or `show DATASET ...`.", "Command", metavar="WORD", positional=True, shown="none"
    )
    exam: list[str] = flag(
        [],
        "With `check`: questions that must not be in the data.",
        "Check",
        "exam_dataset",
        shown="the exam that belongs to the data",
    )
    rows: int = flag(3, "With `show`: number of rows to show, from the first one.", "Show", ge=1)
    row: int | None = flag(None, "With `show`: only this row, counted from 1.", "Show", ge=1, shown="the first rows")
    html: str | None = flag(
        None,
        "With `show`: write an HTML page with every token and its id.",
        "Show",
        metavar="FILE",
        shown="print to stdout",
    )


CONFIG = DataConfig


def run(config: DataConfig, problems: Problems) -> int:
    """Check or show; returns the exit code."""
    verb, *names = config.words or [""]
    commands = {"check": _check, "show": _show}
    if verb not in commands:
        problems.add(
            f"`swiftkit data` has no verb `{verb}`" if verb else "`swiftkit data` needs a verb",
            "`swiftkit data check FILE` or `swiftkit data show FILE --model_type NAME`",
        )
        problems.raise_any()
    # Words replace the dataset of a file; they add to that of a flag.
    flagged = config.dataset if config.is_typed("dataset") or not names else []
    commands[verb](config.model_copy(update={"dataset": [*names, *flagged]}), problems)
    return 0


# --- check ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Report:
    """What `check` prints."""

    context: DataContext
    model: ResolvedModel | None
    formats: dict[str, tuple[str, int]]
    findings: list[Finding]
    data: TrainingData | None
    notes: list[str]
    verdict: Verdict


def _check(config: DataConfig, problems: Problems) -> None:
    model: ResolvedModel | None = None
    if config.model_type or config.model_id_or_path:
        with problems.collect():
            model = resolve_model(config.model_type, config.model_id_or_path)
    names = config.dataset or [pipeline.default_dataset(model)]
    train, validation = (pipeline.load_examples(part, config, problems) for part in (names, config.val_dataset))
    exam = _load_exam(names, config, problems)
    problems.raise_any()
    result = _analyze(config, model, (train, validation), exam, problems)
    if config.json_:
        print(json.dumps(_report_json(result), ensure_ascii=False))
    else:
        print(_report_text(result))
        print(f"\nverdict: {VERDICTS[result.verdict]}")
        if not model:
            logger.info("for lengths in tokens, and for what would be dropped, add --model_type NAME")
    problems.raise_any()


def _load_exam(names: list[str], config: DataConfig, problems: Problems) -> LoadedExamples:
    """The questions that must not be in the data: those that the user names, else the exams that belong to the data."""
    plain = {name.partition("#")[0] for name in names}
    exams = config.exam or [exam for exam in catalog.exams_of(names) if exam not in plain]
    return pipeline.load_examples(exams, config.model_copy(update={"instruct": "none", "format": None}), problems)


def _analyze(
    config: DataConfig,
    model: ResolvedModel | None,
    loaded: tuple[LoadedExamples, LoadedExamples],
    exam: LoadedExamples,
    problems: Problems,
) -> _Report:
    train, validation = loaded
    notes: list[str] = []
    data: TrainingData | None = None
    context = DataContext(train.examples, questions=exam.examples, exam=", ".join(exam.formats))
    if model:
        model_context = ModelContext.load(model, trust_remote_code=config.trust_remote_code)
        config = pipeline.clamp_max_length(config, model_context, notes)
        encoder = model_context.encoder
        notes += model_context.notes
        tokenized, held_out = (pipeline.tokenize(part.examples, config.task, encoder) for part in loaded)
        context = DataContext(train.examples, tokenized, encoder, exam.examples, context.exam)
        with problems.collect():
            data = pipeline.divide(config, train, validation, (tokenized, held_out), notes)
    findings = report.analyze(context)
    verdict = Verdict.REFUSED if problems.found else Verdict.REVIEW if findings or notes else Verdict.READY
    return _Report(context, model, train.formats, findings, data, notes, verdict)


def _report_json(result: _Report) -> dict[str, Any]:
    datasets = [{"dataset": name, "format": format, "rows": count} for name, (format, count) in result.formats.items()]
    return {
        "datasets": datasets,
        **result.context.summary(),
        "rows": vars(result.data.counts) if result.data else None,
        "findings": [vars(finding) for finding in result.findings],
        "notes": result.notes,
        "verdict": result.verdict,
    }


def _report_text(result: _Report) -> str:
    context = result.context
    duplicates, markers = context.duplicates, context.markers.counts
    data = ", ".join(f"{name} ({format}, {count:,} rows)" for name, (format, count) in result.formats.items())
    lines = [["data", data], ["conversations", _conversations(context)], ["length", _lengths(context, result.model)]]
    lines += [["", line] for line in _histogram(context.lengths.histogram)]
    repeated = [
        (duplicates.identical, "copies of other rows"),
        (duplicates.conflicting, "with another answer to the question of another row"),
    ]
    lines += [["duplicates", _join_counts(repeated) or "none"]]
    styles = [(count, f"with {style}") for style, count in markers.items() if style not in (NONE, INVALID)]
    styles += [(markers[INVALID], "with a marker without a value"), (markers[NONE], "without a marker")]
    lines += [["answers", _join_counts(styles)]]
    if overlap := context.overlap:
        lines += [["exam", f"{overlap.dataset}, {overlap.num_questions:,} questions: {_overlap(overlap)}"]]
    if result.data:
        lines += [["training", str(result.data.counts)]]
    points = [*result.findings, *(Finding(note) for note in result.notes)]
    text = [table([], lines)] + ([""] if points else [])
    for number, point in enumerate(points, 1):
        text += [f"{number}. {point.text}"] + ([f"   {point.hint}"] if point.hint else [])
    return "\n".join(text)


def _conversations(context: DataContext) -> str:
    facts = context.conversations
    return _join_counts(
        [
            (facts.one_question, "with one question"),
            (facts.several_questions, f"with several (at most {facts.max_questions})"),
            (facts.plain_text, "plain texts"),
            (facts.system.text, f"with a system message ({facts.system.distinct:,} distinct)"),
            (facts.system.blank, "with a blank one"),
        ]
    )


def _lengths(context: DataContext, model: ResolvedModel | None) -> str:
    lengths = context.lengths
    text = (
        f"{lengths.shortest:,} to {lengths.longest:,} {lengths.unit}; "
        f"median {lengths.median:,}, 90th percentile {lengths.p90:,}"
    )
    return text + (f"; {context.loss_share:.0%} of the tokens have loss ({model.name})" if model else "")


def _histogram(bins: list[list[int]]) -> list[str]:
    largest = max(count for *_, count in bins)
    labels = [f"{low:,} to {high:,}" if high > low else f"{low:,}" for low, high, _ in bins]
    width = max(map(len, labels))
    return [
        f"{label:>{width}}  {'#' * max(bool(count), round(BAR_WIDTH * count / largest))} {count:,}"
        for label, (*_, count) in zip(labels, bins, strict=True)
    ]


def _overlap(overlap: Overlap) -> str:
    counts = _join_counts([(len(overlap.identical), "in the data"), (len(overlap.similar), "similar to a row")])
    is_complete = overlap.num_compared + len(overlap.identical) == overlap.num_questions
    sampled = "" if is_complete else f" ({overlap.num_compared:,} were compared)"
    return (counts or "none of them in the data or similar to a row") + sampled


def _join_counts(parts: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{count:,} {label}" for count, label in parts if count)


# --- show -------------------------------------------------------------------------------------------------------------


def _show(config: DataConfig, problems: Problems) -> None:
    model: ResolvedModel | None = None
    with problems.collect():
        model = resolve_model(config.model_type, config.model_id_or_path)
    loaded = pipeline.load_examples(config.dataset or [pipeline.default_dataset(model)], config, problems)
    problems.raise_any()
    assert model
    context = ModelContext.load(model, trust_remote_code=config.trust_remote_code)
    config = pipeline.clamp_max_length(config, context, [])
    views = [page.view(example, context.encoder, config.max_length) for example in _select(loaded.examples, config)]
    if config.html:
        target = _write_page(config.html, page.render(model.name, model.family.template, views))
        print(json.dumps({"page": str(target)}) if config.json_ else target)
    elif config.json_:
        rows = [view.to_json() for view in views]
        print(json.dumps({"model": model.name, "template": model.family.template, "rows": rows}, ensure_ascii=False))
    else:
        print("\n\n".join(map(_row_text, views)))
        logger.info("%s of %s rows; %s", f"{len(views):,}", f"{len(loaded.examples):,}", _legend())


def _select(examples: list[Example], config: DataConfig) -> list[Example]:
    if config.row is None:
        is_sampled = any("#" in name for name in config.dataset)
        return examples if is_sampled else examples[: config.rows]
    if config.row > len(examples):
        raise SwiftkitError(f"--row {config.row}: there are {len(examples):,} rows")
    return [examples[config.row - 1]]


def _write_page(name: str, content: str) -> Path:
    target = files.parse_path(name, "--html")
    if target.suffix not in (".html", ".htm"):  # `--html my_data.jsonl` must not overwrite a user's data
        raise SwiftkitError(f"--html {name}: the name of a page ends in .html", f"--html {target.stem}.html")
    try:
        files.write(target, content)
    except OSError as error:
        raise SwiftkitError(f"--html {name}: {error.strerror}", "name a file in a folder that you may write") from error
    return target


def _legend() -> str:
    if use_color(sys.stdout):
        return "\x1b[32mwith loss\x1b[0m, \x1b[2mwithout loss\x1b[0m, \x1b[1mspecial token\x1b[0m"
    return f"text with loss is between {LOSS_START} and {LOSS_END}"


def _row_text(view: RowView) -> str:
    head = f"{view.source}: {view.num_tokens:,} tokens, {view.num_loss_tokens:,} of them with loss"
    color = use_color(sys.stdout)
    pieces = []
    for (in_loss, is_special), group in groupby(view.spans, key=lambda item: (item[0].in_loss, item[1])):
        text = "".join(span.text for span, _ in group)
        code = ";".join(["32" if in_loss else "2"] + (["1"] if is_special else []))
        pieces.append((in_loss, f"\x1b[{code}m{text}\x1b[0m" if color else text))
    body = ""
    for in_loss, part in groupby(pieces, key=lambda piece: piece[0]):
        text = "".join(text for _, text in part)
        body += f"{LOSS_START}{text}{LOSS_END}" if in_loss and not color else text
    return head + (f"; {view.note}" if view.note else "") + "\n" + body
