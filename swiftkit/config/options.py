"""Groups of options that several commands share: the model, the data, the checkpoint."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator, model_validator

from swiftkit.config.fields import Config, flag
from swiftkit.schema import DTYPE_ALIASES

DTypeName = Literal["auto", "bf16", "fp16", "fp32"]


class ModelOptions(Config):
    """Which model, and how it is loaded."""

    model_type: str | None = flag(
        None,
        "Name of the model in the registry (`swiftkit models`).",
        "Model",
        shown="detected from the model folder",
        metavar="NAME",
    )
    model_id_or_path: str | None = flag(
        None,
        "Folder with the weights, or a Hub id.",
        "Model",
        "model",
        "model_name_or_path",
        "model_name",
        shown="looked up by --model_type",
        metavar="PATH",
    )
    trust_remote_code: bool = flag(
        False, "Run Python code from the model folder. It can do anything on this machine.", "Model"
    )

    @model_validator(mode="before")
    @classmethod
    def _translate_dtype(cls, values: Any) -> Any:
        """Long names of transformers and ms-swift."""
        if isinstance(values, dict) and isinstance(dtype := values.get("dtype"), str):
            return values | {"dtype": {**DTYPE_ALIASES, "AUTO": "auto"}.get(dtype, dtype)}
        return values


class FileOptions(ModelOptions):
    """How files of rows are read."""

    columns: list[str] = flag(
        [],
        "Names of the columns in the files, where they are not the usual ones: question=COLUMN answer=COLUMN.",
        "Files",
        shown="the usual names (docs/data.md)",
        metavar="NAME=COLUMN",
    )
    encoding: str | None = flag(
        None, "Encoding of text files.", "Files", shown="UTF-8, or UTF-16 by its mark", metavar="NAME"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _pairs_of_dict(cls, value: Any) -> Any:
        """In YAML and Python, a dictionary is accepted as well."""
        return [f"{name}={column}" for name, column in value.items()] if isinstance(value, dict) else value


class DataOptions(FileOptions):
    """The training data."""

    dataset: list[str] = flag(
        [],
        "Training datasets: registry names (`swiftkit models --datasets`), files (.jsonl .json .csv .xlsx .parquet …), "
        "folders, or Hub ids (org/name[:subset[:split]]). Append `#500` to sample 500 rows.",
        "Data",
        "custom_train_dataset_path",
        "train_dataset",
        "dataset_name",
        shown="swiftkit.yaml, the model's own, or math-sft",
    )
    val_dataset: list[str] = flag(
        [], "Validation datasets.", "Data", "custom_val_dataset_path", shown="split off the training data"
    )
    dataset_test_ratio: float | None = flag(
        None,
        "Fraction of the rows that is held out for validation, 0 to 1; 0 disables validation.",
        "Data",
        "split_dataset_ratio",
        ge=0,
        lt=1,
        shown="1% of the rows, but at least 64 and at most 1000, and never more than 20%",
    )
    format: str | None = flag(None, "Format of the rows.", "Data", shown="recognized by their columns", metavar="NAME")
    loss_on: Literal["all", "last"] = flag(
        "all", "Which of a conversation's answers have loss: all, or only the last one.", "Data"
    )
    task: str = flag(
        "sft",
        "Training task: which rows are valid and which tokens have loss (docs/plugins.md).",
        "Data",
        metavar="NAME",
    )
    system: str | None = flag(
        None, "System prompt for rows that have none.", "Data", shown="the model's own", metavar="TEXT"
    )
    instruct: Literal["none", "ans"] = flag(
        "none",
        "Format instruction added to every question; ans: put the answer within {{ans:…}}. In answers that end with "
        "`#### n` (GSM8K), the value is moved into that marker.",
        "Data",
    )
    bad_rows: Literal["refuse", "skip"] = flag(
        "refuse", "What an invalid row does: refuse the dataset, or be skipped (at most --max_dropped of them).", "Data"
    )
    max_length: int = flag(
        2048,
        "Maximum length of an example, in tokens; longer ones are dropped, never truncated.",
        "Data",
        "max_seq_length",
        "cutoff_len",
        ge=8,
    )
    max_dropped: float = flag(
        0.05,
        "Maximum fraction of rows that may be dropped as too long, and of invalid ones that may be skipped, 0 to 1.",
        "Data",
        ge=0,
        le=1,
    )

    seed: int = flag(
        42,
        "Random seed of row sampling (`#500`), split, order, dropout and adapter initialization.",
        "Data",
        "data_seed",
        ge=0,
        lt=2**32,
    )


class CheckpointOptions(ModelOptions):
    """Which checkpoint, and its base model."""

    dtype: DTypeName = flag(
        "auto", "Precision; auto: as in training, else what the hardware supports.", "Model", "torch_dtype"
    )
    ckpt: str | None = flag(
        None,
        "Checkpoint: best, last or base (of the newest run), RUN, RUN:best, RUN:last, RUN:base, or a folder with an "
        "adapter or a model.",
        "Model",
        "ckpt_dir",
        "adapters",
        shown="best of the newest run; of an exam, the base model if one is named",
        metavar="CKPT",
    )
    output_dir: str = flag("output", "Folder for all runs.", "Output", metavar="FOLDER")
