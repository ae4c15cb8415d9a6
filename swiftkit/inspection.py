"""What a dataset is like before anything is trained on it: the facts, and what a person should do about them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swiftkit import data, markers, overlap
from swiftkit.reading import Read, Tokens
from swiftkit.schema import Example

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FEW = 50  # rows; with fewer, a training learns them by heart
LITTLE = 0.05  # share of learned tokens under which most of a training's time goes into prompts
BINS = 8
FAULTY, NONE = "faulty", "none"  # a marker without a value, no marker at all


@dataclass(frozen=True)
class Finding:
    """Something that a person should look at, and what to do about it."""

    text: str
    hint: str


@dataclass(frozen=True)
class Inspection:
    """What was found: facts in plain values (`facts`), and what a person should look at."""

    facts: dict[str, Any]
    findings: list[Finding]


def inspect(read: Read, tokens: Tokens | None, questions: Read) -> Inspection:
    """Everything about the examples of `read`, whose lengths have been measured if there are `tokens`.

    Lengths are in tokens, or, without a model, in characters.
    """
    made, findings = read.examples, few(len(read.examples))
    facts: dict[str, Any] = {
        "datasets": [{"dataset": n, "format": f, "rows": c} for n, (f, c) in read.formats.items()],
        "conversations": conversations(made),
    }
    findings += systems(facts["conversations"])
    if tokens:
        facts["lengths"] = {"unit": "tokens", **lengths(sized.tokens for sized in read.sized)}
        learned, every = (sum(getattr(s, name) for s in read.sized) for name in ("learned", "tokens"))
        facts["learned"] = learned / every
        findings += little(learned / every) + special_tokens(made, tokens.tokenizer)
    else:
        facts["lengths"] = {"unit": "characters", **lengths(map(_characters, made))}
    facts["repeats"], more = repeats(made)
    findings += more
    facts["markers"], more = marks(made)
    findings += more
    if questions.examples:
        facts["exam"], more = exam(made, questions.examples, ", ".join(questions.formats))
        findings += more
    return Inspection(facts, findings)


def _characters(example: Example) -> int:
    return len(example.text) if example.text is not None else sum(len(m["content"]) for m in example.messages)


def conversations(made: Sequence[Example]) -> dict[str, Any]:
    """How many examples have one question or several, which system message they have, how many are plain text."""
    chats = [example for example in made if example.text is None]
    turns = Counter(sum(message["role"] == "user" for message in example.messages) for example in chats)
    systems = [_system(example) for example in chats]
    said = [system for system in systems if system and system.strip()]
    return {
        "one_question": turns[1],
        "several_questions": len(chats) - turns[1],
        "most_questions": max(turns, default=0),
        "plain_text": len(made) - len(chats),
        "system": {
            "none": systems.count(None),
            "blank": len(systems) - systems.count(None) - len(said),
            "text": len(said),
            "different": len(set(said)),
        },
    }


def _system(example: Example) -> str | None:
    first = example.messages[0]
    return first["content"] if first["role"] == "system" else None


def lengths(values: Iterable[int]) -> dict[str, Any]:
    """Quantiles and a histogram of lengths; a bin is `[from, up to, how many]`, both ends included.

    Bins are equally wide up to the length that 99 % do not exceed; the last one holds the rest.
    """
    ordered = sorted(values)
    count = len(ordered)

    def quantile(share: float) -> int:
        return ordered[max(0, math.ceil(share * count) - 1)]

    width = max(1, math.ceil((quantile(0.99) - ordered[0] + 1) / (BINS - 1)))
    filled = Counter(min((value - ordered[0]) // width, BINS - 1) for value in ordered)
    histogram = []
    for number in range(max(filled) + 1):
        low = ordered[0] + number * width
        histogram.append([low, ordered[-1] if number == BINS - 1 else low + width - 1, filled[number]])
    return {
        "shortest": ordered[0],
        "median": quantile(0.5),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "longest": ordered[-1],
        "histogram": histogram,
    }


def repeats(made: Sequence[Example]) -> tuple[dict[str, int], list[Finding]]:
    """Examples that stand there more than once, and questions that have several different answers."""
    places: dict[str, dict[tuple[str, ...], str]] = {}
    identical, other = 0, 0
    first: dict[str, tuple[str, str]] = {}
    for example in made:
        answers = tuple(" ".join(m["content"].split()) for m in example.messages if m["role"] != "user")
        known = places.setdefault(data.key(example), {})
        if answers in known:
            identical += 1
            first.setdefault("identical", (known[answers], example.source))
        elif known:
            other += 1
            first.setdefault("other", (next(iter(known.values())), example.source))
        known.setdefault(answers, example.source)
    findings = []
    if identical:
        findings.append(
            Finding(
                f"copies of other rows: {identical:,} (the first: {' and '.join(first['identical'])})",
                "a row that stands there twice counts twice: take the copies out, unless that is meant",
            )
        )
    if other:
        findings.append(
            Finding(
                f"other answers to the question of another row: {other:,} (the first: {' and '.join(first['other'])})",
                "where the answers contradict each other, keep the right one",
            )
        )
    return {"identical": identical, "other_answer": other}, findings


def marks(made: Sequence[Example]) -> tuple[dict[str, int], list[Finding]]:
    """Which last answers hold their value in a marker, so that an exam like them can be scored by it."""
    counts = dict.fromkeys(("<<ans:…>>", "{{ans:…}}", "#### n", FAULTY, NONE), 0)
    first: dict[str, str] = {}
    for example in made:
        answer = example.messages[-1]["content"] if example.messages else ""
        try:
            kind, said = markers.style(answer) or NONE, example.source
        except ValueError as error:
            kind, said = FAULTY, f"{example.source}: {error}"
        counts[kind] += 1
        first.setdefault(kind, said)
    findings = []
    if counts[FAULTY]:
        findings.append(
            Finding(
                f"answers with a marker that holds no value: {counts[FAULTY]:,} (the first: {first[FAULTY]})",
                "write it in",
            )
        )
    marked = counts["<<ans:…>>"] + counts["{{ans:…}}"]
    if marked and counts[NONE]:
        findings.append(
            Finding(
                f"answers without a marker, which others have: {counts[NONE]:,} of {len(made):,} "
                f"(the first: {first[NONE]})",
                "a model learns both: give all answers a marker, or none",
            )
        )
    if counts["<<ans:…>>"] and counts["{{ans:…}}"]:
        findings.append(Finding("both <<ans:…>> and {{ans:…}} are used", "one of them is easier to learn than both"))
    return counts, findings


def special_tokens(made: Sequence[Example], tokenizer: Tokenizer) -> list[Finding]:
    """A finding where the text of messages holds the model's own special tokens."""
    tokens = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    if not tokens:
        return []
    pattern = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))
    count, first = 0, ""
    for example in made:
        for text in [example.text] if example.text is not None else [m["content"] for m in example.messages]:
            if found := pattern.search(text):
                count += 1
                first = first or f"{example.source}: {found[0]}"
                break
    if not count:
        return []
    return [
        Finding(
            f"rows with special tokens of this model in their text: {count:,} (the first: {first})",
            "there they become the tokens themselves, as they do in servers: take them out, unless that is meant",
        )
    ]


