"""What ends an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swiftkit.chat.template import Template
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Message

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Stops:
    """What ends an answer.

    Attributes:
        trained: the stop token of the template, which training has taught; empty if the tokenizer has no single token
            for its text.
        others: further token ids that the model's configs name.
        text: the text with which the template ends an answer.
    """

    trained: list[int]
    others: list[int]
    text: str

    @property
    def ids(self) -> list[int]:
        """All token ids that end an answer, the trained one first."""
        return [*self.trained, *self.others]


def stop_text(template: Template) -> str:
    """What the template writes behind the last answer to end it: the last line of it, without white space."""
    probe: list[Message] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    with_loss = "".join(text for text, has_loss in template.parts(probe) if has_loss)
    return with_loss.rpartition("!")[2].strip().rpartition("\n")[2]


def find_stops(template: Template, tokenizer: Tokenizer, *configs: dict[str, Any]) -> Stops:
    """What ends an answer, by the template and by `eos_token_id` of the model's configs.

    Raises:
        SwiftkitError: a config names something else than token ids.
    """
    text = stop_text(template)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    trained = ids if len(ids) == 1 else []
    named: set[int] = set()
    for config in configs:
        value = config.get("eos_token_id")
        for token in value if isinstance(value, list) else [value]:
            if not isinstance(token, int | None):
                raise SwiftkitError(
                    f"the model's eos_token_id is {value!r}, which is not a token id", "download it again"
                )
            named |= set() if token is None else {token}
    return Stops(trained, sorted(named - set(trained)), text)
