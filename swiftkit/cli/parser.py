"""From command line and YAML files to raw options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from swiftkit import files, plugins
from swiftkit.config.fields import PROJECT_FILE, Config, value_type
from swiftkit.config.options import CheckpointOptions
from swiftkit.config.resolve import RawOptions
from swiftkit.errors import Problems, SwiftkitError, nearest

MS_SWIFT = "swift"  # prefix of ms-swift's options; another trainer's prefix is its name
DEFAULT_TRAINER = "ms_swift"
BOOLEANS = {"true", "false", "1", "0", "yes", "no", "on", "off"}
TRAINER_OPTIONS = "trainer_options"


def read(
    config: type[Config],
    argv: list[str],
    problems: Problems,
    commands: Callable[[], Iterable[tuple[str, type[Config]]]] = tuple,
) -> RawOptions:
    """Everything that the user gave: `swiftkit.yaml` (unless `--config` names a file), overridden by flags.

    Args:
        config: the command's options.
        argv: its words.
        problems: unknown names, missing values and unreadable files are added here.
        commands: gives every command with its options, one by one; called only for a name that this one does not know,
            which may be meant for another.
    """
    typed = OptionSource(config, problems, "--", commands)
    file_name: str | None = None
    for name, values in group_words(config, argv):
        if name == "config":
            file_name = values[0] if values else None
            if not values:
                problems.add("--config needs a value", "the name of a YAML file")
        elif name:
            typed.add_flag(name, values)
        else:
            typed.add_words(values)
    path = Path(file_name).expanduser() if file_name else Path(PROJECT_FILE)
    from_file = OptionSource(config, problems, f"{path}: ", commands)
    if file_name or path.is_file():
        with problems.collect():
            for key, value in _content(path, is_named=bool(file_name)).items():
                name = str(key).replace("-", "_")
                if file_name:
                    from_file.add_entry(name, value)
                elif name := config.in_project_file.get(name, name):
                    from_file.add_entry(name, value, is_shared=True)
    options = typed.options.over(from_file.options)
    chosen = options.values.get("trainer", DEFAULT_TRAINER)
    for spelling, trainer in {**from_file.trainers, **typed.trainers}.items():
        if trainer != chosen:
            problems.add(f"{spelling} is an option of the trainer {trainer}, but --trainer is {chosen}")
    return options


def group_words(config: type[Config], argv: list[str]) -> Iterator[tuple[str, list[str]]]:
    """A command line as groups: a flag's name (with underscores, without dashes; empty for none) and its values."""
    names = config.canonical_names()
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
        is_bool = name in names and value_type(config.field(names[name])) is bool
        while not equals and position < len(argv) and not argv[position].startswith("--"):
            if is_bool and (values or argv[position].lower() not in BOOLEANS):
                break
            values.append(argv[position])
            position += 1
        yield name, values
    if loose:
        yield "", loose


