"""The run folder: made, filled, listed. Every file is written under another name and renamed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from swiftkit import events
from swiftkit.errors import SwiftkitError, unknown

_VERSION = re.compile(r"v(\d+)-\d{8}-\d{6}$")
# What only a resumed training needs. `best` is for use, and these are most of a checkpoint's bytes, or pickles.
_TRAINING_STATE = (
    *("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth", "training_args.bin"),
    *("global_step*", "latest", "zero_to_fp32.py"),  # DeepSpeed's
)


@dataclass(frozen=True)
class Run:
    """One run, by its folder."""

    path: Path

    @property
    def name(self) -> str:
        """`<model>/v0-<date>-<time>`."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def config(self) -> Path:
        """run.yaml: the config as used, and the record of what became of it."""
        return self.path / "run.yaml"

    @property
    def events(self) -> Path:
        """events.jsonl, append-only."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What ms-swift printed."""
        return self.path / "swift.log"

    def declared(self) -> dict[str, Any]:
        """run.yaml's content: `config` and `record`."""
        try:
            content = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):  # somebody's edit; the other runs are still to be listed
            content = None
        kept = content if isinstance(content, dict) else {}
        return {key: value if isinstance(value := kept.get(key), dict) else {} for key in ("config", "record")}

    def best(self, *, quick: bool = False) -> dict[str, Any] | None:
        """best.json's content, if the best checkpoint is whole; None when there is none.

        `quick` looks whether the files are there, and does not read them.
        """
        file = self.path / "best.json"
        if not file.is_file():
            return None
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            # Not through the link: killed between the two renames, the link is one ahead of best.json.
            folder = self.path / f".best-{content['step']}"
            digests = {folder / name: digest for name, digest in content["sha256"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        whole = all(path.is_file() and (quick or sha256(path) == digest) for path, digest in digests.items())
        return content if whole else None

    def last(self) -> Path | None:
        """The newest checkpoint folder; None when nothing was saved."""
        link = self.path / "last"
        return self.path / link.readlink() if link.is_symlink() and link.is_dir() else None


def create(output: Path, model: str) -> Run:
    """A new folder `<output>/<model>/v<N>-<date>-<time>`; N is one more than the highest there."""
    parent = output / model
    parent.mkdir(parents=True, exist_ok=True)
    # Two runs that start at once must not see the same highest number.
    with FileLock(parent / ".lock"):
        numbers = [int(m[1]) for p in parent.iterdir() if (m := _VERSION.match(p.name))]
        path = parent / f"v{max(numbers, default=-1) + 1}-{datetime.now():%Y%m%d-%H%M%S}"
        path.mkdir()
    return Run(path)


def listed(output: Path) -> list[Run]:
    """Every run under `output`, oldest first."""
    if not output.is_dir():
        return []
    found = [p for p in output.glob("*/v*") if _VERSION.match(p.name) and (p / "run.yaml").is_file()]
    return [Run(path) for path in sorted(found, key=lambda p: p.name.partition("-")[2])]


def find(output: Path, name: str) -> Run:
    """The run of that name: a folder, `<model>/v0-…`, or a beginning of `v0-…` that only one run has.

    Raises:
        SwiftkitError: none or several.
    """
    if (Path(name) / "run.yaml").is_file():
        return Run(Path(name))
    runs = listed(output)
    fitting = [run for run in runs if name in (run.name, run.path.name)]
    fitting = fitting or [run for run in runs if f"{name}-" == run.path.name[: len(name) + 1]]  # v1 is not v10
    fitting = fitting or [run for run in runs if run.name.startswith(name) or run.path.name.startswith(name)]
    if len(fitting) > 1:
        raise SwiftkitError(f"`{name}` fits {len(fitting)} runs: {', '.join(r.name for r in fitting)}", "say which")
    if not fitting:
        raise unknown("run", name, [run.name for run in runs], f"there are none under {output}" if not runs else None)
    return fitting[0]


def state(run: Run) -> str:
    """`running`, `finished`, `failed`, `interrupted`, or `died` (it ended without saying so)."""
    last = next((e for e in reversed(list(events.read(run.events))) if e["event"] in events.ENDS), None)
    if last:
        return str(last["event"])
    first = next(events.read(run.events), None)
    return "running" if first and _alive(first) else "died"


def _alive(started: events.Event) -> bool:
    import psutil

    try:
        process = psutil.Process(started["pid"])
        return bool(abs(process.create_time() - started["pid_started"]) < 2)
    except (psutil.Error, KeyError):
        return False


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing: under a temporary name, flushed to the disk, then renamed."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def link(path: Path, target: str) -> None:
    """Make `path` a relative link to `target`, in one rename."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(path)


def sha256(path: Path) -> str:
    """Hash of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def keep_best(run: Path, checkpoint: Path, step: int, value: float, metric: str = "eval_loss") -> None:
    """Make `checkpoint` the best one: a copy of its own, then best.json, then the link; the former best goes last.

    Args:
        run: the run folder.
        checkpoint: what ms-swift has just saved.
        step: optimizer steps behind it.
        value: its `metric` on the validation rows.
    """
    target = run / f".best-{step}"
    partial = run / f".best-{step}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial, ignore=shutil.ignore_patterns(*_TRAINING_STATE))
    digests = {}
    for file in sorted(p for p in partial.rglob("*") if p.is_file()):
        digests[str(file.relative_to(partial))] = sha256(file)
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    link(run / "best", target.name)
    record = {"step": step, "metric": metric, "value": value, "sha256": digests}
    write(run / "best.json", json.dumps(record, indent=1) + "\n")
    for former in run.glob(".best-*"):
        if former != target:
            shutil.rmtree(former, ignore_errors=True)
