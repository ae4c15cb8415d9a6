"""How a command declares its options: a flag is a field, its help lives on the field, its aliases too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Flag:
    """What the command line shows of a field, beside its type and default."""

    group: str
    aliases: tuple[str, ...] = ()
    default: str | None = None  # shown instead of the field's default where that is worked out later
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


def kind(info: FieldInfo) -> Any:
    """What a field holds: bool, int, float, str, list or a Literal; `X | None` counts as X."""
    inner = get_args(info.annotation)
    wanted = next(t for t in inner if t is not type(None)) if type(None) in inner else info.annotation
    return list if get_origin(wanted) is list else wanted


class Config(BaseModel):
    """Base of every command's options: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
    # What names of swiftkit.yaml mean to this command, where it is not the same; empty: nothing.
    in_project_file: ClassVar[Mapping[str, str]] = {}

    registry: str | None = flag(
        None,
        "Folder with more `registry/`, `templates/`, `datasets/`, as under $SWIFTKIT_HOME.",
        "Output",
        metavar="FOLDER",
        shown="none",
    )
    json_: bool = flag(
        False, "Print the result as one JSON object.", "Output", alias="json", exclude=True, shown="false"
    )

    @field_validator("*", mode="after")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError as error:
                    raise ValueError("must be UTF-8") from error
        return value

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, given: Any) -> Any:
        lists = {name for name, field in cls.model_fields.items() if field.annotation == list[str]}
        if isinstance(given, dict):
            return {k: [v] if k in lists and isinstance(v, str) else v for k, v in given.items()}
        return given

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
    def canonical(cls) -> dict[str, str]:
        """Every accepted spelling of every flag to its canonical name."""
        names = {}
        for name, declared in cls.flags().items():
            names.update(dict.fromkeys((name, *declared.aliases), name))
        return names
