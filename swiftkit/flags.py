"""From `sys.argv` and YAML files to one checked config: typed beats file beats default."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from swiftkit import passthrough
from swiftkit.config import CheckpointOptions, ExamConfig, ExportConfig, SftConfig
from swiftkit.declaration import Config, kind
from swiftkit.errors import Problems, SwiftkitError, nearest

C = TypeVar("C", bound=Config)
PROJECT_FILE = "swiftkit.yaml"
TRUE_OR_FALSE = {"true", "false", "1", "0", "yes", "no", "on", "off"}


@dataclass
class Given:
    """What the user asked for, before defaults: value and origin (`--flag`, or file and key) of each name."""

    values: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def under(self, weaker: Given) -> Given:
        """This over what a weaker layer has given."""
        values = {**weaker.values, **self.values}
        if "swift" in values:
            values["swift"] = {**weaker.values.get("swift", {}), **self.values.get("swift", {})}
        return Given(values, {**weaker.origin, **self.origin})


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # in C where it is there
    """PyYAML's safe loader, to which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As the safe loader does."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"the key `{key}` stands twice", problem_mark=node.start_mark)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def read(config: type[Config], argv: list[str], problems: Problems) -> Given:
    """Everything the user gave: `swiftkit.yaml` (unless `--config` names a file), then flags.

    Names nobody knows, values that are missing, and files that cannot be read go to `problems`.
    """
    typed = Layer(config, problems, "--")
    named: str | None = None
    for name, values in words(config, argv):
        if name == "config":
            named = values[0] if values else None
            if not values:
                problems.add("--config needs a value", "the name of a YAML file")
        elif name:
            typed.flag(name, values)
        else:
            for value in values:
                problems.add(f"unexpected argument `{value}`", "flags are written --name value")
    path = Path(named).expanduser() if named else Path(PROJECT_FILE)
    if not named and not path.is_file():
        return typed.given
    filed = Layer(config, problems, f"{path}: ")
    with problems.collect():
        elsewhere = set() if named else _of_other_commands()
        for key, value in _content(path).items():
            name = str(key).replace("-", "_")
            name = name if named else config.in_project_file.get(name, name)
            if name:
                filed.entry(name, value, elsewhere)
    return typed.given.under(filed.given)


