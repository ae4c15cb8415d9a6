"""`swiftkit data check`: what a dataset contains, what would be dropped, what to fix."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from swiftkit.cli.commands.data.options import DataConfig
from swiftkit.data import catalog, pipeline, report
from swiftkit.data.facts import INVALID, NONE, DataContext, Overlap
from swiftkit.data.pipeline import LoadedExamples, TrainingData
from swiftkit.data.report import Verdict
from swiftkit.errors import Problems
from swiftkit.models.context import ModelContext
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.resolve import resolve_model
from swiftkit.schema import Finding
from swiftkit.system.console import table

logger = logging.getLogger(__name__)
BAR_WIDTH = 32  # characters of the histogram's longest bar
VERDICTS = {
    Verdict.REFUSED: "sft would refuse this",
    Verdict.REVIEW: "ready for training, but review the points above first",
    Verdict.READY: "ready for training",
}


@dataclass(frozen=True)
class _Report:
    """What is printed."""

    context: DataContext
    model: ResolvedModel | None
    formats: dict[str, tuple[str, int]]
    findings: list[Finding]
    data: TrainingData | None
    notes: list[str]
    verdict: Verdict


def run(config: DataConfig, problems: Problems) -> None:
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
    # An exam's rows are questions, whatever is trained.
    as_questions: dict[str, Any] = {"instruct": "none", "format": None, "task": "sft", "columns": [], "loss_on": "all"}
    return pipeline.load_examples(exams, config.model_copy(update=as_questions), problems)


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
    exam_name = ", ".join(exam.formats)
    context = DataContext(train.examples, questions=exam.examples, exam=exam_name, unused=train.unused)
    if model:
        model_context = ModelContext.load(model, trust_remote_code=config.trust_remote_code)
        config = pipeline.clamp_max_length(config, model_context, notes)
        encoder = model_context.encoder
        notes += model_context.notes
        tokenized, held_out = (pipeline.tokenize(part.examples, config.task, encoder) for part in loaded)
        context = DataContext(train.examples, tokenized, encoder, exam.examples, exam_name, train.unused)
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
