"""`swiftkit data`: check a dataset before training on it, and see its rows as a model sees them."""

from __future__ import annotations

import json
import logging
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from swiftkit import chat, inspection, log, models, paths, reading, report, runs, sources, weights
from swiftkit.config import DataConfig
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.flags import Given, build
from swiftkit.inspection import Inspection
from swiftkit.reading import Read, Rows, Tokens
from swiftkit.schema import Example

logger = logging.getLogger(__name__)
CONFIG = DataConfig
EPILOG = """\
examples:
  swiftkit data check my_data.jsonl
      what it holds, what would be dropped, what to mend; refuses what sft refuses
  swiftkit data check my_data.jsonl --model_type qwen2_5-1_5b-instruct --exam my_exam.jsonl
      with lengths in tokens, and whether the exam's questions stand in it
  swiftkit data show my_data.jsonl --model_type tiny-math
      the first rows as the model sees them: what is learned, what is only read
  swiftkit data show my_data.jsonl#20 --model_type tiny-math --html rows.html
      twenty rows, drawn at random, token by token"""
BAR = 32  # characters of the histogram's longest bar
REFUSED, LOOK, FIT = "refused", "look", "fit"
VERDICTS = {
    REFUSED: "sft would refuse this",
    LOOK: "fit to train on, after a look at what stands above",
    FIT: "fit to train on",
}


def run(given: Given, problems: Problems) -> int:
    """Check or show; returns the exit code."""
    problems.raise_any()
    config = build(DataConfig, given)
    verb, *names = config.words or [""]
    commands = {"check": _check, "show": _show}
    if verb not in commands:
        raise SwiftkitError(
            f"`swiftkit data` does not know `{verb}`" if verb else "say what to do with the data",
            "`swiftkit data check FILE` or `swiftkit data show FILE --model_type NAME`",
        )
    commands[verb](config.model_copy(update={"dataset": [*names, *config.dataset]}))
    return 0


# --- check ------------------------------------------------------------------------------------------------------------


def _check(config: DataConfig) -> None:
    problems = Problems()
    wanted: models.Wanted | None = None
    if config.model_type or config.model_id_or_path:
        with problems.collect():
            wanted = models.find(config.model_type, config.model_id_or_path)
    names = config.dataset or [reading.default_dataset(wanted)]
    read, held_out = (reading.read(asked, config, problems) for asked in (names, config.val_dataset))
    exam = _exam(names, config, problems)
    problems.raise_any()
    notes: list[str] = []
    rows: Rows | None = None
    tokens: Tokens | None = None
    if wanted:
        folder = weights.inspect(weights.locate(wanted), wanted.family, trust_remote_code=config.trust_remote_code)
        config = reading.within(config, folder, notes)
        tokens = Tokens.of(wanted, folder, trust_remote_code=config.trust_remote_code)
        notes += tokens.notes
        for part in (read, held_out):
            tokens.measure(part)
        with problems.collect():
            rows = reading.divide(config, read, held_out, notes)
    found = inspection.inspect(read, tokens, exam)
    verdict = REFUSED if problems.found else LOOK if found.findings or notes else FIT
    if config.json_:
        print(json.dumps(_told(found, rows, notes, verdict), ensure_ascii=False))
    else:
        print(_report(found, rows, notes, wanted))
        print(f"\nverdict: {VERDICTS[verdict]}")
    if not wanted and not config.json_:
        logger.info("lengths in tokens, and what would be dropped: add --model_type NAME")
    problems.raise_any()


def _exam(names: list[str], config: DataConfig, problems: Problems) -> Read:
    """The questions that must not stand in the data: those that are named, else the exams that the data names."""
    entries = sources.entries()
    plain = [name.partition("#")[0] for name in names]
    own = dict.fromkeys(exam for name in plain if name in entries and (exam := entries[name].exam))
    asked = config.exam or [exam for exam in own if exam not in plain]
    return reading.read(asked, config.model_copy(update={"instruct": "none", "format": None}), problems)


