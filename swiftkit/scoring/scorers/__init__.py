"""Kind `scorers`: how a response is compared with its reference. One file a scorer, with

- `score(response, reference, …) -> Score`; see `Scorer`,
- `EXAMPLES`: list of (response, reference, value), for readers and for `swiftkit plugins --check`,
- optionally `check(reference)`, which raises ValueError with the reason if nothing can be scored against it,
- optionally `done(response, reference, question="") -> bool`: whether further text cannot change the score, so that
  generation may stop; and with it `CLOSERS`: characters, one of which is in every token that makes `done` true, and
  optionally `stop_key(reference)`: what `done` reads of a reference, as a value that JSON can hold. While it stays the
  same, an exam keeps its answers, whatever else of the reference changes; without it, the whole reference counts,
- optionally `COUNTS`: which counts of an exam make sense for this scorer, a tuple of names out of `COUNT_NAMES`:
  `right` (responses with value 1), `partial` (value between 0 and 1), `in_marker` and `answer_correct` (responses for
  which this key of `Score.metadata` is true).

The scorers of other packages are modules with the same names, found by their entry points (`swiftkit.plugins`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from swiftkit import files, plugins
from swiftkit.errors import SwiftkitError

COUNT_NAMES = ("right", "partial", "in_marker", "answer_correct")
_METADATA_COUNTS = ("in_marker", "answer_correct")  # counts of a metadata key; the others are counts of a value
# Responses that a model may produce; a scorer must raise on none of them.
_RESPONSES = ("", " \n\t", "7" * 5000, "{{ans:}} {{ans:7", "\\boxed{\\frac{1}{", "丽 🙂 \x00 e\u0301", "nan inf 1e999")


@dataclass(frozen=True)
class Score:
    """The score of one response.

    Attributes:
        value: 0 to 1.
        explanation: a short phrase for a person, such as `right`, `another value: 45`, `no marker`.
        answer: what was extracted from the response as its answers.
        metadata: further facts. `in_marker`: whether the answers are in markers. `answer_correct`: whether the right
            answer is stated, in its marker or (without one) as the last number.
    """

    value: float
    explanation: str
    answer: tuple[str, ...] = ()
    metadata: Mapping[str, bool | int | float | str] = field(default_factory=dict)


class Scorer(Protocol):
    """The function `score` of a scorer. It is pure, and must not raise for any response.

    Args:
        response: what the model generated.
        reference: the whole reference turn.
        question: the last user turn, to distinguish answering it from repeating it.
        truncated: whether the response ended at the token limit.
        tolerance: maximum relative error of a number; 0 requires exact equality.

    Raises:
        ValueError: `check` refuses the reference.
    """

    def __call__(
        self, response: str, reference: str, *, question: str = "", truncated: bool = False, tolerance: float = 0
    ) -> Score: ...


def reads_markers(name: str) -> bool:
    """Whether a scorer looks for answers in markers.

    Raises:
        SwiftkitError: there is no such scorer, or it does not import.
    """
    return "in_marker" in getattr(plugins.module("scorers", name), "COUNTS", ())


def stop_rule_key(name: str, references: Sequence[str]) -> Any:
    """What a scorer's `done` depends on, as a value that JSON can hold; None if it has none.

    The function itself counts by its name and by the file that defines it, so that two scorers may share one, and an
    edited one is another.
    """
    module = plugins.module("scorers", name)
    done = getattr(module, "done", None)
    if done is None:
        return None
    label = getattr(done, "__qualname__", "<locals>")
    if "<locals>" in label:  # made by a function, whose arguments are not known here
        label = module.__name__
    source = sys.modules[getattr(done, "__module__", module.__name__)].__file__
    digest = files.sha256(Path(source)) if source else None
    stop_key = getattr(module, "stop_key", str)
    return [label, digest, getattr(module, "CLOSERS", ""), [stop_key(reference) for reference in references]]


def validate(result: object) -> Score:
    """What a scorer returned, if it is what a scorer has to return.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(result, Score):
        raise TypeError(f"{result!r} is not a Score")
    if not isinstance(result.value, int | float) or not 0 <= result.value <= 1:  # false for NaN
        raise TypeError(f"{result!r} has no value in [0, 1]")
    if not isinstance(result.explanation, str) or not result.explanation:
        raise TypeError(f"{result!r} has no explanation")
    if not isinstance(result.answer, tuple) or not all(isinstance(part, str) for part in result.answer):
        raise TypeError(f"{result!r} has an answer that is not a tuple of strings")
    if not isinstance(result.metadata, Mapping):
        raise TypeError(f"{result!r} has metadata that is not a dictionary")
    return result


def check_plugin(name: str) -> None:
    """Test that a scorer's examples get the values that they name, that its counts exist, and that it never raises.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    module, score = plugins.module("scorers", name), plugins.get("scorers", name)
    examples, counts = _examples(module), _counts(module)
    stop_key = getattr(module, "stop_key", None)
    for response, reference, value in examples:
        result = _score(score, response, reference)
        if stop_key:
            plugins.require_json("stop_key", stop_key(reference))
        if result.value != value:
            raise SwiftkitError(f"{response!r} against {reference!r} scores {result.value}, but EXAMPLES has {value}")
        for count in counts:
            if count in _METADATA_COUNTS and count not in result.metadata:
                raise SwiftkitError(
                    f"{response!r} against {reference!r} has no `{count}` in its metadata, and COUNTS names it",
                    "add it to the metadata of every Score, or remove it from COUNTS",
                )
        for text in _RESPONSES:
            _score(score, text, reference)


def _examples(module: ModuleType) -> list[tuple[str, str, float]]:
    examples = getattr(module, "EXAMPLES", None)
    if not isinstance(examples, list | tuple) or not examples or not all(map(_is_example, examples)):
        raise SwiftkitError("EXAMPLES is not a list of (response, reference, value)")
    return list(examples)


def _is_example(example: object) -> bool:
    return (
        isinstance(example, list | tuple) and len(example) == 3 and all(isinstance(text, str) for text in example[:2])
    )


def _counts(module: ModuleType) -> list[str]:
    counts = getattr(module, "COUNTS", ())
    if not isinstance(counts, list | tuple) or not all(count in COUNT_NAMES for count in counts):
        raise SwiftkitError(f"COUNTS is {counts!r}, not a tuple of names out of {', '.join(COUNT_NAMES)}")
    return list(counts)


def _score(score: Any, response: str, reference: str) -> Score:
    label = f"{response[:40]!r} against {reference!r}"
    try:
        result = score(response, reference, question="?", truncated=False, tolerance=0.0)
    except Exception as error:
        raise SwiftkitError(f"{label} makes it raise {type(error).__name__}: {error}") from error
    try:
        return validate(result)
    except TypeError as error:
        raise SwiftkitError(f"{label}: {error}") from error
