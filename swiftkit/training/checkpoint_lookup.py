"""What `--ckpt` means."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

from swiftkit import assets, files
from swiftkit.config.options import CheckpointOptions
from swiftkit.errors import SwiftkitError
from swiftkit.models import adapter as adapters
from swiftkit.models import registry
from swiftkit.models.adapter import Adapter
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.resolve import ORIGIN_FILE, resolve_model
from swiftkit.models.weights import load_model_folder, resolve_folder
from swiftkit.training.checkpoint import Checkpoint, Origin
from swiftkit.training.run import Run, find_run, list_runs

logger = logging.getLogger(__name__)
KINDS = ("best", "last", "base")
TRAIN_FIRST = (
    "train one with `swiftkit sft`, name a folder with --ckpt, or (for an exam) a base model with --model_type"
)


def resolve_checkpoint(options: CheckpointOptions, *, model_means_base: bool = False) -> Checkpoint:
    """The checkpoint that the options name.

    Args:
        options: `ckpt`: best, last, base, a folder, `<run>` or `<run>:best|last|base`. None means best, unless
            `model_means_base`.
        model_means_base: whether the user has named a model, and thereby its base.

    Raises:
        SwiftkitError: there is none, it is damaged, or its base model is gone or another one.
    """
    name = options.ckpt or ("base" if model_means_base else "best")
    if name == "base" and model_means_base:
        return _base_model(options, None)
    if name in KINDS:
        return _of_run(options, _newest_run(options, name), name)
    path = files.parse_path(name, "--ckpt")
    if path.is_dir():
        return _of_folder(options, path)
    run, colon, kind = name.rpartition(":")
    if colon and kind in KINDS:
        return _of_run(options, _named_run(options, run), kind)
    return _of_run(options, _named_run(options, name), "best")


def base_of(checkpoint: Checkpoint) -> Checkpoint | None:
    """The base model of a checkpoint, for a comparison; None for a base itself, or if it is gone or was changed."""
    if checkpoint.adapter:
        return replace(checkpoint, label="base", adapter=None, step=None)
    if checkpoint.is_full_finetune and checkpoint.run:
        record = checkpoint.run.read().record
        path, hashes = Path(record.model.folder), {f"model/{n}": digest for n, digest in record.sha256.items()}
    elif checkpoint.origin:
        path, hashes = checkpoint.origin.base
    else:
        return None
    try:
        model = replace(checkpoint.model, folder=path)
        folder = load_model_folder(path, model.family, trust_remote_code=checkpoint.trust_remote_code)
    except SwiftkitError:
        return None
    base = Checkpoint("base", model, folder, run=checkpoint.run, trust_remote_code=checkpoint.trust_remote_code)
    return base if all(hashes.get(name) == digest for name, digest in base.hashes.items()) else None


# --- which run --------------------------------------------------------------------------------------------------------


def _named_run(options: CheckpointOptions, name: str) -> Run:
    path = files.parse_path(name or ".", "--ckpt")
    if (path / "run.yaml").is_file():
        return Run(path.resolve())
    if path.is_file() or (path.is_dir() and name):
        raise SwiftkitError(
            f"--ckpt: {name} is not the folder of a run", "name a run, a checkpoint-N, or a merged model"
        )
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise SwiftkitError(f"--ckpt: the folder {name} does not exist", "`swiftkit runs` lists the runs")
    return find_run(files.parse_path(options.output_dir, "--output_dir"), name)


def _newest_run(options: CheckpointOptions, kind: str) -> Run:
    """The newest run (of the model that is named, if one is) with a valid checkpoint of that kind."""
    output = files.parse_path(options.output_dir, "--output_dir")
    runs = list_runs(output)
    matching = [run for run in runs if options.model_type in (None, run.path.parent.name)]
    if not matching:
        of_model = f" of {options.model_type}" if runs else ""
        raise SwiftkitError(f"there is no run{of_model} under {output.absolute()}", TRAIN_FIRST)
    for run in reversed(matching):
        if kind == "base" or (run.best() if kind == "best" else run.last()):
            return run
        if kind == "best" and (run.path / "best.json").is_file():
            logger.warning("skipped: the best checkpoint of %s is damaged", run.name)
    newest = matching[-1]
    if kind == "best" and newest.last():
        raise SwiftkitError(
            f"no run under {output.absolute()} has a valid best checkpoint (no validation, or damaged)",
            f"use the last one of the newest run: --ckpt {newest.name}:last",
        )
    raise SwiftkitError(f"no run under {output.absolute()} has saved a checkpoint", "`swiftkit runs` lists them")


# --- which of its checkpoints -----------------------------------------------------------------------------------------


def _of_run(options: CheckpointOptions, run: Run, kind: str) -> Checkpoint:
    logger.info("run: %s (%s)", run.name, run.state())
    _add_registry(run.read().config.registry)
    if kind == "base":
        return _base_model(options, run)
    if kind == "best":
        best = run.best()
        if best is None:
            is_damaged = (run.path / "best.json").is_file()
            raise SwiftkitError(
                f"run {run.name} has no best checkpoint: "
                + ("a file of it is missing or changed" if is_damaged else "there was no validation"),
                f"use --ckpt {run.name}:last" if run.last() else None,
            )
        return _trained(options, run.best_folder(best), f"best of {run.name}", run, best.step)
    last = run.last()
    if last is None:
        raise SwiftkitError(f"run {run.name} has saved no checkpoint", "`swiftkit runs` lists the others")
    return _trained(options, last, f"last of {run.name}", run, _step(last))


def _of_folder(options: CheckpointOptions, path: Path) -> Checkpoint:
    """A run's folder, a checkpoint-N, an adapter, or a complete model."""
    if (path / "run.yaml").is_file():
        return _of_run(options, Run(path.resolve()), "best")
    real = path.resolve()
    run = Run(real.parent) if (real.parent / "run.yaml").is_file() else None
    in_full_run = run is not None and run.read().config.sft_type == "full"
    if (path / adapters.CONFIG).is_file() or (in_full_run and not (path / ORIGIN_FILE).is_file()):
        if run:
            _add_registry(run.read().config.registry)
        return _trained(options, real, str(path), run, _step(real))
    if (path / "config.json").is_file():
        return _complete_model(options, path, run)
    content = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
    raise SwiftkitError(
        f"--ckpt {path} contains neither an adapter ({adapters.CONFIG}) nor a model (config.json), but {content}",
        "name a checkpoint-N, a run's folder, or a merged model",
    )


