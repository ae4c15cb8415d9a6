"""The rules of each kind of plugin, as a check that says what a plugin breaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from swiftkit import assets, catalogue, chat, data, models, plugins, sources
from swiftkit.errors import SwiftkitError, nearest

# Texts that a model may well say; no scorer may stumble over one.
PAIR = ("chosen", "rejected")  # preferences are no conversations
RESPONSES = ("", " \n\t", "7" * 5000, "{{ans:}} {{ans:7", "\\boxed{\\frac{1}{", "丽 🙂 \x00 e\u0301", "nan inf 1e999")


def check(kind: str, name: str) -> str | None:
    """What is wrong with a plugin; None where it keeps the rules of its kind."""
    try:
        CHECKS[kind](name)
    except SwiftkitError as error:
        problem = error.problems[0]
        return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
    except Exception as error:  # whatever code of somebody else raises
        return f"{type(error).__name__}: {error}"
    return None


def family(name: str) -> None:
    """It is declared soundly, its template keeps the rules, and ms-swift has what it names."""
    for left_out in models.broken():
        if name in (path.stem for path in left_out.paths):
            raise left_out.error
    found = models.families()[name]
    template = chat.load(found.template)
    stop = chat.stop_text(template)
    if found.special_tokens and stop not in found.special_tokens:
        raise SwiftkitError(f"answers end with `{stop}`, which is not among its special_tokens")
    known = catalogue.models().values()
    for what, said, there in (
        ("model type", found.swift.model_type, {k.swift_type for k in known}),
        ("template", found.swift.template, {k.swift_template for k in known}),
    ):
        if said not in there:
            raise SwiftkitError(f"ms-swift has no {what} `{said}`", nearest(said, there))


def template(name: str) -> None:
    """It parses, writes every message, and the prompt is what stands before the answer."""
    chat.load(name)


def dataset(name: str) -> None:
    """It is declared soundly, and its rows, where they are here, are conversations of a known format."""
    declared = sources.entry(assets.file("datasets", ".yaml", name, "dataset"))
    if declared.path:
        rows = sources.read(sources.find(name), 0)
        if not all(row.get(column) for _, row in rows.rows for column in PAIR):
            data.examples(rows, declared.format, None)


def format(name: str) -> None:
    """Its example becomes a conversation, and a row that is not sound is refused with a reason."""
    module, to_messages = plugins.module("formats", name), plugins.get("formats", name)
    columns, example = getattr(module, "COLUMNS", None), getattr(module, "EXAMPLE", None)
    if not isinstance(columns, tuple) or not columns or not all(isinstance(c, str) for c in columns):
        raise SwiftkitError("COLUMNS is no tuple of the columns that a row must have")
    if not isinstance(example, dict) or not set(columns) <= set(example):
        raise SwiftkitError(f"EXAMPLE is no row with the columns {', '.join(columns)}")
    place = [("EXAMPLE", example)]
    data.examples(sources.Rows(sources.Source(name, Path("EXAMPLE")), place), name, None)
    for column in columns:
        odd: tuple[Any, ...] = (None, 7, [], {}, [7], "")
        for value in odd:
            _refuses(to_messages, {**example, column: value}, f"`{column}` is {value!r}")


def _refuses(to_messages: Callable[[dict[str, Any]], Any], row: dict[str, Any], what: str) -> None:
    try:
        to_messages(row)
    except ValueError:
        return
    except Exception as error:
        raise SwiftkitError(
            f"where {what}, it raises {type(error).__name__}: {error}", "raise ValueError with the reason"
        ) from error


def scorer(name: str) -> None:
    """Its examples earn what they should, and no response makes it raise."""
    module, score = plugins.module("scorers", name), plugins.get("scorers", name)
    examples = getattr(module, "EXAMPLES", None)
    if not isinstance(examples, list | tuple) or not examples:
        raise SwiftkitError("EXAMPLES is no list of (response, reference, credit)")
    for response, reference, credit in examples:
        given = _scored(score, response, reference)
        if given.credit != credit:
            raise SwiftkitError(f"{response!r} against {reference!r} earns {given.credit}, and EXAMPLES says {credit}")
        for said in RESPONSES:
            _scored(score, said, reference)


def _scored(score: Any, response: str, reference: str) -> Any:
    try:
        given = score(response, reference, question="?", cut=False, tolerance=0.0)
    except Exception as error:
        raise SwiftkitError(
            f"{response[:40]!r} against {reference!r} makes it raise {type(error).__name__}: {error}"
        ) from error
    if getattr(given, "credit", None) not in (0, 0.5, 1) or not getattr(given, "reason", ""):
        raise SwiftkitError(f"{response[:40]!r} gives {given!r}, not a Score with a credit of 0, 0.5 or 1 and a reason")
    return given


def trainer(name: str) -> None:
    """It has the verb."""
    plugins.get("trainers", name)


CHECKS: dict[str, Callable[[str], None]] = {
    "families": family,
    "templates": template,
    "datasets": dataset,
    "formats": format,
    "scorers": scorer,
    "trainers": trainer,
}
