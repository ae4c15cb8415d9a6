"""The one error that a user can fix, and a collector that lets several of them be told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Exit codes of every command; 3 (`below --fail_under`) belongs to the exam.
FAILED, REFUSED, BUG, INTERRUPTED, TERMINATED = 1, 2, 70, 130, 143


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the way out."""

    message: str
    hint: str | None = None


class SwiftkitError(Exception):
    """What is wrong, where, and what to do about it; printed without a traceback.

    `exit_code` is 2 (refused before work began: the user can fix it) or 1 (the work itself failed).
    """

    def __init__(self, message: str, hint: str | None = None, *, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.problems = [Problem(message, hint)]
        self.exit_code = exit_code

    @classmethod
    def of(cls, problems: list[Problem]) -> SwiftkitError:
        """One error that carries all of `problems` (at least one)."""
        error = cls(problems[0].message)
        error.problems = problems
        return error


class Problems:
    """Collects errors, so that a user sees all of them and not the first one."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, message: str, hint: str | None = None) -> None:
        """Note one problem."""
        self.found.append(Problem(message, hint))

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep a SwiftkitError that is raised inside, and go on after the block."""
        try:
            yield
        except SwiftkitError as error:
            self.found += error.problems

    def raise_any(self) -> None:
        """Raise one error with everything that was noted; nothing when nothing was."""
        if self.found:
            raise SwiftkitError.of(self.found)


def unknown(kind: str, name: str, known: Iterable[str], see: str | None = None) -> SwiftkitError:
    """The error for a name that does not exist: the nearest known one, else all of them or where to look."""
    return SwiftkitError(f"no {kind} is named `{name}`", nearest(name, known, see))


def nearest(name: str, known: Iterable[str], see: str | None = None) -> str:
    """A hint that names what was probably meant by `name`."""
    names = sorted(set(known))
    plain = name.lower().replace(".", "_")
    beginning = [known for known in names if len(plain) > 3 and known.lower().startswith(plain)]
    close = (beginning or difflib.get_close_matches(plain, names, n=3, cutoff=0.6))[:3]
    if close:
        return "did you mean " + " or ".join(f"`{c}`" for c in close) + "?"
    return see or "known: " + ", ".join(names)
