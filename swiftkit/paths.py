"""Paths as users type them."""

from __future__ import annotations

from pathlib import Path

from swiftkit.errors import SwiftkitError


def typed(text: str, flag: str) -> Path:
    """The path that `text` means, `~` expanded; it need not exist.

    Raises:
        SwiftkitError: no path can be called so (unknown `~user`, a name that is too long), or one may not look there.
    """
    try:
        path = Path(text).expanduser()
        path.exists()  # asks the system
    except (OSError, RuntimeError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise SwiftkitError(f"{flag} {text[:60]!r} is no usable path: {said}") from error
    return path


def near(path: Path) -> Path:
    """The path as a person here would type it: relative, where it lies below the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
