"""Options of `swiftkit export`."""

from __future__ import annotations

from swiftkit.config.fields import flag
from swiftkit.config.options import CheckpointOptions


class ExportConfig(CheckpointOptions):
    """Export a checkpoint: merge its adapter into the base model, or write a fully fine-tuned model."""

    merge_lora: bool = flag(False, "Merge the adapter into a copy of its base model; short for --to merged.", "Target")
    to: str | None = flag(
        None,
        "Export target (docs/export.md).",
        "Target",
        metavar="NAME",
        shown="merged for a full fine-tune, else none",
    )
    export_dir: str | None = flag(
        None, "Folder to export to.", "Output", shown="<target>-<step> in the run's folder", metavar="FOLDER"
    )
    overwrite: bool = flag(False, "Replace an existing export in that folder.", "Output")
