"""`--help` of every command, from the fields of its config."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from pydantic.fields import FieldInfo

from swiftkit.config.fields import PROJECT_FILE, Config, value_type


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows only the canonical name of a flag, and its default behind its help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            return super()._format_action_invocation(action)
        value = self._format_args(action, action.metavar if isinstance(action.metavar, str) else "VALUE")
        return f"{action.option_strings[0]} {value}".rstrip()


def help_parser(command: str, config: type[Config], epilog: str) -> argparse.ArgumentParser:
    """The command line of `config`, grouped like its fields; for its help text only (`parser.read` reads the words)."""
    words = "".join(f"[{flag.metavar} ...] " for flag in config.flags().values() if flag.positional)
    parser = argparse.ArgumentParser(
        prog=f"swiftkit {command}",
        description=config.__doc__,
        epilog=epilog,
        usage=f"swiftkit {command} {words}[--flag value ...]",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    groups: dict[str, Any] = {}
    for name, flag in sorted(config.flags().items(), key=lambda item: item[1].group == "Output"):
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        info = config.field(name)
        if flag.positional:
            groups[flag.group].add_argument(name, nargs="*", metavar=flag.metavar, help=info.description)
            continue
        text = f"{info.description} [{flag.default or _default(info)}]".replace("%", "%%")
        groups[flag.group].add_argument(f"--{name}", help=text, **_arity(info, flag.metavar))
    groups["Output"].add_argument(
        "--config",
        metavar="FILE",
        help="YAML file with options, named like the flags; a run's run.yaml repeats that run. "
        f"[{PROJECT_FILE} in this folder, if it exists]",
    )
    if "trainer_options" in config.model_fields:
        text = (
            "Any ms-swift 4.6 option that swiftkit does not set itself. Another trainer's options are --TRAINER.NAME."
        )
        parser.add_argument_group("Trainer options").add_argument("--swift.NAME", metavar="VALUE", help=text)
    return parser


def _default(info: FieldInfo) -> str:
    default = info.get_default()
    return str(default).lower() if isinstance(default, bool) else f"{default}"


def _arity(info: FieldInfo, metavar: str | None) -> dict[str, Any]:
    expected = value_type(info)
    if expected is bool:
        return {"nargs": "?", "metavar": metavar or "true|false"}
    if expected is list:
        return {"nargs": "+", "metavar": metavar or "VALUE"}
    if get_args(expected):
        return {"metavar": "|".join(map(str, get_args(expected)))}
    return {"metavar": metavar or {int: "N", float: "X"}.get(expected, "VALUE")}
