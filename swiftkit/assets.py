"""Where the data folders are: registry, templates, datasets, models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from swiftkit.errors import SwiftkitError


def roots(kind: str) -> list[Path]:
    """Folders searched for `kind`: `$SWIFTKIT_HOME/<kind>`, then the wheel's copy or the checkout's."""
    here = Path(__file__).resolve().parent
    packed = here / "_assets" / kind
    shipped = packed if packed.is_dir() else here.parent / kind
    home = os.environ.get("SWIFTKIT_HOME")
    return [Path(home).expanduser() / kind, shipped] if home else [shipped]


def files(kind: str, suffix: str) -> dict[str, Path]:
    """Name (the file's stem) to path, for every `*<suffix>` of `kind`.

    Raises:
        SwiftkitError: two folders hold the same name.
    """
    found: dict[str, Path] = {}
    for path in _walk(kind, suffix):
        if path.stem in found:
            raise SwiftkitError(
                f"{kind} `{path.stem}` is declared twice: {found[path.stem]} and {path}", "rename one of the two"
            )
        found[path.stem] = path
    return found


def folder(kind: str, name: str) -> Path:
    """The model folder `<kind>/<name>`; where there is none, the one that should be."""
    candidates = [root / name for root in roots(kind)]
    return next((path for path in candidates if (path / "config.json").is_file()), candidates[-1])


def _walk(kind: str, suffix: str) -> Iterator[Path]:
    for root in roots(kind):
        if root.is_dir():
            yield from sorted(root.glob(f"*{suffix}"))
