"""What `--ckpt` means: a base model, an adapter of a run or of a folder, a merged or fully trained model."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from swiftkit import adapters, assets, model_folder, models, paths, runs, weights
from swiftkit.adapters import Adapter
from swiftkit.config import CheckpointOptions
from swiftkit.errors import SwiftkitError
from swiftkit.runs import Run

logger = logging.getLogger(__name__)
KINDS = ("best", "last", "base")
ORIGIN = "swiftkit.json"  # in a merged folder: what it was made of
TRAIN_FIRST = "train one with `swiftkit sft`, or name a base model with --model_type"


@dataclass(frozen=True)
class Checkpoint:
    """Weights to examine or to ship.

    Attributes:
        label: how a person calls it: `best of tiny-math/v0-…`, `base`, a folder.
        wanted: the model's family and name.
        folder: the model that stands alone: the base, or a merged or fully trained model.
        adapter: what was trained on top of it, if it was.
        run: the run that it belongs to, if any.
        step: optimizer steps behind it, where known.
        origin: of a merged model, what it was made of.
        full: whether all weights of `folder` were trained in the run.
        before: of such a one, the model that it began as, where that is still here.
    """

    label: str
    wanted: models.Wanted
    folder: weights.Folder
    adapter: Adapter | None = None
    run: Run | None = None
    step: int | None = None
    origin: dict[str, Any] | None = None
    full: bool = False
    before: weights.Folder | None = None

    @property
    def beside(self) -> weights.Folder:
        """Whose tokenizer, licence and configs belong to the weights: the base's, where it is known."""
        return self.before or self.folder

    @property
    def kind(self) -> str:
        """`base`, `adapter`, `merged` or `full`."""
        return "adapter" if self.adapter else "merged" if self.origin else "full" if self.full else "base"

    @cached_property
    def config(self) -> dict[str, Any]:
        """How it was trained: the config of its run, or what the merged folder tells of it; else empty."""
        if self.run:
            return dict(self.run.declared()["config"])
        config = (self.origin or {}).get("config")
        return dict(config) if isinstance(config, dict) else {}

    @cached_property
    def hashes(self) -> dict[str, str]:
        """File name to sha256 of everything that its answers hang on."""
        found = {f"model/{p.name}": _digest(p) for p in sorted(self.folder.path.glob("*.safetensors"))}
        found["model/config.json"] = _digest(self.folder.path / "config.json")
        for name in (adapters.WEIGHTS, adapters.CONFIG) if self.adapter else ():
            assert self.adapter
            found[f"adapter/{name}"] = _digest(self.adapter.path / name)
        return found


@cache
def _digest(path: Path) -> str:
    """sha256 of a file; once per command, since base and adapter share gigabytes."""
    return runs.sha256(path)


def find(options: CheckpointOptions, *, named: bool = False) -> Checkpoint:
    """The checkpoint that the options mean.

    Args:
        options: `ckpt`: best, last, base, a folder, `<run>` or `<run>:best|last|base`; None means base where `named`
            says that a model was asked for, else best.
        named: whether the user has named a model on the command line.

    Raises:
        SwiftkitError: there is none, it is damaged, or its base model is gone or another one.
    """
    asked = options.ckpt or ("base" if named else "best")
    if asked == "base" and named:
        return _model(options, None)
    if asked in KINDS:
        return _of_run(options, _newest(options, asked), asked)
    path = paths.typed(asked, "--ckpt")
    if path.is_dir():
        return _of_folder(options, path)
    name, colon, kind = asked.rpartition(":")
    if colon and kind in KINDS:
        return _of_run(options, _run(options, name), kind)
    return _of_run(options, _run(options, asked), "best")


def _run(options: CheckpointOptions, name: str) -> Run:
    path = paths.typed(name or ".", "--ckpt")
    if (path / "run.yaml").is_file():
        return Run(path.resolve())
    if path.is_file() or (path.is_dir() and name):
        raise SwiftkitError(f"--ckpt: {name} is no run's folder", "name a run, a checkpoint-N, or a merged model")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise SwiftkitError(f"--ckpt: the folder {name} does not exist", "`swiftkit runs` lists the runs")
    return runs.find(paths.typed(options.output_dir, "--output_dir"), name)


