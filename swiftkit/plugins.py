"""Kinds of plugin: a folder is a kind, a file is a name, a function is the verb.

Outside packages add theirs by entry point, one line each, pointing at a module with the same verb:

    [options.entry_points]
    swiftkit.formats =
        tickets = my_package.tickets
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from swiftkit.errors import SwiftkitError, unknown

VERBS = {"formats": "to_messages", "scorers": "score", "trainers": "train"}


@cache
def _owners(kind: str) -> dict[str, str]:
    """Name to the module that holds it; nothing of the kind is imported.

    Raises:
        SwiftkitError: two packages claim one name.
    """
    package = import_module(f"swiftkit.{kind}")
    owners = {m.name: f"{package.__name__}.{m.name}" for m in pkgutil.iter_modules(package.__path__)}
    for entry in entry_points(group=f"swiftkit.{kind}"):
        if owners.get(entry.name, entry.value) != entry.value:
            raise SwiftkitError(
                f"{kind}: `{entry.name}` is claimed by {owners[entry.name]} and by {entry.value}",
                "uninstall one of the two packages, or rename its entry point",
            )
        owners[entry.name] = entry.value
    return owners


def names(kind: str) -> list[str]:
    """Every name of a kind, sorted."""
    return sorted(_owners(kind))


def module(kind: str, name: str) -> ModuleType:
    """The module behind a name; a plugin that does not import harms only those who ask for it."""
    owners = _owners(kind)
    if name not in owners:
        raise unknown(kind.removesuffix("s"), name, owners)
    try:
        return import_module(owners[name])
    except Exception as error:  # whatever a package of somebody else does when it is imported
        raise SwiftkitError(f"{kind}: `{name}` ({owners[name]}) does not import: {error}") from error


def get(kind: str, name: str) -> Any:
    """The verb of a plugin: the function that does what its kind does."""
    found, verb = module(kind, name), VERBS[kind]
    if not hasattr(found, verb):
        raise SwiftkitError(f"{kind}: `{name}` ({found.__name__}) has no function `{verb}`")
    return getattr(found, verb)
