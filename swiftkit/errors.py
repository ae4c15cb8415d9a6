"""Errors that a user can fix, and a collector that reports several of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# Exit codes of every command; BELOW_THRESHOLD is that of `exam --fail_under`.
FAILED, REFUSED, BELOW_THRESHOLD, BUG, INTERRUPTED, TERMINATED = 1, 2, 3, 70, 130, 143
MAX_NAMES_SHOWN = 12  # in a hint
MAX_SUGGESTIONS = 3
MAX_PROBLEMS_SHOWN = 20  # of one dataset; the rest is counted


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and how to fix it."""

    message: str
    hint: str | None = None


class SwiftkitError(Exception):
    """What is wrong, where, and what to do about it; printed without a traceback.

    Attributes:
        problems: everything that is wrong, at least one.
        exit_code: 2 (refused before work began: the user can fix it) or 1 (the work itself failed).
    """

    def __init__(self, message: str, hint: str | None = None, *, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.problems = [Problem(message, hint)]
        self.exit_code = exit_code

    @classmethod
    def of(cls, problems: list[Problem]) -> SwiftkitError:
        """One error that carries all of `problems` (at least one)."""
        error = cls("\n".join(problem.message for problem in problems))
        error.problems = problems
        return error


class Problems:
    """Collects errors, so that a user sees all of them instead of the first one."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, message: str, hint: str | None = None) -> None:
        """Record one problem, once."""
        if (problem := Problem(message, hint)) not in self.found:
            self.found.append(problem)

    def add_faults(self, faults: Iterable[tuple[str, str]]) -> None:
        """Record places and reasons: each reason once, with its first place and the number of the others."""
        places: dict[str, list[str]] = {}
        for place, reason in faults:
            places.setdefault(reason, []).append(place)
        for reason, (first, *others) in places.items():
            self.add(f"{first}: {reason}" + (f" (and in {len(others):,} more rows)" if others else ""))

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Record a SwiftkitError that is raised inside, and continue after the block."""
        try:
            yield
        except SwiftkitError as error:
            for problem in error.problems:
                self.add(problem.message, problem.hint)

    def raise_any(self, limit: int | None = None) -> None:
        """Raise one error with everything that was recorded; do nothing if there is none.

        Args:
            limit: report at most this many, and count the others.
        """
        more = len(self.found) - limit if limit else 0
        if more > 0:
            del self.found[limit:]
            self.add(f"… and {more:,} more rows like these")
        if self.found:
            raise SwiftkitError.of(self.found)


def validation_reason(message: str) -> str:
    """pydantic's message about one value, in swiftkit's words."""
    if message == "Extra inputs are not permitted":
        return "unknown field"
    return message.replace("Input should be", "must be").replace("Field required", "is missing")


def validation_reasons(errors: Iterable[Mapping[str, Any]]) -> str:
    """What pydantic's `ValidationError.errors()` says, in one line: each value's place, and what is wrong with it."""
    parts = ((".".join(map(str, item["loc"])), validation_reason(item["msg"])) for item in errors)
    return "; ".join(f"{place}: {reason}" if place else reason for place, reason in parts)


def unknown(kind: str, name: str, known: Iterable[str], see: str | None = None) -> SwiftkitError:
    """The error for a name that does not exist; it suggests the nearest known one, else where to look."""
    return SwiftkitError(f"no {kind} is named `{name}`", nearest(name, known, see))


def nearest(name: str, known: Iterable[str], see: str | None = None) -> str:
    """A hint that suggests what was probably meant by `name`; punctuation and case do not count."""
    names = sorted(set(known))
    start, plain = name.lower().replace(".", "_"), _plain(name)
    equal = [each for each in names if _plain(each) == plain]
    longer = [each for each in names if len(start) > 3 and each.lower().startswith(start)]
    suggested = list(dict.fromkeys([*equal, *longer]))
    if not suggested:
        by_plain = {_plain(each): each for each in reversed(names)}
        close = difflib.get_close_matches(plain, by_plain, n=MAX_SUGGESTIONS, cutoff=0.6)
        suggested = [by_plain[each] for each in close]
    suggested = suggested[:MAX_SUGGESTIONS]
    if suggested:
        return "did you mean " + " or ".join(f"`{each}`" for each in suggested) + "?"
    if see:
        return see
    more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    return "known: " + ", ".join(names[:MAX_NAMES_SHOWN]) + more


def _plain(name: str) -> str:
    """Letters and digits only."""
    return "".join(character for character in name.lower() if character.isalnum())
