"""Files and paths: paths as users type them, whole-file writes, hashes, YAML, JSON and JSON lines."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from swiftkit.errors import SwiftkitError

# --- paths ------------------------------------------------------------------------------------------------------------


def parse_path(text: str, flag: str) -> Path:
    """The path that `text` names, `~` expanded; it need not exist.

    Raises:
        SwiftkitError: no file can have this name (unknown `~user`, too long), or it must not be looked at.
    """
    try:
        path = Path(text).expanduser()
        path.exists()  # asks the operating system
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SwiftkitError(f"{flag} {text[:60]!r} is not a usable path: {reason}") from error
    return path


def display_path(path: Path) -> Path:
    """The path as a user here would type it: relative if it is below the working directory."""
    cwd = Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


# --- whole files ------------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing: under a temporary name, flushed to disk, then renamed."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def link(path: Path, target: str) -> None:
    """Point `path` at `target` by a relative symbolic link, in one rename."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(path)


def sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- hashes -----------------------------------------------------------------------------------------------------------


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(content: Any) -> str:
    """SHA-256 of a value that JSON can hold, in hex; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


# --- YAML -------------------------------------------------------------------------------------------------------------


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml where available
    """PyYAML's safe loader, for which a duplicate key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As the safe loader does."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"duplicate key `{key}`", problem_mark=node.start_mark)
        content: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return content


def read_yaml(path: Path, hint: str | None = None) -> Any:
    """The content of a YAML file.

    Raises:
        SwiftkitError: it cannot be read, is not valid YAML, or has a duplicate key.
    """
    try:
        with path.open(encoding="utf-8") as stream:  # messages of the parser name its file
            return yaml.load(stream, Loader=_UniqueKeyLoader)
    except OSError as error:
        raise SwiftkitError(f"{path} cannot be read: {error.strerror}", hint) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that does not exist
        raise SwiftkitError(f"{path} is not valid YAML: {error}", hint) from error


# --- JSON -------------------------------------------------------------------------------------------------------------


def read_object(path: Path, hint: str = "download the model again") -> dict[str, Any]:
    """The JSON object in a file; the default hint is for files of a model folder.

    Raises:
        SwiftkitError: it does not hold one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SwiftkitError(f"{path} is broken: {error}", hint) from error
    if not isinstance(content, dict):
        raise SwiftkitError(f"{path} is broken: it does not hold a JSON object", hint)
    return content


def write_json(path: Path, content: Any, *, indent: int = 1) -> None:
    """Write a JSON file, whole or not at all."""
    write(path, json.dumps(content, indent=indent, ensure_ascii=False, default=str) + "\n")


def parse_jsonl(
    lines: Iterable[str],
    on_error: Callable[[int, str], None] | None = None,
    loads: Callable[[str], Any] = json.loads,
) -> Iterator[tuple[int, Any]]:
    """Line number (from 1) and value of every line that holds JSON; blank lines are skipped.

    Args:
        lines: the lines, with or without their ends.
        on_error: called with line number and reason for every broken line; None skips those, such as a last line that
            a crash has truncated.
        loads: reads a line; raises ValueError.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = loads(line)
        except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or brackets without end
            if on_error:
                reason = (
                    f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
                )
                if "integer string conversion" in str(error):
                    reason = "a number has thousands of digits; write it as text"
                on_error(number, f"broken JSON: {reason}")
            continue
        yield number, value


def read_jsonl(path: Path, on_error: Callable[[int, str], None] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and JSON object of every line of a file that swiftkit wrote; nothing if there is no such file."""
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as stream:
            for number, value in parse_jsonl(stream, on_error):
                if isinstance(value, dict):
                    yield number, value


def to_jsonl(rows: Sequence[Any]) -> str:
    """Dictionaries or dataclasses as JSON lines."""
    contents = (row if isinstance(row, dict) else asdict(row) for row in rows)
    return "".join(json.dumps(content, ensure_ascii=False) + "\n" for content in contents)
