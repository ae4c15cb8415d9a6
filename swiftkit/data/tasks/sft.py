"""Supervised fine-tuning: conversations that end with the assistant, or plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from swiftkit.chat.encode import ChatEncoder
from swiftkit.data.tasks import Selection
from swiftkit.schema import Encoded, Example

SELECTION = Selection("eval_loss", higher_is_better=False)
EXAMPLE = {"messages": [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}]}


def check(example: Example) -> None:
    """A conversation must be: a system message or none, then user and assistant alternating, the assistant last.

    Raises:
        ValueError: it is not.
    """
    if example.text is not None:
        return
    turns = list(example.messages)
    if turns and turns[0]["role"] == "system":
        del turns[0]
    if not any(message["role"] == "assistant" for message in turns):
        raise ValueError("no assistant turn: there is nothing to train on")
    for number, message in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        if message["role"] != expected:
            raise ValueError(f"turn {number + 1} is the {message['role']}'s, expected the {expected}'s")
        if not message["content"].strip():
            raise ValueError(f"turn {number + 1}: the {expected}'s content is empty")
    if turns[-1]["role"] != "assistant":
        raise ValueError("the last turn is the user's: there is no answer to it")


def encode(examples: Iterable[Example], encoder: ChatEncoder) -> Iterator[Encoded]:
    """Conversations with loss on the assistant's turns, plain text with loss on every token."""
    for is_chat, group in groupby(examples, key=lambda example: example.text is None):
        if is_chat:
            yield from encoder.encode(example.messages for example in group)
        else:
            yield from encoder.encode_text(example.text or "" for example in group)
