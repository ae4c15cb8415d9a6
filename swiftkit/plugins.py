"""Kinds of plugin: each kind is a folder, each plugin a module in it, with the function of its kind.

Outside packages add theirs by one entry point each, which names a module with the same function:

    [options.entry_points]
    swiftkit.formats =
        tickets = my_package.tickets

The package of a kind documents its protocol, and its `check_plugin(name)` holds the rules of `swiftkit plugins
--check`. Data files (families, templates, datasets) are plugins as well; `swiftkit.assets` finds those.
"""

from __future__ import annotations

import json
import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from swiftkit.errors import SwiftkitError, unknown


@dataclass(frozen=True)
class Kind:
    """A kind of plugin: the package with swiftkit's own, the function that each has, and its name in messages."""

    package: str
    function: str
    label: str


KINDS = {
    "formats": Kind("swiftkit.data.formats", "to_messages", "format"),
    "tasks": Kind("swiftkit.data.tasks", "encode", "task"),
    "data_checks": Kind("swiftkit.data.checks", "check", "data check"),
    "scorers": Kind("swiftkit.scoring.scorers", "score", "scorer"),
    "trainers": Kind("swiftkit.training.trainers", "train", "trainer"),
    "run_checks": Kind("swiftkit.training.checks", "check", "run check"),
    "engines": Kind("swiftkit.exams.engines", "load", "exam engine"),
    "targets": Kind("swiftkit.exports.targets", "export", "export target"),
}
OWN = "swiftkit"


@dataclass(frozen=True)
class Owner:
    """Who brings a plugin: the module that holds it, and the installed package that the module belongs to."""

    module: str
    package: str


@cache
def owners(kind: str) -> dict[str, list[Owner]]:
    """Name to everyone who claims it; no plugin is imported, and using a name with several owners is an error."""
    package = import_module(KINDS[kind].package)
    found = {m.name: [Owner(f"{package.__name__}.{m.name}", OWN)] for m in pkgutil.iter_modules(package.__path__)}
    for entry in entry_points(group=f"swiftkit.{kind}"):
        owner = Owner(entry.value, f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value)
        if owner not in found.setdefault(entry.name, []):
            found[entry.name].append(owner)
    return found


def names(kind: str) -> list[str]:
    """Every name of a kind, sorted."""
    return sorted(owners(kind))


def _owner(kind: str, name: str) -> Owner:
    """Who brings a plugin; it is not imported.

    Raises:
        SwiftkitError: there is none, or two packages claim it.
    """
    found = owners(kind)
    if name not in found:
        raise unknown(KINDS[kind].label, name, found)
    if len(found[name]) > 1:
        raise SwiftkitError(
            f"{kind}: `{name}` is claimed by {' and by '.join(f'{o.module} ({o.package})' for o in found[name])}",
            "uninstall all but one of the packages, or rename an entry point",
        )
    return found[name][0]


def module(kind: str, name: str) -> ModuleType:
    """The module behind a name; a plugin that does not import affects only those who ask for it.

    Raises:
        SwiftkitError: there is none, two packages claim it, or it does not import.
    """
    owner = _owner(kind, name)
    try:
        return import_module(owner.module)
    except (Exception, SystemExit) as error:  # third-party code may do anything when it is imported
        raise SwiftkitError(
            f"{kind}: `{name}` ({owner.module}, of {owner.package}) does not import: {type(error).__name__}: {error}",
            f"fix or uninstall {owner.package.split()[0]}",
        ) from error


def get(kind: str, name: str) -> Any:
    """The function of a plugin: the function that does what its kind is for."""
    found, function = module(kind, name), KINDS[kind].function
    if not callable(getattr(found, function, None)):
        raise SwiftkitError(f"{kind}: `{name}` ({found.__name__}) has no function `{function}`")
    return getattr(found, function)


def check(kind: str, name: str) -> None:
    """Test a plugin against the rules of its kind.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    import_module(KINDS[kind].package).check_plugin(name)


def require_json(name: str, value: object) -> None:
    """Check the value of a plugin's function that becomes part of a key.

    Raises:
        SwiftkitError: JSON cannot hold it.
    """
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise SwiftkitError(f"`{name}` gives {value!r}, which JSON cannot hold: {error}") from error