def _newest(options: CheckpointOptions, kind: str) -> Run:
    output = paths.typed(options.output_dir, "--output_dir")
    listed = runs.listed(output)
    fitting = [r for r in listed if options.model_type in (None, r.path.parent.name)]
    if not fitting:
        of = f" of {options.model_type}" if listed else ""
        raise SwiftkitError(f"there is no run{of} under {output.absolute()}", TRAIN_FIRST)
    for run in reversed(fitting):
        if kind == "base" or (run.best() if kind == "best" else run.last()):
            return run
        if kind == "best" and (run.path / "best.json").is_file():
            logger.warning("passed over: the best checkpoint of %s is damaged", run.name)
    newest = fitting[-1]
    if kind == "best" and newest.last():
        raise SwiftkitError(
            f"no run under {output.absolute()} has a valid best checkpoint (nothing was validated, or it is damaged)",
            f"take the last one of the newest run: --ckpt {newest.name}:last",
        )
    raise SwiftkitError(f"no run under {output.absolute()} has saved a checkpoint", "`swiftkit runs` lists them")


def _of_run(options: CheckpointOptions, run: Run, kind: str) -> Checkpoint:
    logger.info("run: %s (%s)", run.name, runs.state(run))
    _with_registry(run.declared()["config"])
    if kind == "base":
        return _model(options, run)
    if kind == "best":
        best = run.best()
        if best is None:
            damaged = (run.path / "best.json").is_file()
            last = f"take --ckpt {run.name}:last" if run.last() else None
            raise SwiftkitError(
                f"run {run.name} has no best checkpoint: "
                + ("a file of it is missing or changed" if damaged else "nothing was validated"),
                last,
            )
        return _trained(options, run.path / f".best-{best['step']}", f"best of {run.name}", run, best["step"])
    last_saved = run.last()
    if last_saved is None:
        raise SwiftkitError(f"run {run.name} has saved no checkpoint", "`swiftkit runs` lists the others")
    return _trained(options, last_saved, f"last of {run.name}", run, _step(last_saved))


def _of_folder(options: CheckpointOptions, path: Path) -> Checkpoint:
    if (path / "run.yaml").is_file():
        return _of_run(options, Run(path.resolve()), "best")
    real = path.resolve()
    run = Run(real.parent) if (real.parent / "run.yaml").is_file() else None
    of_full = run is not None and run.declared()["config"].get("sft_type") == "full" and not (path / ORIGIN).is_file()
    if (path / adapters.CONFIG).is_file() or of_full:
        return _trained(options, real, str(path), run, _step(real))
    if (path / "config.json").is_file():
        return _whole(options, path)
    held = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
    raise SwiftkitError(
        f"--ckpt {path} holds neither an adapter ({adapters.CONFIG}) nor a model (config.json), but {held}",
        "name a checkpoint-N, a run's folder, or a merged model",
    )


def _whole(options: CheckpointOptions, path: Path) -> Checkpoint:
    origin = model_folder.read_object(path / ORIGIN, "export it again") if (path / ORIGIN).is_file() else None
    _with_registry((origin or {}).get("config"))
    wanted = _origins(origin or {}, path) or models.find(options.model_type, str(path))
    folder = weights.inspect(path, wanted.family, trust_remote_code=options.trust_remote_code)
    run = Run(path.resolve().parent) if (path.resolve().parent / "run.yaml").is_file() else None
    step = (origin or {}).get("step")
    return Checkpoint(str(path), wanted, folder, run=run, step=step if isinstance(step, int) else None, origin=origin)


def _with_registry(config: Any) -> None:
    """Search the folder of `--registry` that a training was given, unless the user names one now."""
    if isinstance(config, dict) and config.get("registry") and not os.environ.get(assets.ADDED):
        assets.add(str(config["registry"]))


def _origins(origin: dict[str, Any], path: Path) -> models.Wanted | None:
    """The model that a merged folder says it is, where the registry still has its family."""
    family = models.families().get(str(origin.get("family")))
    if family is None:
        return None
    config = origin.get("config")
    name = str((config.get("model_type") if isinstance(config, dict) else None) or path.resolve().name)
    return models.Wanted(name, family, family.models.get(name), path)


def _trained(options: CheckpointOptions, path: Path, label: str, run: Run | None, step: int | None) -> Checkpoint:
    """What ms-swift has saved: an adapter on its base, or a whole model."""
    if run and run.declared()["config"].get("sft_type") == "full":
        return _full(options, path, label, run, step)
    adapter = adapters.inspect(path)
    base = _model(options, run, adapter)
    adapters.check(adapter, base.folder.path, base.folder.tensors)
    return Checkpoint(label, base.wanted, base.folder, adapter, run, step)


