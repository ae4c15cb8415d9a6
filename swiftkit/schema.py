"""The nouns that the parts of swiftkit pass to each other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Literal, NotRequired, TypedDict

IGNORED = -100  # label of a token without loss: the `ignore_index` of PyTorch's cross entropy


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Turn(Message):
    """A turn as a format reads it: a message, and what its row says of it.

    `loss`: whether it has loss; true by default for the assistant's. `reasoning`: whether its content begins with
    reasoning that a column or field of its own had.
    """

    loss: NotRequired[bool]
    reasoning: NotRequired[bool]


@dataclass(frozen=True)
class Example:
    """One training example: a conversation that ends with the assistant or, if `text` is set, plain text.

    Attributes:
        messages: the turns; empty for plain text.
        source: `file:row` that it was read from.
        text: plain text, for language modeling without a chat format.
        type: value of the row's `type` column, by which exam scores are broken down.
        masked: indices of the assistant's turns that have no loss.
        has_reasoning: whether the reasoning of an answer comes from a column or field of its own.
    """

    messages: tuple[Message, ...]
    source: str
    text: str | None = None
    type: str | None = None
    masked: tuple[int, ...] = ()
    has_reasoning: bool = False

    @classmethod
    @cache
    def own_fields(cls) -> tuple[str, ...]:
        """Names of the fields that a subclass, the example type of a task, adds to these."""
        inherited = {field.name for field in fields(Example)}
        return tuple(field.name for field in fields(cls) if field.name not in inherited)


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels, both of length T; a label is the token's id where it has loss, else `IGNORED`."""

    ids: list[int]
    labels: list[int]

    @property
    def num_loss_tokens(self) -> int:
        """Number of the T tokens that contribute to the loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True)
class Finding:
    """Something that a check noticed, and what to do about it."""

    text: str
    hint: str = ""


@dataclass(frozen=True)
class DType:
    """A floating-point format: swiftkit's name for it, PyTorch's, and its size in bytes."""

    name: str
    torch_name: str
    num_bytes: int

    def __str__(self) -> str:
        return self.name


DTYPES = {d.name: d for d in (DType("bf16", "bfloat16", 2), DType("fp16", "float16", 2), DType("fp32", "float32", 4))}
# Spellings of transformers' configs and of ms-swift, and the names that swiftkit uses for them.
DTYPE_ALIASES = {dtype.torch_name: dtype.name for dtype in DTYPES.values()}


@dataclass(frozen=True)
class Precision:
    """How weights are stored and computed with during training, and why.

    Attributes:
        storage: format of the weights in memory.
        compute: format of matrix products and activations.
        reason: why, in a short phrase for the log.
    """

    storage: DType
    compute: DType
    reason: str

    @property
    def bytes_per_parameter(self) -> int:
        """Memory of one stored weight."""
        return self.storage.num_bytes

    def __str__(self) -> str:
        return self.compute.name
