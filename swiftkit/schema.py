"""The nouns that pieces of swiftkit hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Example:
    """One training example: a conversation that ends with the assistant, or (`text` set) plain text.

    `source` names the file and row that it came from; `type` is what its column `type` says, which exams report by.
    """

    messages: tuple[Message, ...]
    source: str
    text: str | None = None
    type: str | None = None


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels, both of length T; a label is the id where the token is learned and -100 elsewhere."""

    ids: list[int]
    labels: list[int]

    @property
    def learned(self) -> int:
        """How many of the T tokens are learned."""
        return sum(label != -100 for label in self.labels)
