"""An export without merging: the adapter's files, and a card that says what they belong to."""

from __future__ import annotations

import shutil
from pathlib import Path

from swiftkit.errors import SwiftkitError
from swiftkit.schema import DType
from swiftkit.training.checkpoint import Checkpoint

NAMES = ("adapter_config.json", "adapter_model.safetensors")


def check(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint without an adapter.

    Raises:
        SwiftkitError: it has none.
    """
    if checkpoint.adapter is None:
        raise SwiftkitError(f"{checkpoint.label} has no adapter to hand over", "export a LoRA run")


def export(checkpoint: Checkpoint, folder: Path, dtype: DType) -> None:
    """Fill a new, empty folder. See `swiftkit.exports.targets`."""
    assert checkpoint.adapter
    for name in NAMES:
        shutil.copy(checkpoint.adapter.path / name, folder / name)
    card = f"An adapter for {checkpoint.model.name}.\nChat template: {checkpoint.context.template.name}.\n"
    (folder / "CARD.md").write_text(card, encoding="utf-8")


def num_bytes(checkpoint: Checkpoint, dtype: DType) -> int:
    """Disk space that the export needs."""
    assert checkpoint.adapter
    return sum((checkpoint.adapter.path / name).stat().st_size for name in NAMES)
