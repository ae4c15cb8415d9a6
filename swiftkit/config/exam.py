"""Options of `swiftkit exam`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from swiftkit.config.fields import flag
from swiftkit.config.options import CheckpointOptions, FileOptions


class ExamConfig(CheckpointOptions, FileOptions):
    """Evaluate a model on questions with reference answers."""

    # swiftkit.yaml is written for training: its dataset is what was trained on, never the questions.
    in_project_file: ClassVar[Mapping[str, str]] = {
        "dataset": "train_dataset",
        **dict.fromkeys(("val_dataset", "format", "columns", "encoding", "batch_size"), ""),
    }

    dataset: list[str] = flag(
        [],
        "Questions with reference answers: names, files or Hub ids, as for sft.",
        "Questions",
        "exam_dataset",
        "eval_dataset",
        "val_dataset",
        "custom_val_dataset_path",
        shown="the exam that belongs to the training data, else the run's validation rows",
    )
    train_dataset: list[str] = flag(
        [],
        "Training data: determines the exam that belongs to it, and provides the few-shot examples.",
        "Questions",
        shown="the run's, or the model's own",
    )
    format: str | None = flag(
        None, "Format of the rows.", "Questions", shown="recognized by their columns", metavar="NAME"
    )
    system: str | None = flag(
        None,
        "System prompt of every question, replacing the rows' own.",
        "Questions",
        shown="as in the rows and in training",
        metavar="TEXT",
    )
    instruct: Literal["none", "ans"] | None = flag(
        None, "Format instruction added to every question.", "Questions", shown="as in training"
    )
    few_shot: int = flag(
        0,
        "Number of few-shot examples from the training data before every question.",
        "Questions",
        "examples",
        ge=0,
    )

    engine: str = flag("transformers", "Inference engine (docs/plugins.md).", "Responses", metavar="NAME")
    max_new_tokens: int = flag(512, "Maximum new tokens per response.", "Responses", "max_tokens", ge=1)
    batch_size: int | None = flag(
        None,
        "Questions per batch.",
        "Responses",
        "eval_batch_size",
        "per_device_eval_batch_size",
        ge=1,
        shown="as many as fit into memory, at most 256",
    )
    seed: int = flag(
        42, "Random seed of row sampling (`#500`) and of the choice of few-shot examples.", "Responses", ge=0, lt=2**32
    )

    scorer: str = flag("ans", "Scoring rule (docs/exam.md).", "Score", metavar="NAME")
    tolerance: float = flag(0, "Relative tolerance when a number is compared with the reference.", "Score", ge=0, lt=1)
    with_base: bool = flag(
        False, "Also evaluate the base model on the same questions, unless its result is known.", "Score"
    )
    fail_under: float | None = flag(
        None, "Exit with code 3 if the score is lower than this, 0 to 100.", "Score", ge=0, le=100, shown="off"
    )
