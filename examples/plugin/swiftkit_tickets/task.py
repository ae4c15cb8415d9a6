"""Train on the last answer of a conversation only; earlier answers are read like prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from swiftkit.chat.encode import ChatEncoder
from swiftkit.data.tasks import Selection
from swiftkit.schema import IGNORED, Encoded, Example

SELECTION = Selection("eval_loss", higher_is_better=False)
EXAMPLE = {"messages": [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}]}


def check(example: Example) -> None:
    """Refuse what does not end with an answer.

    Raises:
        ValueError: it does not.
    """
    if not example.messages or example.messages[-1]["role"] != "assistant":
        raise ValueError("it does not end with an answer")


def encode(examples: Iterable[Example], encoder: ChatEncoder) -> Iterator[Encoded]:
    """Token ids, and labels that are set from the last answer on. See `swiftkit.data.tasks`."""
    for example in examples:
        (encoded,) = encoder.encode([example.messages])
        (prompt,) = encoder.prompts([example.messages[:-1]])
        ignored = [IGNORED] * len(prompt)
        yield replace(encoded, labels=ignored + encoded.labels[len(prompt) :])
