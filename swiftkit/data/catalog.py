"""What a dataset's name means: a file, an entry of the registry (`datasets/*.yaml`), or a hub id."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from swiftkit import assets, files
from swiftkit.data.readers import SUFFIXES, matching_files, suffix
from swiftkit.data.source import Source
from swiftkit.errors import SwiftkitError, nearest, validation_reasons
from swiftkit.models import hub

logger = logging.getLogger(__name__)
FIELDS_HINT = "docs/data.md lists the fields"


class DatasetEntry(BaseModel):
    """One `datasets/*.yaml`.

    Attributes:
        description, license: for people.
        path: the file with the rows, relative to the YAML file; else a hub id.
        modelscope, huggingface: hub ids.
        format: name of the rows' format.
        columns: what columns mean to their names in the file, as in `--columns`.
        exam: dataset with the questions that test what this one teaches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    license: str
    path: str | None = None
    modelscope: str | None = None
    huggingface: str | None = None
    format: str | None = None
    columns: dict[str, str] = {}
    exam: str | None = None


def entries() -> dict[str, DatasetEntry]:
    """Every valid dataset of the registry; the others are reported and skipped."""
    found = {}
    for name, paths in assets.candidates("datasets", ".yaml").items():
        try:
            found[name] = read_entry(assets.unique("datasets", name, paths))
        except SwiftkitError as error:
            logger.warning("skipped: %s", error)
    return found


def read_entry(path: Path) -> DatasetEntry:
    """One `datasets/*.yaml`, checked."""
    content = files.read_yaml(path, FIELDS_HINT)
    if not isinstance(content, dict):
        raise SwiftkitError(f"{path} is not a dataset entry: it has no fields", FIELDS_HINT)
    try:
        return DatasetEntry.model_validate(content)
    except ValidationError as error:
        reasons = validation_reasons(error.errors())
        raise SwiftkitError(f"{path} is not a dataset entry: {reasons}", FIELDS_HINT) from error


def exams_of(names: list[str]) -> list[str]:
    """The exams that belong to the named datasets, by their registry entries."""
    known = entries()
    plain = (name.partition("#")[0] for name in names)
    return list(dict.fromkeys(exam for name in plain if name in known and (exam := known[name].exam)))


def resolve_dataset(name: str) -> Source:
    """The source that `name` means: a file, a name of the registry, or a hub id, with or without `#n`.

    Raises:
        SwiftkitError: there is no such dataset.
    """
    try:
        name.encode()
        plain, sample = _split_sample(name)
        path = Path(plain).expanduser()
        is_file = path.is_file()
    except (OSError, UnicodeEncodeError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SwiftkitError(f"--dataset {name[:60]!r} is not a file name: {reason}") from error
    known = assets.candidates("datasets", ".yaml")
    if is_file:
        return Source(name, path, sample)
    if plain in known:
        return replace(_registered(plain, assets.unique("datasets", plain, known[plain])), name=name, sample=sample)
    if path.is_dir() or matching_files(path):
        return Source(name, path, sample)
    if plain.startswith((".", "/", "~")) or suffix(Path(plain)) in SUFFIXES:
        raise SwiftkitError(f"dataset {plain} does not exist", _similar_files(Path(plain)))
    if re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+){0,2}", plain):
        return Source(name, hub.fetch_dataset(plain), sample)
    hint = f"{nearest(plain, known)} (a file ends in {' or '.join(SUFFIXES)}, a hub id is org/name)"
    raise SwiftkitError(f"no dataset is named `{plain}`", hint)


def absolute(name: str) -> str:
    """A dataset's name with a file's path made absolute, so that it means the same from every folder."""
    is_whole_path = Path(name).expanduser().exists()
    path, hash_sign, count = name.rpartition("#") if "#" in name and not is_whole_path else (name, "", "")
    file = Path(path).expanduser()
    return f"{file.resolve()}{hash_sign}{count}" if file.exists() or matching_files(file) else name


def _split_sample(name: str) -> tuple[str, int | None]:
    plain, hash_sign, count = name.rpartition("#")
    if not hash_sign or Path(name).expanduser().exists():
        return name, None
    if not count.isdecimal() or int(count) == 0:
        raise SwiftkitError(f"dataset {name}: `#{count}` is not a number of rows", f"write {plain}#500")
    return plain, int(count)


def _registered(name: str, path: Path) -> Source:
    entry = read_entry(path)
    if entry.path:
        return Source(name, path.parent / entry.path, format=entry.format, columns=entry.columns)
    for hub_name, hub_id in (("modelscope", entry.modelscope), ("huggingface", entry.huggingface)):
        if hub_id:
            path = hub.fetch_dataset(hub_id, (hub_name,))
            return Source(name, path, format=entry.format, columns=entry.columns)
    raise SwiftkitError(f"{path} names neither a path nor a hub id", FIELDS_HINT)


def _similar_files(path: Path) -> str:
    folder = path.expanduser().parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    content = sorted(p.name for p in folder.iterdir())
    return nearest(
        path.name, content, f"the folder {folder.resolve()} contains: {', '.join(content[:10]) or 'nothing'}"
    )
