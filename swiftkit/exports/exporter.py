"""Atomic exports: whether one exists already, and how a folder is made under another name and renamed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from swiftkit import files, plugins
from swiftkit.errors import SwiftkitError
from swiftkit.exports import artifacts
from swiftkit.models.resolve import ORIGIN_FILE
from swiftkit.schema import DType
from swiftkit.system import estimates
from swiftkit.system.versions import versions
from swiftkit.training.checkpoint import Checkpoint
from swiftkit.training.checkpoint_lookup import base_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What to export: a checkpoint, to which target, into which folder, stored in which precision."""

    checkpoint: Checkpoint
    target: str
    folder: Path
    dtype: DType

    @property
    def key(self) -> str:
        """Hash of everything that the export depends on, except for the target."""
        checkpoint = self.checkpoint
        source = checkpoint.aux_source.path
        paths = (*artifacts.copied_files(source), source / artifacts.GENERATION)
        template = artifacts.served_template(checkpoint.context.template, artifacts.system_prompt(checkpoint))
        return files.digest(
            {
                "inputs": checkpoint.hashes,
                "copied": {path.name: files.sha256(path) for path in paths if path.is_file()},
                "dtype": self.dtype.name,
                "template": template,
            }
        )


def run(order: Order, *, overwrite: bool) -> bool:
    """Make the folder of an order; False if it holds exactly that already.

    Args:
        order: what to export.
        overwrite: replace an earlier export.

    Raises:
        SwiftkitError: the checkpoint cannot be exported, the folder exists, the disk is too small, or the work failed.
    """
    if check := getattr(plugins.module("targets", order.target), "check", None):
        check(order.checkpoint)
    folder = order.folder.absolute()
    _refuse_inputs(order)
    key = order.key
    if (folder.exists() or folder.is_symlink()) and not _is_empty(folder):
        if _is_complete(folder, order.target, key):
            return False
        is_export = (folder / ORIGIN_FILE).is_file() or not folder.exists()  # or a link to nothing
        if not overwrite or not is_export:
            fix = "replace it with --overwrite" if is_export else "--overwrite replaces exports only; remove it"
            raise SwiftkitError(
                f"{folder} exists and holds something else" + _describe(folder, key),
                f"{fix}, or name another folder with --export_dir",
            )
    _make(order, folder, key)
    return True


def _make(order: Order, folder: Path, key: str) -> None:
    """Make the folder under another name, and rename it when it is complete."""
    checkpoint = order.checkpoint
    estimates.require_disk(folder, _num_bytes(order), flag="--export_dir", what="the export")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        logger.info("exporting %s to %s (%s, %s)", checkpoint.label, folder, order.target, order.dtype)
        for leftover in folder.parent.glob(f".{folder.name}.partial-*"):  # of an export that was killed or failed
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        # A name of its own: a child process that has outlived such an export must not write into this one.
        partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
        partial.mkdir()
        try:
            plugins.get("targets", order.target)(checkpoint, partial, order.dtype)
            _write_origin(order, partial, key)
            _rename(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    lock = folder.parent / f".{folder.name}.lock"
    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        raise SwiftkitError(f"another export is writing {folder}", "wait until it ends") from None


def _num_bytes(order: Order) -> int:
    checkpoint = order.checkpoint
    if num_bytes := getattr(plugins.module("targets", order.target), "num_bytes", None):
        return int(num_bytes(checkpoint, order.dtype))
    tokenizer = sum(path.stat().st_size for path in artifacts.copied_files(checkpoint.aux_source.path))
    return checkpoint.folder.parameters * order.dtype.num_bytes + tokenizer + estimates.MEBIBYTE


def _refuse_inputs(order: Order) -> None:
    """Refuse a folder that is, or contains, an input of the export or something that cannot be recreated.

    Raises:
        SwiftkitError: it is.
    """
    checkpoint, folder = order.checkpoint, order.folder
    trained = checkpoint.trained_path
    protected = {
        "the base model": checkpoint.initial_model.path if checkpoint.initial_model else checkpoint.folder.path,
        "the adapter" if checkpoint.adapter else "the trained model": trained,
        "the run": checkpoint.run.path if checkpoint.run else trained,
        "the working directory": Path.cwd(),
    }
    real = folder.absolute().resolve()
    for what, path in protected.items():
        if path.resolve().is_relative_to(real):
            raise SwiftkitError(f"--export_dir {folder} is or contains {what}", "name a separate folder for the export")
    in_run = checkpoint.run and real.parent == checkpoint.run.path.resolve()
    if in_run and not real.name.startswith(order.target):
        raise SwiftkitError(
            f"--export_dir {folder} is in the run's folder, where {real.name} may mean something else",
            f"name it {order.target}-…, or put it elsewhere",
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _is_complete(folder: Path, target: str, key: str) -> bool:
    """Whether the folder is the export to that target with that key, complete and unchanged."""
    try:
        origin = files.read_object(folder / ORIGIN_FILE)
        digests: dict[str, str] = origin["files"]
        # Earlier versions had one target, and did not record it.
        return (
            bool(origin["key"] == key)
            and origin.get("target", "merged") == target
            and all(files.sha256(folder / name) == digest for name, digest in digests.items())
        )
    except (SwiftkitError, OSError, KeyError, TypeError, AttributeError):
        return False


def _describe(folder: Path, key: str) -> str:
    """What a folder holds, if it is an export."""
    try:
        origin = files.read_object(folder / ORIGIN_FILE)
    except (SwiftkitError, OSError):
        return ""
    if origin.get("key") == key:
        return ": this very export, but a file of it is missing or changed"
    return f": {origin.get('checkpoint')}, exported {origin.get('ended')}"


def _write_origin(order: Order, folder: Path, key: str) -> None:
    """swiftkit.json: what the export was made from; then flush everything to disk."""
    checkpoint = order.checkpoint
    base, settings = base_of(checkpoint), checkpoint.settings
    config = {
        "model_type": settings.model_type if settings else None,
        "dataset": list(settings.dataset) if settings else [],
        "system": settings.system if settings else None,
        "instruct": settings.instruct if settings else None,
        "registry": checkpoint.run.read().config.registry if checkpoint.run else None,
        "dtype": order.dtype.name,
    }
    template = checkpoint.context.template
    origin = {
        "target": order.target,
        "checkpoint": checkpoint.label,
        "run": str(checkpoint.run.path.resolve()) if checkpoint.run else None,
        "step": checkpoint.step,
        "base": str(base.folder.path.resolve()) if base else None,
        "base_sha256": base.hashes if base else {},
        "dtype": order.dtype.name,
        "family": checkpoint.model.family.name,
        "template": {"name": template.name, "text": template.source},
        "config": {name: value for name, value in config.items() if value},
        "key": key,
        "sha256": checkpoint.hashes,
        "files": {
            str(path.relative_to(folder)): files.sha256(path)
            for path in sorted(path for path in folder.rglob("*") if path.is_file())
        },
        "versions": versions(),
        "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    files.write_json(folder / ORIGIN_FILE, origin)
    readable = (folder / ORIGIN_FILE).stat().st_mode
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(readable)  # safetensors writes files that only their owner may read; a server is another user
        files.sync(path)
    files.sync(folder)


def _rename(partial: Path, folder: Path) -> None:
    """Give the folder its name; what had the name before is deleted after that."""
    former = folder.parent / f".{folder.name}.former"
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists() or folder.is_symlink():
        folder.rename(former)
    partial.rename(folder)
    files.sync(folder.parent)
    if former.is_symlink() or former.is_file():
        former.unlink()
    else:
        shutil.rmtree(former, ignore_errors=True)
