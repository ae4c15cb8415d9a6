"""`swiftkit plugins`: what other packages and the user's own folders add, and whether it keeps the rules."""

from __future__ import annotations

import json
import logging
from typing import Any

from swiftkit import assets, conformance, plugins
from swiftkit.config import PluginsConfig
from swiftkit.errors import FAILED, Problems, SwiftkitError
from swiftkit.flags import Given, build
from swiftkit.log import table

logger = logging.getLogger(__name__)
CONFIG = PluginsConfig
FILES = {"families": ("registry", ".yaml"), "templates": ("templates", ".jinja"), "datasets": ("datasets", ".yaml")}
EPILOG = """\
examples:
  swiftkit plugins
  swiftkit plugins --check
  swiftkit plugins --all
  swiftkit plugins --registry ./mine --check"""


def run(given: Given, problems: Problems) -> int:
    """List, and check where that is asked for; returns the exit code."""
    problems.raise_any()
    config = build(PluginsConfig, given)
    everything = [*_files(), *_modules()]
    rows = [row for row in everything if row["from"] != plugins.OWN or config.all_ or row["name"] in config.words]
    rows = [row for row in rows if not config.words or row["name"] in config.words]
    if config.words and not rows:
        raise SwiftkitError(f"no plugin is named {' or '.join(config.words)}", "`swiftkit plugins --all` lists them")
    if config.check:
        for row in rows:
            row["wrong"] = conformance.check(row["kind"], row["name"])
    broken = [row for row in rows if row.get("wrong")]
    if config.json_:
        print(json.dumps({"plugins": rows}))
        return FAILED if broken else 0
    verdict = [["" if not config.check else row["wrong"] or "keeps the rules"] for row in rows]
    shown = [[row["kind"], row["name"], row["from"], *said] for row, said in zip(rows, verdict, strict=True)]
    if rows:
        print(table(["kind", "name", "from", *(["verdict"] if config.check else [])], shown))
    else:
        logger.info(
            "nothing but swiftkit's own %d is here (--all lists them); docs/plugins.md shows how to add",
            len(everything),
        )
    return FAILED if broken else 0


def _files() -> list[dict[str, Any]]:
    """Families, templates and datasets, each with where it comes from."""
    rows = []
    for kind, (folder, suffix) in FILES.items():
        roots = assets.roots(folder)
        for name, paths in assets.claims(folder, suffix).items():
            whose = [next(root for root, place in roots.items() if path.parent == place) for path in paths]
            of = [
                str(path) if root in (assets.ADDED, "SWIFTKIT_HOME") else root
                for root, path in zip(whose, paths, strict=True)
            ]
            rows.append({"kind": kind, "name": name, "from": " and ".join(of)})
    return rows


def _modules() -> list[dict[str, Any]]:
    """Formats, scorers and trainers; nothing is imported."""
    return [
        {"kind": kind, "name": name, "from": " and ".join(owner.package for owner in owners)}
        for kind in plugins.VERBS
        for name, owners in sorted(plugins.owners(kind).items())
    ]
