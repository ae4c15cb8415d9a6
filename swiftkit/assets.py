"""Where the data folders are: registry, templates, datasets, models; swiftkit's own, the user's, and those of packages.

A package adds its own by one line, which names the package that has these folders in it:

    [options.entry_points]
    swiftkit.assets =
        tickets = my_package
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from swiftkit import paths
from swiftkit.errors import SwiftkitError, unknown

KINDS = ("registry", "templates", "datasets", "models")
ADDED = "SWIFTKIT_REGISTRY"  # the folder of `--registry`; in the environment, so that child processes have it too


def add(folder: str) -> None:
    """Search `folder`, which holds `registry/`, `templates/` or `datasets/`, before all others.

    Raises:
        SwiftkitError: it holds none of them.
    """
    path = paths.typed(folder, "--registry")
    if not any((path / kind).is_dir() for kind in KINDS):
        raise SwiftkitError(
            f"--registry: {path} has none of these folders in it: {', '.join(KINDS)}",
            "a family is FOLDER/registry/NAME.yaml, its template FOLDER/templates/NAME.jinja (docs/registry.md)",
        )
    os.environ[ADDED] = str(path.resolve())


def named() -> tuple[str | None, ...]:
    """The folders that the user has named; what is read from the data folders is kept as long as these are the same."""
    return os.environ.get(ADDED), os.environ.get("SWIFTKIT_HOME")


def roots(kind: str) -> dict[str, Path]:
    """Folders searched for `kind`, each under the name of whose it is; the user's own first, swiftkit's last."""
    here = Path(__file__).resolve().parent
    packed = here / "_assets" / kind
    found = {
        variable: Path(home).expanduser() / kind
        for variable in (ADDED, "SWIFTKIT_HOME")
        if (home := os.environ.get(variable))
    }
    found |= {name: folder / kind for name, folder in packages().items()}
    found["swiftkit"] = packed if packed.is_dir() else here.parent / kind
    # A folder that is named twice, as $SWIFTKIT_HOME and by --registry, is one folder.
    first = {path.resolve(): name for name, path in reversed(found.items())}
    return {name: path for name, path in found.items() if first[path.resolve()] == name}


@cache
def packages() -> dict[str, Path]:
    """Installed packages that bring data folders, each with its folder; nothing of them is imported."""
    found = {}
    for entry in entry_points(group="swiftkit.assets"):
        # Only the outermost package is looked up, since finding an inner one would import the outer.
        spec = find_spec(entry.value.partition(".")[0])
        for place in (spec.submodule_search_locations or [])[:1] if spec else []:
            package = entry.dist.name if entry.dist else entry.value
            name = package if package not in found else f"{package} ({entry.name})"
            found[name] = Path(place, *entry.value.split(".")[1:])
    return found


def claims(kind: str, suffix: str) -> dict[str, list[Path]]:
    """Name (the file's stem) to every `*<suffix>` of `kind` that claims it; more than one is an error to use."""
    found: dict[str, list[Path]] = {}
    for root in roots(kind).values():
        # An editor's lock or copy is none of ours: those names begin with a dot.
        for path in sorted(root.glob(f"[!.]*{suffix}")) if root.is_dir() else ():
            found.setdefault(path.stem, []).append(path)
    return found


def one(kind: str, name: str, files: list[Path]) -> Path:
    """The only file that claims a name.

    Raises:
        SwiftkitError: there are several.
    """
    if len(files) > 1:
        raise SwiftkitError(
            f"{kind} `{name}` is declared twice: {' and '.join(map(str, files))}", "rename all but one of them"
        )
    return files[0]


def file(kind: str, suffix: str, name: str, what: str) -> Path:
    """The file `<kind>/<name><suffix>`; `what` is what a person calls it.

    Raises:
        SwiftkitError: there is none, or there are several.
    """
    found = claims(kind, suffix)
    if name not in found:
        raise unknown(what, name, found)
    return one(kind, name, found[name])


def folder(kind: str, name: str) -> Path:
    """The model folder `<kind>/<name>`; where there is none, the one that should be."""
    candidates = [root / name for root in roots(kind).values()]
    return next((path for path in candidates if (path / "config.json").is_file()), candidates[-1])
