"""Kind `tasks`: what a row of training is, and which metric chooses the best checkpoint. One file a task, with

- `SELECTION`: the metric that chooses the best checkpoint, and its direction,
- optionally `EXAMPLE_TYPE`: a subclass of `swiftkit.schema.Example`, a frozen dataclass; each field that it adds is a
  column of the rows, whatever their format, and has the field's default in rows without it,
- `EXAMPLE`: a valid row, for `swiftkit plugins --check` and for readers,
- `check(example)`, which raises ValueError with the reason if the task cannot be trained on an example,
- `encode(examples, encoder) -> Iterator[Encoded]`: token ids and labels of each example, in the order of the examples.

`--task NAME` chooses one. Parent and training process both call `encode`, so that the tokens that are counted before a
run are those that it is trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from swiftkit import plugins
from swiftkit.chat.encode import ChatEncoder
from swiftkit.data.examples import to_examples
from swiftkit.data.source import RawRows, Source
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Encoded, Example


@dataclass(frozen=True)
class Selection:
    """How the best checkpoint is chosen: a metric of the evaluation, and whether higher values are better."""

    metric: str
    higher_is_better: bool

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best one so far (None: there is none); NaN never is."""
        if math.isnan(value):
            return False
        return best is None or (value > best if self.higher_is_better else value < best)


class Task(Protocol):
    """The module of a task."""

    SELECTION: Selection

    def check(self, example: Example) -> None:
        """Refuse an example that the task cannot be trained on.

        Raises:
            ValueError: the reason.
        """
        ...

    def encode(self, examples: Iterable[Example], encoder: ChatEncoder) -> Iterator[Encoded]:
        """Token ids and labels of each example, in order."""
        ...


def get(name: str) -> Task:
    """The task with that name.

    Raises:
        SwiftkitError: there is none, or it lacks a part of a task.
    """
    plugins.get("tasks", name)
    module = plugins.module("tasks", name)
    if not isinstance(getattr(module, "SELECTION", None), Selection):
        raise SwiftkitError(f"task `{name}`: SELECTION is not a swiftkit.data.tasks.Selection")
    if not callable(getattr(module, "check", None)):
        raise SwiftkitError(f"task `{name}` has no function `check`")
    return cast(Task, module)


def example_type(name: str) -> type[Example]:
    """The example type of the task with that name.

    Raises:
        SwiftkitError: it is not a subclass of Example.
    """
    declared = getattr(get(name), "EXAMPLE_TYPE", Example)
    if not isinstance(declared, type) or not issubclass(declared, Example):
        raise SwiftkitError(f"task `{name}`: EXAMPLE_TYPE is not a subclass of swiftkit.schema.Example")
    return declared


def check_plugin(name: str) -> None:
    """A task declares its selection and its example type, accepts its example, and refuses an empty conversation.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    task = get(name)
    row = getattr(task, "EXAMPLE", None)
    if not isinstance(row, dict):
        raise SwiftkitError("EXAMPLE is not a row")
    rows = RawRows(Source(name, Path("EXAMPLE")), [("EXAMPLE", row)])
    to_examples(rows, check=task.check, example_type=example_type(name))
    try:
        task.check(example_type(name)((), "EXAMPLE"))
    except ValueError:
        return
    raise SwiftkitError("`check` accepts a conversation without any turn", "raise ValueError with the reason")
