"""What `swiftkit data check` reports: every finding of every data check, and the verdict."""

from __future__ import annotations

import logging
from enum import StrEnum

from swiftkit import plugins
from swiftkit.data.facts import DataContext
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Finding

logger = logging.getLogger(__name__)


class Verdict(StrEnum):
    """Whether `sft` would train on a dataset, and whether a user should look at it first."""

    REFUSED = "refused"
    REVIEW = "review"
    READY = "ready"


def analyze(context: DataContext) -> list[Finding]:
    """The findings of all data checks, in the order of the checks' names.

    A third-party check that fails is reported and skipped.
    """
    findings: list[Finding] = []
    for name in plugins.names("data_checks"):
        try:
            findings += plugins.get("data_checks", name)(context)
        except SwiftkitError as error:
            logger.warning("skipped: %s", error)
        except Exception as error:
            owner = plugins.owners("data_checks")[name][0].package
            if owner == plugins.OWN:
                raise
            logger.warning("skipped: data check `%s` (%s) raised %s: %s", name, owner, type(error).__name__, error)
    return findings
