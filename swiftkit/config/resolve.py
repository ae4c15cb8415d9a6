"""From raw options to one checked config: typed beats file beats default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from swiftkit.config.fields import Config
from swiftkit.errors import Problems, SwiftkitError, validation_reason, validation_reasons

C = TypeVar("C", bound=Config)


@dataclass
class RawOptions:
    """Values before validation, with the origin of each: `--flag`, or file and key."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def over(self, weaker: RawOptions) -> RawOptions:
        """These options, and those of a weaker source for what is missing."""
        values = {**weaker.values, **self.values}
        for name, value in self.values.items():
            if isinstance(value, dict):  # options of a trainer are merged one by one
                values[name] = {**weaker.values.get(name, {}), **value}
        return RawOptions(values, {**weaker.origins, **self.origins})


def build(config: type[C], options: RawOptions, problems: Problems) -> C:
    """The checked config of `options`.

    Values of a wrong type or range are added to `problems`, named by flag or by file and key; the config that is
    returned then consists of the others, so that what depends on them can be checked as well.
    """
    values = dict(options.values)
    while True:
        try:
            built = config(**values)
        except ValidationError as error:
            invalid = set()
            for item in error.errors():  # a list has one for each of its items
                name = str(item["loc"][0]) if item["loc"] else ""
                reason = validation_reason(item["msg"])
                info = config.model_fields.get(name)
                problems.add(
                    f"{options.origins.get(name, name)}: {reason} (got {item['input']!r})",
                    info.description if info else None,
                )
                invalid.add(name)
            if not invalid & values.keys():
                raise SwiftkitError.of(problems.found) from error
            values = {name: value for name, value in values.items() if name not in invalid}
            continue
        built.set_origins({name: origin for name, origin in options.origins.items() if name in values})
        return built


def with_defaults(config: C, defaults: Mapping[str, Any]) -> C:
    """The config with `defaults` (of a registry entry) for what is not set.

    Raises:
        SwiftkitError: a default has a wrong type or range.
    """
    missing = {name: value for name, value in defaults.items() if not config.is_set(name)}
    try:
        checked = type(config)(**missing)
    except ValidationError as error:
        reasons = validation_reasons(error.errors())
        raise SwiftkitError(f"the registry's defaults for this model are invalid: {reasons}") from error
    return config.model_copy(update={name: getattr(checked, name) for name in missing})


def best_effort(config: type[C], content: Mapping[str, Any]) -> C:
    """The config in a file that may be older or edited: values that are unknown or invalid are ignored."""
    problems = Problems()
    values = {key: value for key, value in content.items() if key in config.model_fields}
    return build(config, RawOptions(values), problems)
