"""Train on the last answer of a conversation only; earlier answers are read like prompts.

The column `num_trained` of a row, if it has one, says how many of its last answers are trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from swiftkit.chat.encode import ChatEncoder
from swiftkit.data.tasks import Selection
from swiftkit.schema import IGNORED, Encoded, Example


@dataclass(frozen=True)
class LastAnswers(Example):
    """A conversation, and how many of its last answers are trained."""

    num_trained: int = 1


SELECTION = Selection("eval_loss", higher_is_better=False)
EXAMPLE_TYPE = LastAnswers
EXAMPLE = {"messages": [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "7"}], "num_trained": 1}


def check(example: Example) -> None:
    """Refuse what does not end with an answer, or has fewer answers than are to be trained.

    Raises:
        ValueError: the reason.
    """
    assert isinstance(example, LastAnswers)
    if not example.messages or example.messages[-1]["role"] != "assistant":
        raise ValueError("it does not end with an answer")
    num_answers = len(answers(example))
    if not isinstance(example.num_trained, int) or not 1 <= example.num_trained <= num_answers:
        raise ValueError(f"num_trained is {example.num_trained!r}, but the conversation has {num_answers} answers")


def encode(examples: Iterable[Example], encoder: ChatEncoder) -> Iterator[Encoded]:
    """Token ids, and labels that are set from the first trained answer on. See `swiftkit.data.tasks`."""
    for example in examples:
        assert isinstance(example, LastAnswers)
        first = answers(example)[-example.num_trained]
        (encoded,) = encoder.encode([example.messages])
        (prompt,) = encoder.prompts([example.messages[:first]])
        ignored = [IGNORED] * len(prompt)
        yield replace(encoded, labels=ignored + encoded.labels[len(prompt) :])


def answers(example: Example) -> list[int]:
    """The indices of the assistant's turns."""
    return [index for index, message in enumerate(example.messages) if message["role"] == "assistant"]
