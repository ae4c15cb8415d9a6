"""Supervised fine-tuning: conversations that end with the assistant, or plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from swiftkit.chat.encode import ChatEncoder
from swiftkit.data.tasks import Selection
from swiftkit.schema import Encoded, Example

_WITHOUT_WIDTH = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD))  # zero-width and soft characters
SELECTION = Selection("eval_loss", higher_is_better=False)
EXAMPLE = {"messages": [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}]}


def check(example: Example) -> None:
    """A conversation must be: a system message or none, then user and assistant alternating, the assistant last.

    Raises:
        ValueError: it is not.
    """
    if example.text is not None:
        return
    turns = list(enumerate(example.messages, 1))
    if turns and turns[0][1]["role"] == "system":
        del turns[0]
    if not any(message["role"] == "assistant" for _, message in turns):
        raise ValueError("no assistant turn: there is nothing to train on")
    for position, (number, message) in enumerate(turns):
        expected, role = ("user", "assistant")[position % 2], message["role"]
        if role == "system":
            raise ValueError(f"turn {number} is the system's; only the first turn can be")
        if role != expected:
            hint = "; put a question in front of it" if position == 0 else ""
            raise ValueError(f"turn {number} is the {role}'s, expected the {expected}'s{hint}")
        if is_blank(message["content"]):
            raise ValueError(f"turn {number}: the {expected}'s content is empty")
    if turns[-1][1]["role"] != "assistant":
        raise ValueError("the last turn is the user's: there is no answer to it")


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space, and characters without width."""
    return not text.translate(_WITHOUT_WIDTH).strip()


def encode(examples: Iterable[Example], encoder: ChatEncoder) -> Iterator[Encoded]:
    """Conversations with loss on the assistant's turns, plain text with loss on every token."""
    for is_chat, group in groupby(examples, key=lambda example: example.text is None):
        if is_chat:
            chats = list(group)
            yield from encoder.encode((chat.messages for chat in chats), (chat.masked for chat in chats))
        else:
            yield from encoder.encode_text(example.text or "" for example in group)
