"""Who is calling: the command line, or Python code.

The command line records its command and may install signal handlers; Python code, in a thread or a notebook, may not be
disturbed by either. A context variable, so that threads do not affect each other.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """What the calling program allows.

    Attributes:
        command: its command line, for records; None for Python code.
        handles_signals: whether SIGINT and SIGTERM may be handled here while a child process runs.
    """

    command: str | None = None
    handles_signals: bool = False


DEFAULT = Session()
current: ContextVar[Session] = ContextVar("session", default=DEFAULT)
