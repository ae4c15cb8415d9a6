"""`swiftkit export`: a folder to serve: an adapter merged into a copy of its base, or a model trained in full."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from swiftkit import checkpoints, merging, paths
from swiftkit.checkpoints import Checkpoint
from swiftkit.config import ExportConfig
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.flags import Given, build

logger = logging.getLogger(__name__)
CONFIG = ExportConfig
EPILOG = """\
examples:
  swiftkit export --merge_lora
      the best checkpoint of the newest run, merged, in the run's folder
  swiftkit export --ckpt v0:last --merge_lora
  swiftkit export --ckpt_dir output/qwen2_5-1_5b-instruct/v0-20261121-160926/checkpoint-90 --merge_lora true
  swiftkit export --merge_lora --export_dir ./my_model --dtype bf16
  swiftkit export
      the best checkpoint of a run with --sft_type full

The last line printed is the merged folder's path. It loads in plain transformers, and holds what
servers read: chat template, stop tokens."""


def run(given: Given, problems: Problems) -> int:
    """Export; returns the exit code."""
    problems.raise_any()
    config = build(ExportConfig, given)
    checkpoint = checkpoints.find(config)
    if checkpoint.kind == "adapter" and not config.merge_lora:
        raise SwiftkitError("nothing to do: say what to make of the adapter", "--merge_lora merges it")
    if checkpoint.kind not in ("adapter", "full"):
        what = "is merged already" if checkpoint.kind == "merged" else "is a whole model, without an adapter"
        alone = (checkpoint.folder.path / "trainer_state.json").is_file()
        hint = "name it inside its run's folder" if alone else "name a run or a checkpoint-N with --ckpt"
        raise SwiftkitError(f"{checkpoint.folder.path} {what}", hint)
    checkpoints.same_base(checkpoint)
    target = _target(config, checkpoint)
    dtype = _dtype(config, checkpoint)
    if checkpoint.run is None:
        logger.warning("note: this adapter belongs to no run here, so a --system of its training is not known")
    made = merging.merge(checkpoint, target, dtype, overwrite=config.overwrite)
    what = "merged" if checkpoint.adapter else "written"
    logger.info("%s", what if made else "already done: the same checkpoint and settings")
    print(json.dumps({"merged": str(target), "made": made, "dtype": dtype}) if config.json_ else target)
    return 0


def _target(config: ExportConfig, checkpoint: Checkpoint) -> Path:
    if config.export_dir:
        return paths.typed(config.export_dir, "--export_dir")
    trained = checkpoint.adapter.path if checkpoint.adapter else checkpoint.folder.path
    home = checkpoint.run.path if checkpoint.run else trained.parent
    # Not checkpoint-…: ms-swift's rotation would take it for one of its own.
    return home / f"merged-{trained.name if checkpoint.step is None else checkpoint.step}"


def _dtype(config: ExportConfig, checkpoint: Checkpoint) -> str:
    """What was asked for, else what was trained in, else what the base is stored in."""
    short = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    stored = checkpoint.folder.config.get("dtype") or checkpoint.folder.config.get("torch_dtype")
    choices = (config.dtype, checkpoint.config.get("dtype"), short.get(str(stored)))
    return next((str(choice) for choice in choices if choice and choice != "auto"), "bf16")