def _told(found: Inspection, rows: Rows | None, notes: list[str], verdict: str) -> dict[str, Any]:
    account = vars(rows.account) if rows else None
    findings = [{"finding": finding.text, "do": finding.hint} for finding in found.findings]
    return {**found.facts, "rows": account, "findings": findings, "notes": notes, "verdict": verdict}


def _report(found: Inspection, rows: Rows | None, notes: list[str], wanted: models.Wanted | None) -> str:
    facts = found.facts
    lines = [["data", ", ".join(f"{d['dataset']} ({d['format']}, {d['rows']:,} rows)" for d in facts["datasets"])]]
    lines += [["conversations", _conversations(facts["conversations"])]]
    lines += [["length", _lengths(facts, wanted)]]
    lines += [["", line] for line in _histogram(facts["lengths"]["histogram"])]
    repeated = facts["repeats"]
    counts = [
        (repeated["identical"], "as copies of other rows"),
        (repeated["other_answer"], "with another answer to the question of another row"),
    ]
    lines += [["repeated", _counted(counts) or "none"]]
    kinds = [(count, f"with {kind}") for kind, count in facts["markers"].items() if kind not in ("none", "faulty")]
    kinds += [(facts["markers"]["faulty"], "with a marker without a value"), (facts["markers"]["none"], "without one")]
    lines += [["markers", _counted(kinds)]]
    if exam := facts.get("exam"):
        lines += [["exam", f"{exam['dataset']}, {exam['questions']:,} questions: {_overlap(exam)}"]]
    if rows:
        lines += [["training", str(rows.account)]]
    said = [log.table([], lines)]
    marked = [*((finding.text, finding.hint) for finding in found.findings), *((note, "") for note in notes)]
    for number, (text, hint) in enumerate(marked, 1):
        said += [f"{'' if number > 1 else chr(10)}{number}. {text}"] + ([f"   {hint}"] if hint else [])
    return "\n".join(said)


def _overlap(exam: dict[str, Any]) -> str:
    said = _counted([(exam["same"], "in the data"), (exam["near"], "nearly in the data")])
    part = (
        "" if exam["compared"] + exam["same"] == exam["questions"] else f" (of {exam['compared']:,} that were compared)"
    )
    return (said or "none in the data, nor nearly") + part


def _conversations(facts: dict[str, Any]) -> str:
    system = facts["system"]
    said = [
        (facts["one_question"], "of one question"),
        (facts["several_questions"], f"of several (at most {facts['most_questions']})"),
        (facts["plain_text"], "plain texts"),
        (system["text"], f"with a system message ({system['different']:,} different)"),
        (system["blank"], "with a blank one"),
    ]
    return _counted(said)


def _lengths(facts: dict[str, Any], wanted: models.Wanted | None) -> str:
    at = facts["lengths"]
    said = (
        f"{at['shortest']:,} to {at['longest']:,} {at['unit']}; half have at most {at['median']:,}, 90 % {at['p90']:,}"
    )
    return said + (f"; {facts['learned']:.0%} of them learned ({wanted.name})" if wanted else "")


def _histogram(bins: list[list[int]]) -> list[str]:
    most = max(count for *_, count in bins)
    labels = [f"{low:,} to {high:,}" if high > low else f"{low:,}" for low, high, _ in bins]
    width = max(map(len, labels))
    return [
        f"{label:>{width}}  {'#' * max(bool(count), round(BAR * count / most))} {count:,}"
        for label, (*_, count) in zip(labels, bins, strict=True)
    ]


def _counted(parts: list[tuple[int, str]]) -> str:
    return ", ".join(f"{count:,} {said}" for count, said in parts if count)


# --- show -------------------------------------------------------------------------------------------------------------


