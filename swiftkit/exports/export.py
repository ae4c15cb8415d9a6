"""`export`: make a folder to serve from a checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from swiftkit import assets, files, plugins
from swiftkit.config.export import ExportConfig
from swiftkit.errors import Problems, SwiftkitError, nearest
from swiftkit.exports import exporter
from swiftkit.exports.exporter import Order
from swiftkit.schema import DTYPE_ALIASES, DTYPES, DType
from swiftkit.training.checkpoint import Checkpoint, check_base_unchanged
from swiftkit.training.checkpoint_lookup import resolve_checkpoint

logger = logging.getLogger(__name__)
MERGED = "merged"


@dataclass(frozen=True)
class ExportResult:
    """An exported folder; `created` is false if it existed already with the same content."""

    folder: Path
    target: str
    dtype: str
    created: bool


def export(config: ExportConfig, *, problems: Problems | None = None) -> Path:
    """Export a checkpoint; returns the folder. Arguments and errors are those of `run_export`."""
    return run_export(config, problems=problems).folder


def run_export(config: ExportConfig, *, problems: Problems | None = None) -> ExportResult:
    """Export a checkpoint, unless the same export exists already.

    Args:
        config: the options.
        problems: what is wrong already; it is raised before anything else.

    Raises:
        SwiftkitError: the checkpoint cannot be used or exported, or the work failed or was interrupted.
    """
    problems = problems or Problems()
    with assets.search_path(config.registry, problems):
        checkpoint: Checkpoint | None = None
        with problems.collect():
            _check_target(config)
        with problems.collect():
            checkpoint = resolve_checkpoint(config)
        problems.raise_any()
        assert checkpoint
        target = _target(config, checkpoint)
        check_base_unchanged(checkpoint)
        order = Order(checkpoint, target, _folder(config, checkpoint, target), _dtype(config, checkpoint))
        if checkpoint.run is None:
            logger.warning("note: this checkpoint belongs to no run here, so a --system of its training is not known")
        created = exporter.run(order, overwrite=config.overwrite)
        return ExportResult(order.folder, target, order.dtype.name, created)


def _target(config: ExportConfig, checkpoint: Checkpoint) -> str:
    """The target that the options name; a full fine-tune has a default."""
    if config.to is None and not config.merge_lora:
        if checkpoint.kind == "adapter":
            raise SwiftkitError(
                "nothing to do: the checkpoint is an adapter, and no export target is chosen",
                "--merge_lora merges it into its base model",
            )
        return MERGED
    return config.to or MERGED


def _check_target(config: ExportConfig) -> None:
    """Refuse options that contradict each other, and a target that does not exist."""
    name = config.to or MERGED
    if config.merge_lora and name != MERGED:
        raise SwiftkitError(f"--merge_lora means --to {MERGED}, but --to is {name}", "use one of them")
    known = plugins.names("targets")
    if name not in known:
        raise SwiftkitError(
            f"no export target is named `{name}`",
            f"{nearest(name, known)}; a folder is named with --export_dir {name}",
        )
    plugins.get("targets", name)


def _folder(config: ExportConfig, checkpoint: Checkpoint, target: str) -> Path:
    if config.export_dir:
        return files.parse_path(config.export_dir, "--export_dir")
    trained = checkpoint.trained_path
    home = checkpoint.run.path if checkpoint.run else trained.parent
    # Not checkpoint-…: ms-swift's rotation would delete it.
    return home / f"{target}-{trained.name if checkpoint.step is None else checkpoint.step}"


def _dtype(config: ExportConfig, checkpoint: Checkpoint) -> DType:
    """What is requested, else the precision of the training, else that of the base model's files."""
    stored = checkpoint.folder.config.get("dtype") or checkpoint.folder.config.get("torch_dtype")
    trained = checkpoint.settings.dtype if checkpoint.settings else None
    choices = (config.dtype, trained, DTYPE_ALIASES.get(str(stored)))
    return DTYPES[next((choice for choice in choices if choice and choice != "auto"), "bf16")]