def systems(facts: dict[str, Any]) -> list[Finding]:
    """A finding where some conversations have a system message and others have none."""
    system = facts["system"]
    if not system["text"] or not (system["none"] or system["blank"]):
        return []
    return [
        Finding(
            f"conversations with a system message: {system['text']:,}; without: {system['none'] + system['blank']:,}",
            "a model answers best with the prompt that it was trained with: all with it, or all without",
        )
    ]


def exam(made: Sequence[Example], asked: Sequence[Example], name: str) -> tuple[dict[str, Any], list[Finding]]:
    """Questions of an exam that stand in the data, or nearly."""
    same = overlap.same(asked, made)
    found = {source for source, _ in same}
    others = [example for example in asked if example.source not in found]
    compared, near = overlap.near(others, made)
    facts = {"dataset": name, "questions": len(asked), "same": len(same), "near": len(near), "compared": compared}
    findings = [
        Finding(
            f"questions of {name} that {what}: {len(pairs):,} of {len(asked):,} "
            f"(the first: {pairs[0][0]} and {pairs[0][1]})",
            "take these rows out of the training data: an exam on what was trained on flatters",
        )
        for what, pairs in (("stand in the data", same), ("nearly stand in the data", near))
        if pairs
    ]
    return facts, findings


def few(count: int) -> list[Finding]:
    """A finding where there are hardly any rows."""
    if count >= FEW:
        return []
    return [Finding(f"few rows: {count:,}", "some hundreds teach more than they are learned by heart")]


def little(share: float) -> list[Finding]:
    """A finding where hardly any token is learned."""
    if share >= LITTLE:
        return []
    return [
        Finding(
            f"{share:.1%} of the tokens are learned, the rest are prompts",
            "shorter prompts would make the training as much faster",
        )
    ]
