"""Tokenized examples: drop those that are too long, hold some back for validation."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from swiftkit.errors import SwiftkitError
from swiftkit.schema import Example, Message


@dataclass(frozen=True)
class TokenizedExample:
    """An example with its number of tokens, and how many of them have loss."""

    example: Example
    num_tokens: int
    num_loss_tokens: int


@dataclass(frozen=True)
class RowCounts:
    """What happened to every row: `read == not_sampled + skipped + without_loss + too_long + train + validation`."""

    read: int = 0
    not_sampled: int = 0
    skipped: int = 0
    without_loss: int = 0
    too_long: int = 0
    train: int = 0
    validation: int = 0

    def __str__(self) -> str:
        parts = [f"{self.read:,} rows read"]
        parts += [f"{self.not_sampled:,} not sampled"] if self.not_sampled else []
        parts += [f"{self.skipped:,} invalid and skipped"] if self.skipped else []
        parts += [f"{self.without_loss:,} without loss and left out"] if self.without_loss else []
        parts += [f"{self.too_long:,} too long and dropped"] if self.too_long else []
        return ", ".join([*parts, f"{self.train:,} for training, {self.validation:,} for validation"])


def drop_too_long(examples: list[TokenizedExample], max_length: int, max_dropped: float) -> list[TokenizedExample]:
    """The examples of at most `max_length` tokens.

    Raises:
        SwiftkitError: more than the share `max_dropped` is too long.
    """
    kept = [example for example in examples if example.num_tokens <= max_length]
    dropped = len(examples) - len(kept)
    if dropped > max_dropped * len(examples):
        lengths = sorted(example.num_tokens for example in examples)
        sufficient = lengths[math.ceil((1 - max_dropped) * len(lengths)) - 1]
        longest = max(examples, key=lambda example: example.num_tokens)
        raise SwiftkitError(
            f"{dropped:,} of {len(examples):,} rows are longer than --max_length {max_length} tokens; "
            f"the longest is {longest.example.source} with {longest.num_tokens:,}",
            f"--max_length {lengths[-1]} keeps all of them"
            + (f", {sufficient} keeps enough" if sufficient < lengths[-1] else "")
            + f"; or allow it with --max_dropped {math.ceil(100 * dropped / len(examples)) / 100}",
        )
    return kept


def validation_size(num_rows: int, ratio: float | None) -> int:
    """Number of validation rows; `ratio` None: 1 %, at least 64, at most 1,000, never over 20 %."""
    if ratio is not None:
        return min(num_rows - 1, max(1, round(ratio * num_rows))) if ratio else 0
    return min(max(math.ceil(num_rows / 100), 64), 1000, num_rows // 5)


def split_rows(
    examples: list[TokenizedExample], size: int, seed: int
) -> tuple[list[TokenizedExample], list[TokenizedExample]]:
    """Training and validation examples, in their order; at most `size` of the latter.

    Rows with the same questions stay together, and so do a conversation and its beginnings, so nothing that is trained
    on is validated. The split depends only on the rows and the seed, not on the order of the rows.
    """
    groups: dict[str, list[int]] = {}
    for index, key in enumerate(_group_keys([example.example for example in examples], seed)):
        groups.setdefault(key, []).append(index)
    held_out: set[int] = set()
    room = min(size, len(examples) - 1)
    for _, group in sorted(groups.items()):
        if len(held_out) + len(group) <= room:
            held_out.update(group)
    return (
        [example for index, example in enumerate(examples) if index not in held_out],
        [example for index, example in enumerate(examples) if index in held_out],
    )


def _group_keys(examples: Sequence[Example], seed: int) -> list[str]:
    """For each example the key of its group: the smallest question key of all that belong together."""
    keys = [question_key(example, seed) for example in examples]
    parents = {key: key for key in keys}

    def root(key: str) -> str:
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    whole = {_digest(example.messages): key for example, key in zip(examples, keys, strict=True) if example.messages}
    for example, key in zip(examples, keys, strict=True):
        for end in range(2, len(example.messages)):
            if example.messages[end - 1]["role"] != "assistant":
                continue
            beginning = whole.get(_digest(example.messages[:end]))
            if beginning is not None:
                first, second = sorted((root(key), root(beginning)))
                parents[second] = first
    return [root(key) for key in keys]


def _digest(messages: Sequence[Message]) -> str:
    content = [[message["role"], message["content"].split()] for message in messages]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def question_key(example: Example, seed: int = 0, *, with_system: bool = True) -> str:
    """Hash of an example's questions (of its text, if it is plain text), apart from white space.

    Args:
        example: the example.
        seed: also part of the hash.
        with_system: whether the same question below another system message is another one.
    """
    roles = ("system", "user") if with_system else ("user",)
    questions = [m["content"].split() for m in example.messages if m["role"] in roles]
    content = json.dumps([seed, questions or (example.text or "").split()], ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
