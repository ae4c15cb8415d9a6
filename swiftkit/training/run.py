"""The run folder: created, read, listed. Every file that matters is written under another name and renamed."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from filelock import FileLock
from pydantic import ValidationError

from swiftkit import files
from swiftkit.chat import template
from swiftkit.chat.template import Template
from swiftkit.config.resolve import best_effort
from swiftkit.config.sft import SftConfig
from swiftkit.errors import SwiftkitError, unknown
from swiftkit.schema import Example
from swiftkit.system import events
from swiftkit.system.events import Started
from swiftkit.training.record import BestManifest, RunRecord

_VERSION = re.compile(r"v(\d+)-\d{8}-\d{6}$")
_END_STATES = ("finished", "failed", "interrupted", "crashed")
# Only needed to resume training. `best` is for use, and these are most of a checkpoint's bytes, or pickles.
_TRAINING_STATE = (
    *("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth", "training_args.bin"),
    *("global_step*", "latest", "zero_to_fp32.py"),  # DeepSpeed's
)


@dataclass(frozen=True)
class RunFile:
    """The content of run.yaml: the config as used, and the record; `is_valid` is false if it cannot be read."""

    config: SftConfig
    record: RunRecord
    is_valid: bool = True


@dataclass(frozen=True)
class Run:
    """One run, by its folder."""

    path: Path

    @property
    def name(self) -> str:
        """`<model>/v0-<date>-<time>`."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def config_file(self) -> Path:
        """run.yaml: the config as used, and the record."""
        return self.path / "run.yaml"

    @property
    def events(self) -> Path:
        """events.jsonl, append-only."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the trainer printed."""
        return self.path / "swift.log"

    @property
    def template_file(self) -> Path:
        """The chat template that it was trained with, with generation tags."""
        return self.path / "template.jinja"

    @property
    def curves(self) -> Path:
        """Picture of the losses."""
        return self.path / "curves.png"

    def data(self, part: str) -> Path:
        """The rows that were trained (`train`) or validated on (`validation`), as JSON lines."""
        return self.path / "data" / f"{part}.jsonl"

    def read(self) -> RunFile:
        """Config and record; defaults for what cannot be read, so that one broken run does not hide the others."""
        try:
            content = files.read_yaml(self.config_file)
            config, record = content["config"], content["record"] or {}
            if "swift" in config:  # its name before there were other trainers
                config["trainer_options"] = config.pop("swift")
            return RunFile(best_effort(SftConfig, config), RunRecord.model_validate(record))
        except (SwiftkitError, ValidationError, TypeError, KeyError, AttributeError):
            return RunFile(SftConfig(), RunRecord(), is_valid=False)

    def best(self, *, quick: bool = False) -> BestManifest | None:
        """The content of best.json, if the best checkpoint is complete; None if there is none.

        With `quick`, it is only checked that the files exist, without reading them.
        """
        try:
            best = BestManifest.model_validate_json((self.path / "best.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        folder = self.best_folder(best)
        digests = {folder / name: digest for name, digest in best.sha256.items()}
        complete = all(path.is_file() and (quick or files.sha256(path) == digest) for path, digest in digests.items())
        return best if complete and digests else None

    def best_folder(self, best: BestManifest) -> Path:
        """Its files. Not through the link `best`, which is one step ahead if a process dies between the two renames."""
        return self.path / f".best-{best.step}"

    def last(self) -> Path | None:
        """The newest checkpoint folder; None if nothing was saved."""
        link = self.path / "last"
        return self.path / link.readlink() if link.is_symlink() and link.is_dir() else None

    def template(self, name: str) -> Template | None:
        """The chat template that it was trained with; None for a run that did not keep it.

        Raises:
            SwiftkitError: its file was changed.
        """
        if not self.template_file.is_file():
            return None
        if files.sha256(self.template_file) != self.read().record.sha256.get("template"):
            raise SwiftkitError(
                f"{self.template_file} was changed after the training, so the model would see other tokens",
                "restore the file, or train again",
            )
        return template.compile(self.template_file.read_text(encoding="utf-8"), name)

    def examples(self, part: str = "train") -> list[Example]:
        """The conversations that it kept, `train` or `validation`, with prompts as trained; plain text is left out.

        Raises:
            SwiftkitError: the file is broken.
        """
        path = self.data(part)

        def refuse(number: int, reason: str) -> None:
            raise SwiftkitError(f"{path}:{number}: {reason}", "the run's folder was changed")

        examples = []
        for number, row in files.read_jsonl(path, refuse):
            try:
                if "messages" in row:
                    examples.append(Example(tuple(row["messages"]), row["source"], type=row.get("type")))
            except (TypeError, KeyError) as error:
                refuse(number, f"broken row: {error}")
        return examples

    def state(self) -> str:
        """`running`, `finished`, `failed`, `interrupted`, or `crashed` (it ended without saying so).

        Once a run has ended, its record has the state; before that, or if swiftkit was killed, its events have it.
        """
        if (recorded := self.read().record.state) in _END_STATES:
            return recorded
        reported = events.effective(events.read(self.events))
        if end := events.last_end(reported):
            return end.name
        return "running" if any(isinstance(event, Started) and _is_alive(event) for event in reported) else "crashed"


def create_run(output: Path, model: str) -> Run:
    """A new folder `<output>/<model>/v<N>-<date>-<time>`; N is one more than the highest number there."""
    parent = output / model
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / ".lock"):  # two runs that start at once must not see the same highest number
        numbers = [int(m[1]) for p in parent.iterdir() if (m := _VERSION.match(p.name))]
        path = parent / f"v{max(numbers, default=-1) + 1}-{datetime.now():%Y%m%d-%H%M%S}"
        path.mkdir()
    return Run(path)


def list_runs(output: Path) -> list[Run]:
    """Every run under `output`, oldest first."""
    if not output.is_dir():
        return []
    found = [p for p in output.glob("*/v*") if _VERSION.match(p.name) and (p / "run.yaml").is_file()]
    return [Run(path) for path in sorted(found, key=lambda p: p.name.partition("-")[2])]


def find_run(output: Path, name: str) -> Run:
    """The run with that name: a folder, `<model>/v0-…`, or a prefix of `v0-…` that only one run has.

    Raises:
        SwiftkitError: none or several.
    """
    if (Path(name) / "run.yaml").is_file():
        return Run(Path(name))
    runs = list_runs(output)
    matching = [run for run in runs if name in (run.name, run.path.name)]
    matching = matching or [run for run in runs if run.path.name.startswith(f"{name}-")]  # v1 is not v10
    matching = matching or [run for run in runs if run.name.startswith(name) or run.path.name.startswith(name)]
    if len(matching) > 1:
        names = ", ".join(run.name for run in matching)
        raise SwiftkitError(f"`{name}` matches {len(matching)} runs: {names}", "use a longer name")
    if not matching:
        raise unknown("run", name, [run.name for run in runs], f"there are none under {output}" if not runs else None)
    return matching[0]


def save_best(run: Path, checkpoint: Path, step: int, value: float, metric: str = "eval_loss") -> None:
    """Make `checkpoint` the best one: first a copy, then the link, then best.json; the former best is deleted last.

    Args:
        run: the run folder.
        checkpoint: what the trainer has just saved.
        step: its optimizer steps.
        value: its `metric` on the validation rows.
    """
    target = run / f".best-{step}"
    partial = run / f".best-{step}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial, ignore=shutil.ignore_patterns(*_TRAINING_STATE))
    digests = {}
    for file in sorted(p for p in partial.rglob("*") if p.is_file()):
        digests[str(file.relative_to(partial))] = files.sha256(file)
        files.sync(file)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    files.link(run / "best", target.name)
    best = BestManifest(step=step, value=value, metric=metric, sha256=digests)
    files.write_json(run / "best.json", best.model_dump())
    for former in run.glob(".best-*"):
        if former != target:
            shutil.rmtree(former, ignore_errors=True)


def _is_alive(started: Started) -> bool:
    try:
        return bool(abs(psutil.Process(started.pid).create_time() - started.pid_started) < 2)
    except psutil.Error:
        return False
