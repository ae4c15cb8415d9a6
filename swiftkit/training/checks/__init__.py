"""Kind `run_checks`: what the record and the curves of a run say. One file a check, with

- `check(context) -> Iterable[Finding]`, which yields nothing if all is well.

`swiftkit sft` prints the findings after a training, and `swiftkit runs show` for any run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from swiftkit import plugins
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Finding
from swiftkit.system import events
from swiftkit.system.events import Event
from swiftkit.training.run import Run, RunFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunContext:
    """A run, with its files read once."""

    run: Run

    @cached_property
    def file(self) -> RunFile:
        """Config and record."""
        return self.run.read()

    @cached_property
    def events(self) -> list[Event]:
        """The effective events: steps, evaluations, how it ended."""
        return events.effective(events.read(self.run.events))


class RunCheck(Protocol):
    """The function of a run check."""

    def __call__(self, context: RunContext) -> Iterable[Finding]: ...


def analyze(run: Run) -> list[Finding]:
    """The findings of all run checks, in the order of their names; a third-party check that fails is skipped."""
    findings: list[Finding] = []
    context = RunContext(run)
    for name in plugins.names("run_checks"):
        try:
            findings += plugins.get("run_checks", name)(context)
        except SwiftkitError as error:
            logger.warning("skipped: %s", error)
        except Exception as error:
            owner = plugins.owners("run_checks")[name][0].package
            if owner == plugins.OWN:
                raise
            logger.warning("skipped: run check `%s` (%s) raised %s: %s", name, owner, type(error).__name__, error)
    return findings


def check_plugin(name: str) -> None:
    """A run check defines its function."""
    plugins.get("run_checks", name)