class OptionSource:
    """The options from one place (the command line, a file); a second, different value for a name is a problem."""

    def __init__(
        self,
        config: type[Config],
        problems: Problems,
        place: str,
        commands: Callable[[], Iterable[tuple[str, type[Config]]]] = tuple,
    ) -> None:
        self.config, self.problems, self.place, self._commands = config, problems, place, commands
        self.names = config.canonical_names()
        self.options = RawOptions()
        self.trainers: dict[str, str] = {}  # option as written to the trainer that it is for
        self._trainer_origins: dict[str, str] = {}

    @property
    def has_trainer_options(self) -> bool:
        """Whether this command passes options on to a trainer."""
        return TRAINER_OPTIONS in self.config.model_fields

    def add_flag(self, spelling: str, values: list[str]) -> None:
        """A flag as typed."""
        name = self.names.get(spelling)
        if name is None:
            self._add_unknown(spelling, values[0] if len(values) == 1 else values or "true")
            return
        expected = value_type(self.config.field(name))
        if "" in values and self.config.flags()[name].metavar != "TEXT":
            values = []  # a shell's "$UNSET"
        if expected is list:
            if not values:
                self.problems.add(f"--{spelling} needs a value", self.config.field(name).description)
            self.options.values[name] = [*self.options.values.get(name, []), *values]
            self.options.origins[name] = f"--{spelling}"
        elif expected is bool:
            self._set(name, spelling, values[0] if values else "true")
        elif len(values) == 1:
            self._set(name, spelling, values[0])
        elif values:
            self.problems.add(f"--{spelling} takes one value, not {len(values)}: {' '.join(values)}")
            self._set(name, spelling, values[0])
        else:
            self.problems.add(f"--{spelling} needs a value", self.config.field(name).description)

    def add_words(self, words: list[str]) -> None:
        """The words without a flag in front of them."""
        positional = next((name for name, flag in self.config.flags().items() if flag.positional), None)
        if positional:
            self.options.values[positional] = words
            self.options.origins[positional] = words[0]
            return
        for word in words:
            self.problems.add(f"unexpected argument `{word}`", "flags are written --name value")

    def add_entry(self, spelling: str, value: Any, *, is_shared: bool = False) -> None:
        """A key of a file; in a shared one, it may be meant for another command."""
        name = self.names.get(spelling)
        if name is not None:
            if isinstance(value, bool) and value_type(self.config.field(name)) is not bool:
                self.problems.add(
                    f"{self.place}{spelling} is {str(value).lower()}, which YAML reads as true or false",
                    "quote it if it is text",
                )
            else:
                self._set(name, spelling, value)
        elif isinstance(value, dict) and self._prefix(f"{spelling}."):
            for option, inner in value.items():
                self.add_entry(f"{spelling}.{option}", inner, is_shared=is_shared)
        elif spelling == TRAINER_OPTIONS and self.has_trainer_options:
            if not isinstance(value, dict):
                self.problems.add(
                    f"{self.place}{spelling} is not a list of options", "write `NAME: VALUE` lines below it"
                )
                return
            for option, inner in value.items():
                self._set_trainer_option(option, spelling, inner)
        elif not (is_shared and self._is_for_others(spelling)):
            self._add_unknown(spelling, value)

    def _is_for_others(self, spelling: str) -> bool:
        """Whether a key of swiftkit.yaml belongs to another command."""
        if any(self._owners(spelling)):
            return True
        if self.has_trainer_options:
            return False
        return bool(
            spelling == TRAINER_OPTIONS or self._prefix(spelling) or _ms_swift_options().is_allowed_bare(spelling)
        )

    def _owners(self, spelling: str) -> Iterator[str]:
        """The commands that have an option with this name."""
        return (f"`swiftkit {name}`" for name, config in self._commands() if spelling in config.canonical_names())

    def _set(self, name: str, spelling: str, value: Any) -> None:
        """Set an option once."""
        former = self.options.origins.get(name)
        if former and self.options.values[name] != value:
            hint = f"use one of them; {name}: {self.config.field(name).description}"
            self._add_conflict(former, spelling, self.options.values[name], value, hint)
        self.options.values[name] = value
        self.options.origins[name] = f"{self.place}{spelling}"

    def _add_conflict(self, former: str, spelling: str, first: Any, second: Any, hint: str = "use one of them") -> None:
        message = (
            f"`{former}` and `{self.place}{spelling}` set the same option to different values: {first} and {second}"
        )
        self.problems.add(message, hint)

    def _set_trainer_option(self, name: str, spelling: str, value: Any) -> None:
        if spelling != TRAINER_OPTIONS:
            prefix = self._prefix(spelling)
            self.trainers[f"{self.place}{spelling}"] = prefix if prefix not in ("", MS_SWIFT) else DEFAULT_TRAINER
        options = self.options.values.setdefault(TRAINER_OPTIONS, {})
        former = self._trainer_origins.setdefault(name, f"{self.place}{spelling}")
        if options.setdefault(name, value) != value:
            self._add_conflict(former, spelling, options[name], value)
        self.options.origins[TRAINER_OPTIONS] = f"{self.place}{spelling}"

    def _prefix(self, spelling: str) -> str:
        """The prefix of a trainer, if a name begins with one: `swift.` or `<trainer>.`."""
        prefix, dot, _ = spelling.partition(".")
        if not dot:
            return ""
        return prefix if prefix == MS_SWIFT or prefix in plugins.names("trainers") else ""

    def _add_unknown(self, spelling: str, value: Any) -> None:
        """A name that is not one of swiftkit's options: a trainer's own, or a mistake."""
        prefix = self._prefix(spelling)
        option = spelling.removeprefix(f"{prefix}.") if prefix else spelling
        ms_swift = _ms_swift_options()
        from_tutorials = self.has_trainer_options or issubclass(self.config, CheckpointOptions)
        if from_tutorials and prefix in ("", MS_SWIFT) and ms_swift.is_noop(option, value):
            return
        if self.has_trainer_options and (prefix or ms_swift.is_allowed_bare(option)):
            self._set_trainer_option(option, spelling, value)
            return
        dashes = "--" if self.place == "--" else ""
        hint = ms_swift.migration_hint(spelling) if from_tutorials else None
        if owners := list(self._owners(spelling)):
            hint = f"it is an option of {' and '.join(owners)}"
        hint = hint or nearest(dashes + spelling, [dashes + name for name in self.names], "`--help` lists all flags")
        kind = "unknown flag" if dashes else f"{self.place}unknown key"
        self.problems.add(f"{kind} `{dashes}{spelling}`", hint)


def _ms_swift_options() -> ModuleType:
    """What ms-swift calls its options; imported only when a name is not swiftkit's own, since it takes a while."""
    from swiftkit.training.trainers.ms_swift import options

    return options


def _content(path: Path, *, is_named: bool) -> dict[Any, Any]:
    """A YAML file's keys and values; of a run.yaml, those of its `config`."""
    content = files.read_yaml(path, "--config takes a YAML file" if is_named else "fix it, or remove it")
    if isinstance(content, dict) and "record" in content:
        content = content.get("config")
    if content is not None and not isinstance(content, dict):
        raise SwiftkitError(f"{path} holds a {type(content).__name__}", "it must consist of `flag: value` lines")
    return content or {}
