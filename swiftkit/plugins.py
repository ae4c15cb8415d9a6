"""Kinds of plugin: a folder is a kind, a file is a name, a function is the verb.

Outside packages add theirs by entry point, one line each, pointing at a module with the same verb:

    [options.entry_points]
    swiftkit.formats =
        tickets = my_package.tickets

Data files (families, templates, datasets) are plugins too; `swiftkit.assets` finds those.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from swiftkit.errors import SwiftkitError, unknown

VERBS = {"formats": "to_messages", "scorers": "score", "trainers": "train"}
OWN = "swiftkit"


@dataclass(frozen=True)
class Owner:
    """Who brings a plugin: the module that holds it, and the installed package that the module is of."""

    module: str
    package: str


@cache
def owners(kind: str) -> dict[str, list[Owner]]:
    """Name to those who claim it; nothing of the kind is imported, and more than one is an error to use."""
    package = import_module(f"swiftkit.{kind}")
    found = {m.name: [Owner(f"{package.__name__}.{m.name}", OWN)] for m in pkgutil.iter_modules(package.__path__)}
    for entry in entry_points(group=f"swiftkit.{kind}"):
        owner = Owner(entry.value, f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value)
        if owner not in found.setdefault(entry.name, []):
            found[entry.name].append(owner)
    return found


def names(kind: str) -> list[str]:
    """Every name of a kind, sorted."""
    return sorted(owners(kind))


def module(kind: str, name: str) -> ModuleType:
    """The module behind a name; a plugin that does not import harms only those who ask for it.

    Raises:
        SwiftkitError: there is none, two packages claim it, or it does not import.
    """
    found = owners(kind)
    if name not in found:
        raise unknown(kind.removesuffix("s"), name, found)
    if len(found[name]) > 1:
        raise SwiftkitError(
            f"{kind}: `{name}` is claimed by {' and by '.join(f'{o.module} ({o.package})' for o in found[name])}",
            "uninstall all but one of the packages, or rename an entry point",
        )
    (owner,) = found[name]
    try:
        return import_module(owner.module)
    except (Exception, SystemExit) as error:  # whatever a package of somebody else does when it is imported
        raise SwiftkitError(
            f"{kind}: `{name}` ({owner.module}, of {owner.package}) does not import: {type(error).__name__}: {error}",
            f"mend or uninstall {owner.package.split()[0]}",
        ) from error


def get(kind: str, name: str) -> Any:
    """The verb of a plugin: the function that does what its kind does."""
    found, verb = module(kind, name), VERBS[kind]
    if not callable(getattr(found, verb, None)):
        raise SwiftkitError(f"{kind}: `{name}` ({found.__name__}) has no function `{verb}`")
    return getattr(found, verb)
