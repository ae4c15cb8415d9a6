"""The exported folder: when it is done already, and how it comes to be.

It is made under another name and renamed when it is whole, so a half-made one never has the final name.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from swiftkit import (
    adapters,
    child,
    companions,
    exams,
    hardware,
    model_folder,
    record,
    runs,
    weights,
)
from swiftkit.checkpoints import ORIGIN, Checkpoint
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, SwiftkitError

logger = logging.getLogger(__name__)
INDEX = "model.safetensors.index.json"
WIDTHS = {"bf16": 2, "fp16": 2, "fp32": 4}


def merge(checkpoint: Checkpoint, target: Path, dtype: str, *, overwrite: bool) -> bool:
    """Make `target` the model of a checkpoint, to be served; False when it is that already.

    Args:
        checkpoint: an adapter on its base, which are merged, or a model that was trained in full.
        target: the folder to make.
        dtype: what the weights are stored in: bf16, fp16 or fp32.
        overwrite: replace a folder that holds something else.

    Raises:
        SwiftkitError: the adapter cannot be merged, the folder exists, the disk is too small, or the work failed.
    """
    if checkpoint.adapter:
        adapters.mergeable(checkpoint.adapter)
    target = target.absolute()
    _not_over(checkpoint, target)
    key = _key(checkpoint, dtype)
    if (target.exists() or target.is_symlink()) and not _empty(target):
        if _is(target, key):
            return False
        ours = (target / ORIGIN).is_file() or not target.exists()  # or a link that leads nowhere
        if not overwrite or not ours:
            raise SwiftkitError(
                f"{target} exists and holds something else" + _held(target, key),
                ("replace it with --overwrite, or " if ours else "--overwrite replaces exports only; remove it, or ")
                + "name another folder with --export_dir",
            )
    _make(checkpoint, target, dtype, key)
    return True


def _make(checkpoint: Checkpoint, target: Path, dtype: str, key: str) -> None:
    """Make the folder under another name and give it its own when it is whole."""
    tokenizer = sum(path.stat().st_size for path in companions.copied(checkpoint.beside.path))
    size = checkpoint.folder.parameters * WIDTHS[dtype] + tokenizer + (1 << 20)
    hardware.need_disk(target, size, flag="--export_dir", what="the exported model")
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.parent / f".{target.name}.lock"
    try:
        with FileLock(lock, timeout=0):
            merged = f"merging {checkpoint.label} with {checkpoint.folder.path}"
            what = merged if checkpoint.adapter else f"writing {checkpoint.label}"
            logger.info("%s into %s, stored in %s", what, target, dtype)
            for left in target.parent.glob(f".{target.name}.partial-*"):  # of an export that was killed
                shutil.rmtree(left, ignore_errors=True)
            # A name of its own: a child that has outlived such an export must not write into this one.
            partial = target.parent / f".{target.name}.partial-{os.getpid()}"
            partial.mkdir()
            try:
                _fill(checkpoint, partial, dtype, key)
                _replace(partial, target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        raise SwiftkitError(f"another export is at work on {target}", "wait for its end") from None


def _not_over(checkpoint: Checkpoint, target: Path) -> None:
    """Refuse a target that is, or contains, what goes into it or what cannot be made again.

    Raises:
        SwiftkitError: it is.
    """
    trained = checkpoint.adapter.path if checkpoint.adapter else checkpoint.folder.path
    kept = {
        "the base model": checkpoint.before.path if checkpoint.before else checkpoint.folder.path,
        "the adapter" if checkpoint.adapter else "the trained model": trained,
        "the run": checkpoint.run.path if checkpoint.run else trained,
        "the working directory": Path.cwd(),
    }
    real = target.resolve()
    for what, path in kept.items():
        if path.resolve().is_relative_to(real):
            raise SwiftkitError(f"--export_dir {target} is or holds {what}", "name a folder of its own for the export")
    if checkpoint.run and real.parent == checkpoint.run.path.resolve() and not real.name.startswith("merged"):
        raise SwiftkitError(
            f"--export_dir {target} is inside the run's folder, where {real.name} may mean something else",
            "call it merged-…, or put it elsewhere",
        )


def _empty(target: Path) -> bool:
    return target.is_dir() and not target.is_symlink() and not any(target.iterdir())


def _key(checkpoint: Checkpoint, dtype: str) -> str:
    folder = checkpoint.beside.path
    copied = {
        path.name: runs.sha256(path)
        for path in (*companions.copied(folder), folder / companions.GENERATION)
        if path.is_file()
    }
    system = checkpoint.config.get("system")
    template = companions.chat_template(checkpoint.wanted.family.template, system)
    return exams.key({"inputs": checkpoint.hashes, "copied": copied, "dtype": dtype, "template": template})


def _is(target: Path, key: str) -> bool:
    """Whether the folder is what the key says, whole and unchanged."""
    try:
        origin = model_folder.read_object(target / ORIGIN)
        files: dict[str, str] = origin["files"]
        return bool(origin["key"] == key) and all(runs.sha256(target / name) == files[name] for name in files)
    except (SwiftkitError, OSError, KeyError, TypeError, AttributeError):
        return False


def _held(target: Path, key: str) -> str:
    try:
        origin = model_folder.read_object(target / ORIGIN)
    except (SwiftkitError, OSError):
        return ""
    if origin.get("key") == key:
        return ": this very export, but a file of it is missing or changed"
    return f": {origin.get('checkpoint')}, exported {origin.get('ended')}"


def _fill(checkpoint: Checkpoint, folder: Path, dtype: str, key: str) -> None:
    """Everything that stands in an exported folder, its origin last."""
    _weights(checkpoint, folder, dtype)
    companions.write(checkpoint, folder, dtype)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    config, base = checkpoint.config, checkpoint.folder if checkpoint.adapter else checkpoint.before
    origin = {
        "checkpoint": checkpoint.label,
        "run": str(checkpoint.run.path.resolve()) if checkpoint.run else None,
        "step": checkpoint.step,
        "base": str(base.path.resolve()) if base else None,
        "base_sha256": Checkpoint("base", checkpoint.wanted, base).hashes if base else {},
        "dtype": dtype,
        "family": checkpoint.wanted.family.name,
        "config": {name: config[name] for name in ("model_type", "dataset", "system", "instruct") if config.get(name)}
        | {"dtype": dtype},
        "key": key,
        "sha256": checkpoint.hashes,
        "files": {path.name: runs.sha256(path) for path in files},
        "versions": record.versions(),
        "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    readable = (folder / ORIGIN).stat().st_mode
    for path in folder.iterdir():
        path.chmod(readable)  # safetensors writes files that only their owner may read; a server is somebody else
        _sync(path)
    _sync(folder)


def _weights(checkpoint: Checkpoint, folder: Path, dtype: str) -> None:
    """Let a child process merge or convert the weights; the index, if there is one, gets the new size."""
    base = checkpoint.folder.path
    job = {
        "base": [str(path.resolve()) for path in weights.files(base)],
        "adapter": str(checkpoint.adapter.path.resolve()) if checkpoint.adapter else None,
        "target": str(folder.resolve()),
        "dtype": dtype,
    }
    file, log = folder / ".job.json", folder / ".merge.log"
    file.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", "swiftkit.worker.merge", str(file)]
    ended = child.run(command, log=log, events=folder / ".events", show=lambda event: None)
    said = child.last_words(log, ended)
    file.unlink()
    log.unlink()
    if ended.signal:
        code = INTERRUPTED if ended.signal == signal.SIGINT else TERMINATED
        raise SwiftkitError("interrupted: nothing was exported", exit_code=code)
    if ended.returncode:
        raise SwiftkitError(f"the export failed: {said}", exit_code=FAILED)
    if (base / INDEX).is_file():
        index = model_folder.read_object(base / INDEX)
        size = checkpoint.folder.parameters * WIDTHS[dtype]
        index["metadata"] = {**(index.get("metadata") or {}), "total_size": size}
        companions.write_json(folder / INDEX, index)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(partial: Path, target: Path) -> None:
    """Give the folder its name; what had it before goes away whole, after that."""
    former = target.parent / f".{target.name}.former"
    shutil.rmtree(former, ignore_errors=True)
    if target.exists() or target.is_symlink():
        target.rename(former)
    partial.rename(target)
    _sync(target.parent)
    if former.is_symlink() or former.is_file():
        former.unlink()
    else:
        shutil.rmtree(former, ignore_errors=True)
