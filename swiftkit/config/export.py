"""Options of `swiftkit export`."""

from __future__ import annotations

from swiftkit.config.fields import flag
from swiftkit.config.options import CheckpointOptions


class ExportConfig(CheckpointOptions):
    """Ship what was trained: merge the adapter into its base model, or write a fully fine-tuned model."""

    merge_lora: bool = flag(False, "Merge the adapter into a copy of its base model: short for --to merged.", "What")
    to: str | None = flag(
        None, "Export target (docs/export.md).", "What", metavar="NAME", shown="merged, for a full fine-tune"
    )
    export_dir: str | None = flag(
        None, "Folder of the export.", "Output", shown="<target>-<step> in the run's folder", metavar="FOLDER"
    )
    overwrite: bool = flag(False, "Replace an existing export.", "Output")
