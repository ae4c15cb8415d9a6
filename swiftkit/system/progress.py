"""Progress of long work: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)
PLAIN_INTERVAL_S = 15.0  # between two plain lines


def format_duration(seconds: float) -> str:
    """45 s, 3 min 20 s, 2 h 05 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02} s"
    return f"{total // 3600} h {total % 3600 // 60:02} min"


class Line:
    """One line of progress; use it as a context, since a live line has to be removed at the end."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._status: Any = None
        self._shown = time.time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def is_live(self) -> bool:
        """Whether the output is a terminal."""
        return self._console.is_terminal

    def stop(self) -> None:
        """Remove the live line; the next `show` starts a new one."""
        if self._status:
            self._status.stop()
            self._status = None

    def show(self, line: str, *, permanent: bool = False) -> None:
        """Show a line.

        A permanent one stays on the screen; of the others, plain output gets one every `PLAIN_INTERVAL_S` seconds.
        """
        if self.is_live:
            if self._status is None:
                self._status = self._console.status(line)
                self._status.start()
            self._status.update(line)
            if permanent:
                self._console.print(line, highlight=False)
        elif permanent or time.time() - self._shown > PLAIN_INTERVAL_S:
            self._shown = time.time()
            logger.info("%s", line)
            sys.stderr.flush()
