"""`--help` of every command, from the fields of its config."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from pydantic.fields import FieldInfo

from swiftkit.declaration import Config, kind


class Help(argparse.RawDescriptionHelpFormatter):
    """Shows the canonical name of a flag only, and its default behind its help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            return super()._format_action_invocation(action)
        value = self._format_args(action, action.metavar if isinstance(action.metavar, str) else "VALUE")
        return f"{action.option_strings[0]} {value}".rstrip()


def parser(command: str, config: type[Config], epilog: str, project_file: str) -> argparse.ArgumentParser:
    """The command line of `config`, grouped as its fields are; for its help text (`flags.read` reads the words)."""
    made = argparse.ArgumentParser(
        prog=f"swiftkit {command}",
        description=config.__doc__,
        epilog=epilog,
        usage=f"swiftkit {command} [--flag value ...]",
        formatter_class=Help,
        allow_abbrev=False,
    )
    groups: dict[str, Any] = {}
    for name, declared in sorted(config.flags().items(), key=lambda item: item[1].group == "Output"):
        if declared.group not in groups:
            groups[declared.group] = made.add_argument_group(declared.group)
        info = config.field(name)
        if declared.positional:
            groups[declared.group].add_argument(name, nargs="*", metavar=declared.metavar, help=info.description)
            continue
        said = f"{info.description} [{declared.default or _shown(info)}]".replace("%", "%%")
        groups[declared.group].add_argument(f"--{name}", help=said, **_arity(info, declared.metavar))
    groups["Output"].add_argument(
        "--config",
        metavar="FILE",
        help="YAML file with the same names as the flags; a run's run.yaml repeats that run. "
        f"[{project_file} in this folder, if there is one]",
    )
    if "swift" in config.model_fields:
        said = "Any ms-swift 4.6 option that swiftkit does not set itself."
        made.add_argument_group("Further options of ms-swift").add_argument("--swift.NAME", metavar="VALUE", help=said)
    return made


def _shown(info: FieldInfo) -> str:
    default = info.get_default()
    return str(default).lower() if isinstance(default, bool) else f"{default}"


def _arity(info: FieldInfo, metavar: str | None) -> dict[str, Any]:
    wanted = kind(info)
    if wanted is bool:
        return {"nargs": "?", "metavar": metavar or "true|false"}
    if wanted is list:
        return {"nargs": "+", "metavar": metavar or "VALUE"}
    if get_args(wanted):
        return {"metavar": "|".join(map(str, get_args(wanted)))}
    return {"metavar": metavar or {int: "N", float: "X"}.get(wanted, "VALUE")}
