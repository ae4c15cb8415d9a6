"""Facts about a dataset: conversations, lengths, duplicates, answer markers, questions that an exam also asks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from swiftkit.chat.encode import ChatEncoder
from swiftkit.data import contamination
from swiftkit.data.split import TokenizedExample, question_key
from swiftkit.schema import Example
from swiftkit.scoring import markers

NUM_BINS = 8  # of the histogram of lengths
MARKER_STYLES = ("<<ans:…>>", "{{ans:…}}", "#### n")
INVALID, NONE = "invalid", "none"  # a marker without a value; no marker at all


@dataclass(frozen=True)
class SystemPrompts:
    """Number of conversations without a system message, with a blank one, with text; number of distinct texts."""

    none: int
    blank: int
    text: int
    distinct: int


@dataclass(frozen=True)
class Conversations:
    """Number of examples with one question, with several (at most `max_questions`), and of plain texts."""

    one_question: int
    several_questions: int
    max_questions: int
    plain_text: int
    system: SystemPrompts


@dataclass(frozen=True)
class Lengths:
    """Quantiles and a histogram of lengths, in `unit`; a bin is `[from, to, count]`, both ends included.

    Bins have the same width up to the 99th percentile; the last one holds the rest.
    """

    unit: str
    shortest: int
    median: int
    p90: int
    p99: int
    longest: int
    histogram: list[list[int]]


@dataclass(frozen=True)
class Duplicates:
    """Examples that repeat another one, and examples that answer the question of another one differently.

    `first_identical` and `first_conflicting` are the places of the first such pairs.
    """

    identical: int = 0
    conflicting: int = 0
    first_identical: tuple[str, str] | None = None
    first_conflicting: tuple[str, str] | None = None


@dataclass(frozen=True)
class MarkerCounts:
    """How many last answers hold their value in which kind of marker, and the place of the first of each kind."""

    counts: dict[str, int]
    first: dict[str, str]


@dataclass(frozen=True)
class Overlap:
    """Questions of an exam that are in the data: exactly, or similar to one.

    `identical` and `similar` are pairs of places; only `num_compared` questions were searched for similar ones.
    """

    dataset: str
    num_questions: int
    identical: list[tuple[str, str]]
    similar: list[tuple[str, str]]
    num_compared: int


@dataclass(frozen=True)
class DataContext:
    """A dataset, and the facts about it, each computed once when it is asked for.

    Attributes:
        examples: its examples.
        tokenized: the same with their lengths in tokens, if there is a model.
        encoder: the model's, if there is one.
        questions: the exam's questions, if there is one.
        exam: the exam's name.
        unused: columns that nothing reads, and the number of rows that have them.
    """

    examples: Sequence[Example]
    tokenized: Sequence[TokenizedExample] = ()
    encoder: ChatEncoder | None = None
    questions: Sequence[Example] = field(default=())
    exam: str = ""
    unused: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def conversations(self) -> Conversations:
        """Turns and system prompts."""
        chats = [example for example in self.examples if example.text is None]
        turns = Counter(sum(message["role"] == "user" for message in example.messages) for example in chats)
        prompts = [_system_prompt(example) for example in chats]
        texts = [prompt for prompt in prompts if prompt and prompt.strip()]
        none = prompts.count(None)
        return Conversations(
            one_question=turns[1],
            several_questions=len(chats) - turns[1],
            max_questions=max(turns, default=0),
            plain_text=len(self.examples) - len(chats),
            system=SystemPrompts(none, len(prompts) - none - len(texts), len(texts), len(set(texts))),
        )

    @cached_property
    def lengths(self) -> Lengths:
        """In tokens, or, without a model, in characters."""
        if self.encoder:
            return measure("tokens", (example.num_tokens for example in self.tokenized))
        return measure("characters", map(_num_characters, self.examples))

    @cached_property
    def loss_share(self) -> float | None:
        """Share of the tokens that have loss, 0 to 1; None without a model."""
        total = sum(example.num_tokens for example in self.tokenized)
        return sum(example.num_loss_tokens for example in self.tokenized) / total if total else None

    @cached_property
    def duplicates(self) -> Duplicates:
        """Repeated examples and conflicting answers."""
        return find_duplicates(self.examples)

    @cached_property
    def markers(self) -> MarkerCounts:
        """Markers of the last answers, by which an exam like them could be scored."""
        counts = dict.fromkeys((*MARKER_STYLES, INVALID, NONE), 0)
        first: dict[str, str] = {}
        for example in self.examples:
            answer = example.messages[-1]["content"] if example.messages else ""
            try:
                style, place = markers.marker_style(answer) or NONE, example.source
            except ValueError as error:
                style, place = INVALID, f"{example.source}: {error}"
            counts[style] += 1
            first.setdefault(style, place)
        return MarkerCounts(counts, first)

    @cached_property
    def overlap(self) -> Overlap | None:
        """Questions of the exam that are in the data; None without an exam."""
        if not self.questions:
            return None
        identical = contamination.exact_matches(self.questions, self.examples)
        places = {place for place, _ in identical}
        others = [question for question in self.questions if question.source not in places]
        num_compared, similar = contamination.near_matches(others, self.examples)
        return Overlap(self.exam, len(self.questions), identical, similar, num_compared)

    def summary(self) -> dict[str, Any]:
        """All facts as plain values, for JSON."""
        facts: dict[str, Any] = {
            "conversations": asdict(self.conversations),
            "lengths": asdict(self.lengths),
            "loss_share": self.loss_share,
            "duplicates": {key: getattr(self.duplicates, key) for key in ("identical", "conflicting")},
            "markers": self.markers.counts,
            "unused_columns": dict(self.unused),
        }
        if overlap := self.overlap:
            facts["exam"] = {
                "dataset": overlap.dataset,
                "num_questions": overlap.num_questions,
                "identical": len(overlap.identical),
                "similar": len(overlap.similar),
                "num_compared": overlap.num_compared,
            }
        return facts


def measure(unit: str, values: Iterable[int]) -> Lengths:
    """Quantiles and histogram of at least one length."""
    ordered = sorted(values)

    def quantile(share: float) -> int:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    width = max(1, math.ceil((quantile(0.99) - ordered[0] + 1) / (NUM_BINS - 1)))
    bins = Counter(min((value - ordered[0]) // width, NUM_BINS - 1) for value in ordered)
    histogram = []
    for number in range(max(bins) + 1):
        low = ordered[0] + number * width
        histogram.append([low, ordered[-1] if number == NUM_BINS - 1 else low + width - 1, bins[number]])
    return Lengths(unit, ordered[0], quantile(0.5), quantile(0.9), quantile(0.99), ordered[-1], histogram)


def find_duplicates(examples: Sequence[Example]) -> Duplicates:
    """Examples with the same questions, and the same or other answers; white space does not count."""
    known: dict[str, dict[tuple[str, ...], str]] = {}  # question to answers to place
    identical: list[tuple[str, str]] = []
    conflicting: list[tuple[str, str]] = []
    for example in examples:
        answers = tuple(" ".join(m["content"].split()) for m in example.messages if m["role"] != "user")
        places = known.setdefault(question_key(example), {})
        if answers in places:
            identical.append((places[answers], example.source))
        elif places:
            conflicting.append((next(iter(places.values())), example.source))
        places.setdefault(answers, example.source)
    first = (pairs[0] if pairs else None for pairs in (identical, conflicting))
    return Duplicates(len(identical), len(conflicting), *first)


def _system_prompt(example: Example) -> str | None:
    first = example.messages[0]
    return first["content"] if first["role"] == "system" else None


def _num_characters(example: Example) -> int:
    return len(example.text) if example.text is not None else sum(len(m["content"]) for m in example.messages)
