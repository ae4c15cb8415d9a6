"""Where the data folders are (registry, templates, datasets, models): swiftkit's own, the user's, and those of
packages.

A package adds its own by one entry point, which names the package that contains these folders:

    [options.entry_points]
    swiftkit.assets =
        tickets = my_package
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from swiftkit import files
from swiftkit.errors import Problems, SwiftkitError, unknown

KINDS = ("registry", "templates", "datasets", "models")
FLAG, HOME = "--registry", "$SWIFTKIT_HOME"  # labels of the user's own folders
# The folder of `--registry`. Not an environment variable: two threads may use two registries at the same time.
_added: ContextVar[Path | None] = ContextVar("registry", default=None)


@contextmanager
def search_path(folder: str | None, problems: Problems) -> Iterator[None]:
    """A scope in which `folder` (of `--registry`) is searched first; what `add` does inside ends with it as well.

    A folder that cannot be used is added to `problems`.
    """
    token = _added.set(_added.get())
    try:
        if folder:
            with problems.collect():
                add(folder)
        yield
    finally:
        _added.reset(token)


def add(folder: str) -> None:
    """Search `folder`, which contains `registry/`, `templates/` or `datasets/`, before all others.

    Raises:
        SwiftkitError: it contains none of them.
    """
    path = files.parse_path(folder, FLAG)
    if not any((path / kind).is_dir() for kind in KINDS):
        raise SwiftkitError(
            f"{FLAG}: {path} contains none of these folders: {', '.join(KINDS)}",
            "a family is FOLDER/registry/NAME.yaml, its template FOLDER/templates/NAME.jinja (docs/registry.md)",
        )
    _added.set(path.resolve())


def added() -> Path | None:
    """The folder of `--registry`, if there is one."""
    return _added.get()


def search_paths_key() -> tuple[str | None, ...]:
    """Identifies the user's own folders; whatever is read from data folders may be cached under this key."""
    folder = _added.get()
    return str(folder) if folder else None, os.environ.get("SWIFTKIT_HOME")


def roots(kind: str) -> dict[str, Path]:
    """Folders searched for `kind`, by owner; the user's own first, swiftkit's last."""
    package = Path(__file__).resolve().parent
    packed = package / "_assets" / kind
    found: dict[str, Path] = {}
    if folder := _added.get():
        found[FLAG] = folder / kind
    if home := os.environ.get("SWIFTKIT_HOME"):
        found[HOME] = Path(home).expanduser() / kind
    found |= {name: folder / kind for name, folder in packages().items()}
    found["swiftkit"] = packed if packed.is_dir() else package.parent / kind
    # A folder that is named twice, by $SWIFTKIT_HOME and by --registry, is searched once.
    first = {path.resolve(): name for name, path in reversed(found.items())}
    return {name: path for name, path in found.items() if first[path.resolve()] == name}


@cache
def packages() -> dict[str, Path]:
    """Installed packages that bring data folders, each with its folder; none of them is imported."""
    found = {}
    for entry in entry_points(group="swiftkit.assets"):
        # Only the outermost package is looked up, since finding an inner one would import the outer.
        spec = find_spec(entry.value.partition(".")[0])
        for place in (spec.submodule_search_locations or [])[:1] if spec else []:
            package = entry.dist.name if entry.dist else entry.value
            name = package if package not in found else f"{package} ({entry.name})"
            found[name] = Path(place, *entry.value.split(".")[1:])
    return found


def candidates(kind: str, suffix: str) -> dict[str, list[Path]]:
    """Name (the file's stem) to every `*<suffix>` of `kind` with that name; using a name with several is an error."""
    found: dict[str, list[Path]] = {}
    for root in roots(kind).values():
        # Names that begin with a dot are editors' locks and copies.
        for path in sorted(root.glob(f"[!.]*{suffix}")) if root.is_dir() else ():
            found.setdefault(path.stem, []).append(path)
    return found


def unique(kind: str, name: str, paths: list[Path]) -> Path:
    """The only file with a name.

    Raises:
        SwiftkitError: there are several.
    """
    if len(paths) > 1:
        raise SwiftkitError(
            f"{kind} `{name}` is declared twice: {' and '.join(map(str, paths))}", "rename all but one of them"
        )
    return paths[0]


def file(kind: str, suffix: str, name: str, label: str) -> Path:
    """The file `<kind>/<name><suffix>`; `label` is what messages call such a file.

    Raises:
        SwiftkitError: there is none, or there are several.
    """
    found = candidates(kind, suffix)
    if name not in found:
        raise unknown(label, name, found)
    return unique(kind, name, found[name])


def folder(kind: str, name: str) -> Path:
    """The model folder `<kind>/<name>`; if there is none, the path where it should be."""
    places = [root / name for root in roots(kind).values()]
    return next((path for path in places if (path / "config.json").is_file()), places[-1])
