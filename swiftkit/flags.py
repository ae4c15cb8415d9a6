"""From `sys.argv` and YAML files to one checked config: typed beats file beats default."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from swiftkit import passthrough
from swiftkit.config import Config, SftConfig
from swiftkit.errors import Problems, SwiftkitError, nearest

C = TypeVar("C", bound=Config)
PROJECT_FILE = "swiftkit.yaml"


@dataclass
class Given:
    """What the user asked for, before defaults: value and origin (`--flag`, or file and key) of each name."""

    values: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: Any, origin: str) -> None:
        """Set `name`, over what a weaker layer has set."""
        if name == "swift":
            value = {**self.values.get("swift", {}), **value}
        self.values[name] = value
        self.origin[name] = origin


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, whose errors are swiftkit's."""

    def __init__(self, prog: str, description: str | None, epilog: str, usage: str) -> None:
        super().__init__(prog, usage, description, epilog, formatter_class=Help, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing usage."""
        raise SwiftkitError(message.replace("argument ", "", 1), f"`{self.prog} --help` lists every flag")


class Help(argparse.RawDescriptionHelpFormatter):
    """Shows the canonical name of a flag only, and its default behind its help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            return super()._format_action_invocation(action)
        value = self._format_args(action, action.metavar if isinstance(action.metavar, str) else "VALUE")
        return f"{action.option_strings[0]} {value}".rstrip()


def parser(command: str, config: type[Config], epilog: str) -> Parser:
    """The command line of `config`, grouped as its fields are."""
    made = Parser(
        prog=f"swiftkit {command}",
        description=config.__doc__,
        epilog=epilog,
        usage=f"swiftkit {command} [--flag value ...]",
    )
    groups: dict[str, Any] = {}
    fields = {info.alias or name: info for name, info in config.model_fields.items()}
    for name, declared in sorted(config.flags().items(), key=lambda item: item[1].group == "Output"):
        if declared.group not in groups:
            groups[declared.group] = made.add_argument_group(declared.group)
        group = groups[declared.group]
        info = fields[name]
        spellings = [f"--{spelling}" for spelling in (name, *declared.aliases)]
        if declared.positional:
            group.add_argument(name, nargs="*", metavar=declared.metavar, help=info.description)
            continue
        group.add_argument(
            *spellings,
            dest=name,
            default=argparse.SUPPRESS,
            help=f"{info.description} [{declared.default or _shown(info)}]".replace("%", "%%"),
            **_arity(info, declared.metavar),
        )
    groups["Output"].add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="YAML file with the same names as the flags; a run's run.yaml repeats that run. "
        f"[{PROJECT_FILE} in this folder, if there is one]",
    )
    if "swift" in config.model_fields:
        made.add_argument_group("Further options of ms-swift").add_argument(
            "--swift.NAME",
            dest="_",
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help="Any ms-swift 4.6 option that swiftkit does not set itself.",
        )
    return made


def _shown(info: FieldInfo) -> str:
    default = info.get_default()
    return str(default).lower() if isinstance(default, bool) else f"{default}"


def _kinds(info: FieldInfo) -> tuple[Any, ...]:
    """The types of a field, `X | None` opened up."""
    annotation = info.annotation
    inner = get_args(annotation)
    return inner if type(None) in inner else (annotation,)


def _arity(info: FieldInfo, metavar: str | None) -> dict[str, Any]:
    kinds = _kinds(info)
    if bool in kinds:
        return {"nargs": "?", "const": "true", "metavar": metavar or "true|false"}
    if any(get_origin(kind) is list for kind in kinds):
        return {"nargs": "+", "metavar": metavar or "VALUE"}
    if any(str(kind).startswith("typing.Literal") for kind in kinds):
        return {"metavar": "|".join(map(str, get_args(kinds[0])))}
    name = {int: "N", float: "X"}.get(kinds[0], "VALUE")
    return {"metavar": metavar or name}