def _show(config: DataConfig) -> None:
    problems = Problems()
    wanted: models.Wanted | None = None
    with problems.collect():
        wanted = models.find(config.model_type, config.model_id_or_path)
    read = reading.read(config.dataset or [reading.default_dataset(wanted)], config, problems)
    problems.raise_any()
    assert wanted
    folder = weights.inspect(weights.locate(wanted), wanted.family, trust_remote_code=config.trust_remote_code)
    config = reading.within(config, folder, [])
    tokens = Tokens.of(wanted, folder, trust_remote_code=config.trust_remote_code)
    rows = [_row(example, tokens, config.max_length) for example in _chosen(read.examples, config)]
    if config.html:
        target = _page(config.html, report.rows(wanted.name, wanted.family.template, rows))
        print(json.dumps({"page": str(target)}) if config.json_ else target)
    elif config.json_:
        print(json.dumps({"model": wanted.name, "template": wanted.family.template, "rows": rows}, ensure_ascii=False))
    else:
        print("\n\n".join(_text(row) for row in rows))
        logger.info("%s rows of %s; %s", f"{len(rows):,}", f"{len(read.examples):,}", _legend())


def _page(asked: str, content: str) -> Path:
    target = paths.typed(asked, "--html")
    if target.suffix not in (".html", ".htm"):  # `--html my_data.jsonl` must not cost a person their data
        raise SwiftkitError(f"--html {asked}: a page's name ends in .html", f"--html {target.stem}.html")
    try:
        runs.write(target, content)
    except OSError as error:
        raise SwiftkitError(
            f"--html {asked}: {error.strerror}", "name a file in a folder that you may write"
        ) from error
    return target


def _chosen(made: list[Example], config: DataConfig) -> list[Example]:
    if config.row is None:
        sampled = any("#" in name for name in config.dataset)
        return made if sampled else made[: config.rows]
    if config.row > len(made):
        raise SwiftkitError(f"--row {config.row}: there are {len(made):,} rows")
    return [made[config.row - 1]]


def _row(example: Example, tokens: Tokens, limit: int) -> dict[str, Any]:
    """An example as tokens, for JSON, the terminal and the page."""
    if example.text is None:
        spans = chat.spans(example.messages, tokens.template, tokens.tokenizer)
    else:
        spans = chat.text_spans(example.text, tokens.tokenizer, tokens.stop)
    special = {number for number, token in tokens.tokenizer.get_added_tokens_decoder().items() if token.special}
    count = sum(len(span.ids) for span in spans)
    return {
        "source": example.source,
        "tokens": count,
        "learned": sum(len(span.ids) for span in spans if span.learned),
        "note": f"longer than --max_length {limit}: it would be dropped" if count > limit else "",
        "spans": [{**vars(span), "special": bool(special & set(span.ids))} for span in spans],
    }


OPEN, CLOSE = "⟦", "⟧"  # around learned text, where there is no colour


def _legend() -> str:
    if log.colour(sys.stdout):
        return "\x1b[32mlearned\x1b[0m, \x1b[2mread only\x1b[0m, \x1b[1mspecial token\x1b[0m"
    return f"learned text stands between {OPEN} and {CLOSE}"


def _text(row: dict[str, Any]) -> str:
    head = f"{row['source']}: {row['tokens']:,} tokens, {row['learned']:,} learned"
    said = [head + (f"; {row['note']}" if row["note"] else "")]
    colour = log.colour(sys.stdout)
    pieces = []
    for (learned, special), spans in groupby(row["spans"], key=lambda span: (span["learned"], span["special"])):
        text = "".join(span["text"] for span in spans)
        code = ";".join(["32" if learned else "2"] + (["1"] if special else []))
        pieces.append((learned, f"\x1b[{code}m{text}\x1b[0m" if colour else text))
    for learned, part in groupby(pieces, key=lambda piece: piece[0]):
        text = "".join(text for _, text in part)
        said.append(f"{OPEN}{text}{CLOSE}" if learned and not colour else text)
    return said[0] + "\n" + "".join(said[1:])
