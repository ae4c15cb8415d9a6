"""How a command declares its options: an option is a field, with its help, its aliases and its constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic.fields import FieldInfo

PROJECT_FILE = "swiftkit.yaml"


@dataclass(frozen=True)
class Flag:
    """What the command line shows of a field, besides its type and default.

    Attributes:
        group: heading in the help text.
        aliases: further accepted names.
        default: shown instead of the field's default, if that is determined later.
        metavar: placeholder of the value.
        positional: whether values without a flag belong to it.
    """

    group: str
    aliases: tuple[str, ...] = ()
    default: str | None = None
    metavar: str | None = None
    positional: bool = False


def flag(
    default: Any,
    help: str,
    group: str,
    *aliases: str,
    shown: str | None = None,
    metavar: str | None = None,
    positional: bool = False,
    **constraints: Any,
) -> Any:
    """A config field that is also a flag; `constraints` are pydantic's (`gt`, `le`, `exclude` …)."""
    extra: Any = {"flag": Flag(group, aliases, shown, metavar, positional)}
    return Field(default, description=help, json_schema_extra=extra, **constraints)


def value_type(info: FieldInfo) -> Any:
    """What a field holds: bool, int, float, str, list or a Literal; `X | None` counts as X."""
    arguments = get_args(info.annotation)
    inner = next(t for t in arguments if t is not type(None)) if type(None) in arguments else info.annotation
    return list if get_origin(inner) is list else inner


class Config(BaseModel):
    """Base of every command's options: frozen, and an unknown name is an error.

    A config knows where its values came from, since options of one command may depend on what was asked for explicitly:
    `is_explicit` and `is_typed`. What Python code passes counts as typed, except for None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
    # What names in swiftkit.yaml mean to this command, if it is not the same; empty: ignored.
    in_project_file: ClassVar[Mapping[str, str]] = {}
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    registry: str | None = flag(
        None,
        "Folder with additional `registry/`, `templates/` and `datasets/` folders, like $SWIFTKIT_HOME.",
        "Output",
        metavar="FOLDER",
        shown="none",
    )
    json_: bool = flag(
        False, "Print the result as one JSON object.", "Output", alias="json", exclude=True, shown="false"
    )

    @field_validator("*", mode="after")
    @classmethod
    def _is_utf8(cls, value: Any) -> Any:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError as error:
                    raise ValueError("must be UTF-8") from error
        return value

    @model_validator(mode="before")
    @classmethod
    def _wrap_single_values(cls, values: Any) -> Any:
        lists = {name for name, field in cls.model_fields.items() if field.annotation == list[str]}
        if isinstance(values, dict):
            return {k: [v] if k in lists and isinstance(v, str) else v for k, v in values.items()}
        return values

    def model_post_init(self, context: Any) -> None:
        """A new config is Python's until `set_origins` says otherwise; copies keep the origins of their original."""
        self._origins = {name: f"--{name}" for name in self.model_fields_set if getattr(self, name) is not None}

    def set_origins(self, origins: Mapping[str, str]) -> None:
        """Record where values came from: `--flag`, or file and key, by name."""
        self._origins = dict(origins)

    def is_typed(self, name: str) -> bool:
        """Whether an option was given on the command line or in Python."""
        return self._origins.get(name, "").startswith("--")

    def is_explicit(self, name: str) -> bool:
        """Whether an option was given on the command line, in Python, or in the file of `--config`."""
        return name in self._origins and not self._origins[name].startswith(f"{PROJECT_FILE}:")

    def is_set(self, name: str) -> bool:
        """Whether an option was given anywhere, with another value than null."""
        return name in self.model_fields_set and getattr(self, name) is not None

    @classmethod
    def flags(cls) -> Mapping[str, Flag]:
        """Canonical flag name to its declaration, in the order of the help text."""
        found: dict[str, Flag] = {}
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict):
                found[field.alias or name] = extra["flag"]  # type: ignore[assignment]
        return found

    @classmethod
    def field(cls, name: str) -> FieldInfo:
        """The field behind a canonical flag name."""
        return next(info for key, info in cls.model_fields.items() if (info.alias or key) == name)

    @classmethod
    def canonical_names(cls) -> dict[str, str]:
        """Every accepted spelling of every flag to its canonical name; positional words have none."""
        names = {}
        for name, declared in cls.flags().items():
            if declared.positional:
                continue
            names.update(dict.fromkeys((name, *declared.aliases), name))
        return names
