"""KIND: how a response is marked against its reference. One file a scorer, with

- `score(response, reference, …) -> Score`,
- `EXAMPLES`: (response, reference, the credit that it earns), for `swiftkit plugins --check` and those who read it,
- optionally `check(reference)`, which raises ValueError with the reason when nothing can be marked against it,
- optionally `done(response, reference, question="") -> bool`: whether no further text can change the score, so that
  generation may stop; and with it `CLOSERS`, characters of which a token has one when `done` becomes true by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Score:
    """The verdict on one response.

    Attributes:
        credit: 0, 0.5 or 1.
        reason: a short phrase for a person, such as `right`, `another value: 45`, `no marker`.
        read: what was read from the response as its answers.
        marked: whether the answers stand in markers; None where the rule has none.
        stated: whether the right answer is stated, in its marker or (without one) as the last number; None as above.
    """

    credit: float
    reason: str
    read: tuple[str, ...] = ()
    marked: bool | None = None
    stated: bool | None = None


class Scorer(Protocol):
    """The verb of a scorer. Pure; any text is a response, and none makes it raise.

    Args:
        response: what the model said.
        reference: the reference turn, whole.
        question: the last user turn, so that repeating it can be told from answering it.
        cut: whether the response was cut at the token limit.
        tolerance: how far a number may be off, as a share of the reference's; 0: exact.

    Raises:
        ValueError: the reference is one that `check` refuses.
    """

    def __call__(
        self, response: str, reference: str, *, question: str = "", cut: bool = False, tolerance: float = 0
    ) -> Score: ...