def _complete_model(options: CheckpointOptions, path: Path, run: Run | None) -> Checkpoint:
    """An exported folder, or any other model."""
    file = path / ORIGIN_FILE
    origin = Origin(files.read_object(file, "export it again")) if file.is_file() else None
    if origin:
        _add_registry(origin.registry)
    model = (_exported_model(origin, path) if origin else None) or resolve_model(options.model_type, str(path))
    folder = load_model_folder(path, model.family, trust_remote_code=options.trust_remote_code)
    return Checkpoint(
        str(path),
        model,
        folder,
        run=run,
        step=origin.step if origin else None,
        origin=origin,
        trust_remote_code=options.trust_remote_code,
    )


def _exported_model(origin: Origin, path: Path) -> ResolvedModel | None:
    """The model that an exported folder says it is, if the registry still has its family."""
    family = registry.families().get(origin.family)
    if family is None:
        return None
    name = origin.settings.model_type or path.resolve().name
    return ResolvedModel(name, family, family.models.get(name), path)


def _add_registry(folder: str | None) -> None:
    """Search the folder of `--registry` that a training used, unless the user names one now."""
    if folder and not assets.added():
        assets.add(folder)


def _trained(options: CheckpointOptions, path: Path, label: str, run: Run | None, step: int | None) -> Checkpoint:
    """What a trainer has saved: an adapter on its base, or a complete model."""
    if run and run.read().config.sft_type == "full":
        return _full_finetune(options, path, label, run, step)
    adapter = adapters.load_adapter(path)
    base = _base_model(options, run, adapter)
    adapters.check_fits(adapter, base.folder.path, base.folder.tensors)
    return replace(base, label=label, adapter=adapter, step=step)


def _full_finetune(options: CheckpointOptions, path: Path, label: str, run: Run, step: int | None) -> Checkpoint:
    """A fully fine-tuned model; it is complete, wherever its base is now."""
    file = run.read()
    family = registry.families().get(file.record.model.family)
    if family is None:
        raise SwiftkitError(
            f"{run.config_file} names no family of the registry", "name the model with --model_id_or_path"
        )
    name = file.config.model_type or run.path.parent.name
    model = ResolvedModel(name, family, family.models.get(name), path)
    folder = load_model_folder(path, family, trust_remote_code=options.trust_remote_code)
    checkpoint = Checkpoint(
        label,
        model,
        folder,
        run=run,
        step=step,
        is_full_finetune=True,
        trust_remote_code=options.trust_remote_code,
    )
    base = base_of(checkpoint)
    return replace(checkpoint, initial_model=base.folder if base else None)


def _base_model(options: CheckpointOptions, run: Run | None, adapter: Adapter | None = None) -> Checkpoint:
    """The base model: as the user names it, else as the run or the adapter does."""
    file = run.read() if run else None
    if run and file and not file.is_valid and not options.model_type:
        raise SwiftkitError(f"{run.config_file} cannot be read", "name the base model with --model_type")
    model_type, path = options.model_type, options.model_id_or_path
    if path is None and (file is not None or model_type is None):
        if file:
            model_type, path = model_type or file.config.model_type, file.config.model_id_or_path
        elif adapter:
            path = adapter.base
        if path and Path(path).is_absolute() and not Path(path).exists():
            owner = f"run {run.name}" if run else f"the adapter {adapter.path if adapter else ''}"
            raise SwiftkitError(
                f"the base model of {owner} is gone: {path}", "name its new location with --model_id_or_path FOLDER"
            )
    model = resolve_model(model_type, path)
    folder = load_model_folder(resolve_folder(model), model.family, trust_remote_code=options.trust_remote_code)
    return Checkpoint("base", model, folder, run=run, trust_remote_code=options.trust_remote_code)


def _step(checkpoint: Path) -> int | None:
    """Optimizer steps of a checkpoint folder, as the trainer recorded them."""
    state = checkpoint / "trainer_state.json"
    try:
        return int(json.loads(state.read_text(encoding="utf-8"))["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
