"""Kind `data_checks`: what is worth a look in a dataset before training on it. One file a check, with

- `check(context) -> Iterable[Finding]`, which yields nothing if all is well.

`swiftkit data check` runs all of them. The context (`swiftkit.data.facts.DataContext`) has the examples and the facts
that are computed from them once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from swiftkit import plugins
from swiftkit.data.facts import DataContext
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Example, Finding, Message


class DataCheck(Protocol):
    """The function of a data check."""

    def __call__(self, context: DataContext) -> Iterable[Finding]: ...


def check_plugin(name: str) -> None:
    """A data check gives findings, and raises nothing, whatever the data are.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    check = plugins.get("data_checks", name)
    question: Message = {"role": "user", "content": "3 + 4?"}
    answer: Message = {"role": "assistant", "content": "7"}
    chat, text = Example((question, answer), "rows:1"), Example((), "rows:2", text="Some text.")
    for examples in ([chat], [chat, chat], [text], [chat, text]):
        findings = list(check(DataContext(examples)))
        for finding in findings:
            if not isinstance(finding, Finding) or not finding.text:
                raise SwiftkitError(f"it gives {finding!r}, not a Finding with a text")
