"""What a user reads while swiftkit works: lines on stderr. Results go to stdout, printed by the commands."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TextIO

from swiftkit.errors import Problem, SwiftkitError

logger = logging.getLogger("swiftkit")


def configure() -> None:
    """Send the package's log to stderr, at the level `$LOG_LEVEL` (default INFO). Called by the command line only."""
    level = (os.environ.get("LOG_LEVEL") or "INFO").upper()
    levels = logging.getLevelNamesMapping()
    if level not in levels:
        raise SwiftkitError(f"LOG_LEVEL: `{level}` is not a log level", "use one of " + ", ".join(sorted(levels)))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal lacks must not end the command
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [handler]
    logger.setLevel(levels[level])
    logger.propagate = False


def use_color(stream: TextIO | None = None) -> bool:
    """Whether to color the output on a stream (default stderr): it is a terminal, and `NO_COLOR` is not set."""
    return (stream or sys.stderr).isatty() and not os.environ.get("NO_COLOR")


def print_problems(problems: list[Problem]) -> None:
    """Every problem with its hint, on stderr."""
    red, cyan, off = ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") if use_color() else ("", "", "")
    for problem in problems:
        print(f"{red}error:{off} {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"  {cyan}hint:{off} {problem.hint}", file=sys.stderr)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Rows in columns as wide as their widest cell, under `head` (empty for none)."""
    lines = [head, *rows] if head else rows
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))] if lines else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