def read(config: type[C], made: Parser, argv: list[str], problems: Problems) -> Given:
    """Everything the user gave: `swiftkit.yaml` (unless `--config` names a file), then flags.

    Names nobody knows and files that cannot be read go to `problems`.
    """
    typed, rest = made.parse_known_args([_underscored(word) for word in argv])
    flags: dict[str, Any] = vars(typed)
    given = Given()
    named = flags.pop("config", None)
    path = Path(named) if named else Path(PROJECT_FILE)
    if named or path.is_file():
        with problems.collect():
            _read_file(path, config, given, problems, named=bool(named))
    for name, value in flags.items():
        given.put(name, value, f"--{name}")
    with problems.collect():
        _read_rest(rest, config, given, problems)
    return given


def _underscored(word: str) -> str:
    """`--lora-rank=8` as `--lora_rank=8`; values are left alone."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _of_other_commands() -> set[str]:
    """Names that swiftkit.yaml may hold for another command than the one that reads it."""
    return {name for other in Config.__subclasses__() for name in other.canonical()} | set(SftConfig.canonical())


def _read_file(path: Path, config: type[Config], given: Given, problems: Problems, *, named: bool) -> None:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SwiftkitError(f"{path}: {error.strerror}", "--config takes a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SwiftkitError(f"{path} is not valid YAML: {error}") from error
    if isinstance(content, dict) and "record" in content:  # a run.yaml: the config, and what became of it
        content = content.get("config")
    if content is None:
        return
    if not isinstance(content, dict):
        raise SwiftkitError(f"{path} holds a {type(content).__name__}", "it must hold `flag: value` lines")
    names = config.canonical()
    elsewhere: set[str] = set() if named else _of_other_commands()
    for key, value in content.items():
        name = names.get(str(key).replace("-", "_"))
        if name:
            given.put(name, value, f"{path}: {key}")
        elif key == "swift" and isinstance(value, dict):
            _pass_through(value, f"{path}: swift.", given, problems)
        elif str(key).startswith("swift."):
            _pass_through({str(key)[6:]: value}, f"{path}: swift.", given, problems)
        elif str(key).replace("-", "_") not in elsewhere:
            problems.add(f"{path}: unknown key `{key}`", nearest(str(key), names))


def _read_rest(rest: list[str], config: type[Config], given: Given, problems: Problems) -> None:
    """What argparse did not know: `--swift.x`, options of ms-swift 2 under their bare name, and slips."""
    names = config.canonical()
    position = 0
    while position < len(rest):
        word, position = rest[position], position + 1
        if not word.startswith("--"):
            problems.add(f"unexpected argument `{word}`", "flags are written --name value")
            continue
        name, equals, value = word[2:].partition("=")
        values = [value] if equals else []
        while not equals and position < len(rest) and not rest[position].startswith("--"):
            values.append(rest[position])
            position += 1
        option = name.removeprefix("swift.")
        if "swift" in config.model_fields and (option != name or passthrough.bare(option)):
            _pass_through({option: values[0] if len(values) == 1 else values or "true"}, "--", given, problems)
        else:
            message = f"unknown flag `--{name}`"
            problems.add(message, passthrough.advice(name) or nearest(name, names).replace("`", "`--", 1))


def _pass_through(options: dict[str, Any], origin: str, given: Given, problems: Problems) -> None:
    for name, value in options.items():
        with problems.collect():
            given.put("swift", {name: passthrough.check(name, value)}, f"{origin}{name}")


def build(config: type[C], given: Given, defaults: dict[str, Any] | None = None) -> C:
    """The checked config: `given` over `defaults` (of a registry entry) over the fields' own.

    Raises:
        SwiftkitError: every value of a wrong type or range, named by the flag or the file's key.
    """
    try:
        return config(**{**(defaults or {}), **given.values})
    except ValidationError as error:
        problems = Problems()
        for item in error.errors():
            name = str(item["loc"][0]) if item["loc"] else ""
            where = given.origin.get(name, name)
            said = item["msg"].replace("Input should be", "must be")
            problems.add(f"{where}: {said} (given: {item['input']!r})", _hint(config, name))
        problems.raise_any()
        raise


def sound_part(config: type[C], given: Given) -> C:
    """The config of those given values that are valid, so that what hangs on them can be checked as well."""
    values = dict(given.values)
    while True:
        try:
            return config(**values)
        except ValidationError as error:
            for item in error.errors():
                values.pop(str(item["loc"][0]), None)


def _hint(config: type[Config], name: str) -> str | None:
    info = config.model_fields.get(name)
    return info.description if info else None