def words(config: type[Config], argv: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The words of a command line in groups: a flag's name (underscores, no dashes; empty for none) and its values."""
    names, free = config.canonical(), [n for n, flag in config.flags().items() if flag.positional]
    position = 0
    loose: list[str] = []
    while position < len(argv):
        word, position = argv[position], position + 1
        if not word.startswith("--") or word == "--":
            loose.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        values = [value] if equals else []
        is_bool = name in names and kind(config.field(names[name])) is bool
        while not equals and position < len(argv) and not argv[position].startswith("--"):
            if is_bool and (values or argv[position].lower() not in TRUE_OR_FALSE):
                break
            values.append(argv[position])
            position += 1
        yield name, values
    if loose:
        yield (free[0] if free else ""), loose


class Layer:
    """What one place (the command line, a file) gives; a second, different value for a name is a problem."""

    def __init__(self, config: type[Config], problems: Problems, place: str) -> None:
        self.config, self.problems, self.place = config, problems, place
        self.names = config.canonical()
        self.given = Given()

    def flag(self, spelled: str, values: list[str]) -> None:
        """One flag as typed."""
        name = self.names.get(spelled)
        if name is None:
            self.other(spelled, values[0] if len(values) == 1 else values or "true")
            return
        wanted = kind(self.config.field(name))
        if "" in values and self.config.flags()[name].metavar != "TEXT":
            values = []  # a shell's "$UNSET"
        if wanted is list:
            if not values:
                self.problems.add(f"--{spelled} needs a value", self.config.field(name).description)
            self.given.values[name] = [*self.given.values.get(name, []), *values]
            self.given.origin[name] = f"--{spelled}"
        elif wanted is bool:
            self.put(name, spelled, values[0] if values else "true")
        elif len(values) == 1:
            self.put(name, spelled, values[0])
        elif values:
            self.problems.add(f"--{spelled} takes one value, not {len(values)}: {' '.join(values)}")
            self.put(name, spelled, values[0])
        else:
            self.problems.add(f"--{spelled} needs a value", self.config.field(name).description)

    def entry(self, spelled: str, value: Any, elsewhere: set[str]) -> None:
        """One key of a file; `elsewhere` are keys that are meant for other commands."""
        name = self.names.get(spelled)
        if name is None:
            if spelled == "swift" and isinstance(value, dict):
                for option, inner in value.items():
                    self.entry(f"swift.{option}", inner, elsewhere)
            elif spelled not in elsewhere and not (elsewhere and self.for_training(spelled)):
                self.other(spelled, value)
        elif isinstance(value, bool) and kind(self.config.field(name)) is not bool:
            said = str(value).lower()
            self.problems.add(
                f"{self.place}{spelled} is {said}, which YAML reads as true or false", "quote it if it is text"
            )
        else:
            self.put(name, spelled, value)

    def put(self, name: str, spelled: str, value: Any) -> None:
        """Set a name once."""
        former = self.given.origin.get(name)
        if former and self.given.values[name] != value:
            self.problems.add(
                f"`{former}` and `{self.place}{spelled}` set the same thing to different values: "
                f"{self.given.values[name]} and {value}",
                f"give one of them; {name}: {self.config.field(name).description}",
            )
        self.given.values[name] = value
        self.given.origin[name] = f"{self.place}{spelled}"

    @property
    def passes(self) -> bool:
        """Whether this command hands options on to ms-swift."""
        return "swift" in self.config.model_fields

    def for_training(self, spelled: str) -> bool:
        """Whether a key of the project's file is an option of ms-swift, which this command has no use for."""
        return not self.passes and (spelled.startswith("swift.") or passthrough.bare(spelled))

    def other(self, spelled: str, value: Any) -> None:
        """A name that is no flag of ours: an option of ms-swift, or a slip."""
        option = spelled.removeprefix("swift.")
        of_swift = self.passes or issubclass(self.config, CheckpointOptions)  # commands that tutorials have lines for
        if of_swift and passthrough.needless(option, value):
            return
        if self.passes and (option != spelled or passthrough.bare(option)):
            with self.problems.collect():
                self.given.values.setdefault("swift", {})[option] = passthrough.check(option, value)
                self.given.origin["swift"] = f"{self.place}{spelled}"
            return
        dashes = "--" if self.place == "--" else ""
        hint = passthrough.advice(spelled) if of_swift else None
        if not self.passes and spelled in SftConfig.canonical():
            hint = "it is a flag of `swiftkit sft`"
        hint = hint or nearest(dashes + spelled, [dashes + name for name in self.names])
        kind_of = "unknown flag" if dashes else f"{self.place}unknown key"
        self.problems.add(f"{kind_of} `{dashes}{spelled}`", hint)


def _of_other_commands() -> set[str]:
    """Names that swiftkit.yaml may hold for another command than the one that reads it."""
    working: tuple[type[Config], ...] = (SftConfig, ExamConfig, ExportConfig)
    return {name for other in (*Config.__subclasses__(), *working) for name in other.canonical()}


def _content(path: Path) -> dict[Any, Any]:
    """A YAML file's keys and values; of a run.yaml, those of its `config`."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except OSError as error:
        raise SwiftkitError(f"{path}: {error.strerror}", "--config takes a YAML file") from error
    except (yaml.YAMLError, ValueError) as error:  # also not UTF-8, and dates that are none
        raise SwiftkitError(f"{path} is not valid YAML: {error}") from error
    if isinstance(content, dict) and "record" in content:
        content = content.get("config")
    if content is not None and not isinstance(content, dict):
        raise SwiftkitError(f"{path} holds a {type(content).__name__}", "it must hold `flag: value` lines")
    return content or {}


def build(config: type[C], given: Given, defaults: dict[str, Any] | None = None) -> C:
    """The checked config: `given` over `defaults` (of a registry entry) over the fields' own.

    Raises:
        SwiftkitError: every value of a wrong type or range, named by the flag or the file's key.
    """
    try:
        unsaid = {key: value for key, value in (defaults or {}).items() if given.values.get(key) is None}
        return config(**{**given.values, **unsaid})
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
