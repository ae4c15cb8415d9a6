"""`swiftkit plugins`: what other packages and the user's own folders add, and whether it follows the rules."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace

from swiftkit import assets, plugins
from swiftkit.chat import stops, template
from swiftkit.config.fields import Config, flag
from swiftkit.data import catalog as datasets
from swiftkit.data import readers, tasks
from swiftkit.data.examples import to_examples
from swiftkit.errors import FAILED, Problems, SwiftkitError, nearest
from swiftkit.models import catalog, registry
from swiftkit.system.console import table

logger = logging.getLogger(__name__)
PREFERENCE_COLUMNS = ("chosen", "rejected")  # such rows are not conversations
EPILOG = """\
examples:
  swiftkit plugins
  swiftkit plugins --check
  swiftkit plugins --all
  swiftkit plugins --registry ./mine --check"""


class PluginsConfig(Config):
    """List and check the plugins of other packages, of $SWIFTKIT_HOME and of --registry (docs/plugins.md)."""

    words: list[str] = flag(
        [],
        "Only plugins with these names.",
        "Selection",
        metavar="NAME",
        positional=True,
        shown="all that are not swiftkit's",
    )
    all_: bool = flag(False, "Include swiftkit's own.", "Selection", alias="all", shown="false")
    check: bool = flag(
        False, "Check each one against the rules of its kind; exit code 1 if one breaks a rule.", "Check"
    )


CONFIG = PluginsConfig


@dataclass(frozen=True)
class PluginRow:
    """A plugin: its kind, its name, who brings it, and which rule it breaks (None: none, or not checked)."""

    kind: str
    name: str
    owner: str
    problem: str | None = None


def run(config: PluginsConfig, problems: Problems) -> int:
    """List, and check if requested; returns the exit code."""
    problems.raise_any()
    all_rows = [*_data_files(), *_modules()]
    rows = [
        row
        for row in all_rows
        if (row.name in config.words if config.words else config.all_ or row.owner != plugins.OWN)
    ]
    if config.words and not rows:
        raise SwiftkitError(f"no plugin is named {' or '.join(config.words)}", "`swiftkit plugins --all` lists them")
    if config.check:
        rows = [replace(row, problem=_problem(row)) for row in rows]
    if config.json_:
        print(json.dumps({"plugins": [asdict(row) for row in rows]}))
    elif rows:
        verdicts = [[row.problem or "valid"] if config.check else [] for row in rows]
        cells = [[row.kind, row.name, row.owner, *verdict] for row, verdict in zip(rows, verdicts, strict=True)]
        print(table(["kind", "name", "from", *(["verdict"] if config.check else [])], cells))
    else:
        logger.info(
            "only swiftkit's own %d plugins are installed (--all lists them); docs/plugins.md explains how to add some",
            len(all_rows),
        )
    return FAILED if any(row.problem for row in rows) else 0


def _data_files() -> list[PluginRow]:
    """Families, templates and datasets."""
    rows = []
    for kind, (folder, suffix, _) in DATA_FILES.items():
        roots = {path: label for label, path in assets.roots(folder).items()}
        for name, paths in assets.candidates(folder, suffix).items():
            labels = [roots[path.parent] for path in paths]
            # Of the user's own folders, the file itself says more than the label.
            owners = [
                str(path) if label in (assets.FLAG, assets.HOME) else label
                for label, path in zip(labels, paths, strict=True)
            ]
            rows.append(PluginRow(kind, name, " and ".join(owners)))
    return rows


def _modules() -> list[PluginRow]:
    """The other kinds; nothing is imported."""
    return [
        PluginRow(kind, name, " and ".join(owner.package for owner in owners))
        for kind in plugins.KINDS
        for name, owners in sorted(plugins.owners(kind).items())
    ]


# --- the rules of data files; those of the other kinds are in the kinds' own packages ---------------------------------


def _problem(row: PluginRow) -> str | None:
    """Which rule a plugin breaks; None if it follows all of them."""
    try:
        if row.kind in DATA_FILES:
            DATA_FILES[row.kind][2](row.name)
        else:
            plugins.check(row.kind, row.name)
    except SwiftkitError as error:
        first = error.problems[0]
        return f"{first.message} ({first.hint})" if first.hint else first.message
    except Exception as error:  # third-party code may raise anything
        return f"{type(error).__name__}: {error}"
    return None


def _check_family(name: str) -> None:
    """Its file is valid, its template follows the rules, and ms-swift has the names that it uses."""
    for invalid in registry.skipped():
        if name in (path.stem for path in invalid.paths):
            raise invalid.error
    family = registry.families()[name]
    stop = stops.stop_text(template.load(family.template))
    if family.special_tokens and stop not in family.special_tokens:
        raise SwiftkitError(f"answers end with `{stop}`, which is not one of its special_tokens")
    models = catalog.models().values()
    for what, used, known in (
        ("model type", family.swift.model_type, {model.swift_type for model in models}),
        ("template", family.swift.template, {model.swift_template for model in models}),
    ):
        if used not in known:
            raise SwiftkitError(f"ms-swift has no {what} `{used}`", nearest(used, known))


def _check_template(name: str) -> None:
    """It is valid, renders every message, and a prompt is a prefix of the conversation that continues it."""
    template.load(name)


def _check_dataset(name: str) -> None:
    """Its file is valid, and its rows, if they are on this machine, are conversations of a known format."""
    entry = datasets.read_entry(assets.file("datasets", ".yaml", name, "dataset"))
    if entry.path:
        rows = readers.read(datasets.resolve_dataset(name), seed=0)
        if not all(row.get(column) for _, row in rows.rows for column in PREFERENCE_COLUMNS):
            to_examples(rows, entry.format, check=tasks.get("sft").check)


# Kind to folder, suffix and check.
DATA_FILES = {
    "families": ("registry", ".yaml", _check_family),
    "templates": ("templates", ".jinja", _check_template),
    "datasets": ("datasets", ".yaml", _check_dataset),
}
