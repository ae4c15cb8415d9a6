"""What a person reads while swiftkit works: lines on stderr. Results go to stdout, by `print`, in commands."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TextIO

from swiftkit.errors import Problem, SwiftkitError

logger = logging.getLogger("swiftkit")


def set_up() -> None:
    """Send the package's log to stderr; the level is `$LOG_LEVEL` (default INFO). Called by `cli.main` only."""
    wanted = (os.environ.get("LOG_LEVEL") or "INFO").upper()
    levels = logging.getLevelNamesMapping()
    if wanted not in levels:
        raise SwiftkitError(f"LOG_LEVEL is `{wanted}`", "one of " + ", ".join(sorted(levels)))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show should not end the command
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(levels[wanted])
    logger.propagate = False


def colour(stream: TextIO | None = None) -> bool:
    """Whether a stream (stderr, when none is named) is a terminal that wants colour; `NO_COLOR` turns it off."""
    return (stream or sys.stderr).isatty() and not os.environ.get("NO_COLOR")


def print_problems(problems: list[Problem]) -> None:
    """Every problem with its hint, on stderr."""
    red, dim, off = ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") if colour() else ("", "", "")
    for problem in problems:
        print(f"{red}error:{off} {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"  {dim}hint:{off} {problem.hint}", file=sys.stderr)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Rows in columns as wide as their widest cell, under `head` (empty for none)."""
    every = [head, *rows] if head else rows
    widths = [max(len(row[column]) for row in every) for column in range(len(every[0]))] if every else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in every
    )