def _full(options: CheckpointOptions, path: Path, label: str, run: Run, step: int | None) -> Checkpoint:
    """A model that was trained in full; it stands alone, wherever its base is now."""
    declared = run.declared()
    family = models.families().get(str(declared["record"].get("model", {}).get("family")))
    if family is None:
        raise SwiftkitError(f"{run.config} names no family of the registry", "name the model with --model_id_or_path")
    name = str(declared["config"].get("model_type") or run.path.parent.name)
    wanted = models.Wanted(name, family, family.models.get(name), path)
    folder = weights.inspect(path, family, trust_remote_code=options.trust_remote_code)
    before = base(Checkpoint(label, wanted, folder, run=run, full=True), options)
    return Checkpoint(label, wanted, folder, run=run, step=step, full=True, before=before.folder if before else None)


def _model(options: CheckpointOptions, run: Run | None, adapter: Adapter | None = None) -> Checkpoint:
    """The base model: as the user names it, else as the run or the adapter has it."""
    config = run.declared()["config"] if run else {}
    if run and not config and not options.model_type:
        raise SwiftkitError(f"{run.config} cannot be read", "name the base model with --model_type")
    model_type, path = options.model_type, options.model_id_or_path
    if path is None and (run is not None or model_type is None):
        model_type = model_type or config.get("model_type")
        path = config.get("model_id_or_path")
        if run is None and adapter:
            path = adapter.base
        if path and Path(path).is_absolute() and not Path(path).exists():
            whose = f"run {run.name}" if run else f"the adapter {adapter.path if adapter else ''}"
            raise SwiftkitError(
                f"the base model of {whose} is gone: {path}", "name where it is now with --model_id_or_path FOLDER"
            )
    wanted = models.find(model_type, path)
    folder = weights.inspect(weights.locate(wanted), wanted.family, trust_remote_code=options.trust_remote_code)
    return Checkpoint("base", wanted, folder, run=run)


def same_base(checkpoint: Checkpoint) -> None:
    """Refuse a base whose files have changed since the run was trained on it.

    Raises:
        SwiftkitError: they have; says which one.
    """
    if checkpoint.run is None or checkpoint.kind in ("merged", "full"):
        return
    recorded = checkpoint.run.declared()["record"].get("sha256", {})
    for name, digest in checkpoint.hashes.items():
        folder, _, file = name.partition("/")
        if folder == "model" and file in recorded and recorded[file] != digest:
            raise SwiftkitError(
                f"{checkpoint.folder.path / file} is not the file that {checkpoint.run.name} was trained on",
                "an adapter belongs to exactly one base model; name that one with --model_id_or_path",
            )


def _step(checkpoint: Path) -> int | None:
    """Optimizer steps behind a checkpoint folder, as the trainer has written them down."""
    state = checkpoint / "trainer_state.json"
    try:
        return int(json.loads(state.read_text(encoding="utf-8"))["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def base(checkpoint: Checkpoint, options: CheckpointOptions) -> Checkpoint | None:
    """The base model behind a checkpoint, for a comparison; None for a base itself, or where it is not here."""
    if checkpoint.adapter:
        return Checkpoint("base", checkpoint.wanted, checkpoint.folder, run=checkpoint.run)
    if checkpoint.full and checkpoint.run:
        record = checkpoint.run.declared()["record"]
        path = record.get("model", {}).get("folder")
        hashes = {f"model/{name}": digest for name, digest in record.get("sha256", {}).items()}
    elif checkpoint.origin:
        path, hashes = checkpoint.origin.get("base"), checkpoint.origin.get("base_sha256") or {}
        hashes = hashes or checkpoint.origin.get("sha256") or {}  # an export of before there was another key
    else:
        return None
    try:
        wanted = replace(checkpoint.wanted, folder=Path(str(path)))
        folder = weights.inspect(Path(str(path)), wanted.family, trust_remote_code=options.trust_remote_code)
    except SwiftkitError:
        return None
    found = Checkpoint("base", wanted, folder, run=checkpoint.run)
    return found if all(hashes.get(name) == digest for name, digest in found.hashes.items()) else None
