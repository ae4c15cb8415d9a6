"""Whether a training ended while the validation loss was still falling."""

from __future__ import annotations

from collections.abc import Iterator

from swiftkit.schema import Finding
from swiftkit.system.events import Eval
from swiftkit.training.checks import RunContext


def check(context: RunContext) -> Iterator[Finding]:
    """A finding if the last evaluation was the best one. See `swiftkit.training.checks`."""
    losses = [event.loss for event in context.events if isinstance(event, Eval)]
    if len(losses) > 1 and losses[-1] == min(losses):
        yield Finding("the validation loss was still falling at the end", "train longer: --num_train_epochs")
