"""A complete model in safetensors: the adapter merged into a copy of its base, or a fully fine-tuned model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from swiftkit import files
from swiftkit.errors import SwiftkitError
from swiftkit.exports import artifacts
from swiftkit.models.adapter import check_mergeable
from swiftkit.models.weights import INDEX, weight_files
from swiftkit.schema import DType
from swiftkit.system import supervisor
from swiftkit.training.checkpoint import Checkpoint

WORKER = "swiftkit.worker.merge"


def check(checkpoint: Checkpoint) -> None:
    """Refuse what has nothing to merge, and adapters that the merge does not support.

    Raises:
        SwiftkitError: the reason.
    """
    if checkpoint.adapter:
        check_mergeable(checkpoint.adapter)
    elif checkpoint.kind != "full":
        what = "is merged already" if checkpoint.kind == "merged" else "is a complete model, without an adapter"
        is_training_output = (checkpoint.folder.path / "trainer_state.json").is_file()
        hint = "name it inside its run's folder" if is_training_output else "name a run or a checkpoint-N with --ckpt"
        raise SwiftkitError(f"{checkpoint.folder.path} {what}", hint)


def export(checkpoint: Checkpoint, folder: Path, dtype: DType) -> None:
    """Merged weights, chat template, tokenizer, configs. See `swiftkit.exports.targets`."""
    _merge_weights(checkpoint, folder, dtype)
    artifacts.write(checkpoint, folder, dtype)


def _merge_weights(checkpoint: Checkpoint, folder: Path, dtype: DType) -> None:
    """Merge or convert the weights in a child process; the index, if there is one, gets the new size."""
    base = checkpoint.folder.path
    # The log is not in the folder, which is deleted if the export fails.
    events, log = folder / ".events", folder.with_name(f"{folder.name}.log")
    job = {
        "base": [str(path.resolve()) for path in weight_files(base)],
        "adapter": str(checkpoint.adapter.path.resolve()) if checkpoint.adapter else None,
        "target": str(folder.resolve()),
        "dtype": dtype.torch_name,
        "events": str(events.resolve()),
    }
    job_file = folder / ".job.json"
    job_file.write_text(json.dumps(job), encoding="utf-8")
    process = supervisor.run([sys.executable, "-m", WORKER, str(job_file)], log=log, events_file=events)
    for path in (job_file, events, *([log] if process.state == "finished" else [])):
        path.unlink(missing_ok=True)
    process.require_finished("the export", interrupted="nothing was exported")
    if (base / INDEX).is_file():
        index = files.read_object(base / INDEX)
        size = checkpoint.folder.parameters * dtype.num_bytes
        index["metadata"] = {**(index.get("metadata") or {}), "total_size": size}
        files.write_json(folder / INDEX, index, indent=2)
