"""What can be asked of each command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from swiftkit.declaration import Config, flag


class ModelOptions(Config):
    """Which model, and how it is loaded."""

    model_type: str | None = flag(
        None,
        "Model, by its name in the registry (`swiftkit models`).",
        "Model",
        shown="told by the folder",
        metavar="NAME",
    )
    model_id_or_path: str | None = flag(
        None,
        "Folder with the weights, or a hub id.",
        "Model",
        "model",
        "model_name_or_path",
        "model_name",
        shown="found by --model_type",
        metavar="PATH",
    )
    trust_remote_code: bool = flag(
        False, "Run Python code that a model folder brings. It can do anything on this machine.", "Model"
    )

    @model_validator(mode="before")
    @classmethod
    def _swift_targets(cls, given: Any) -> Any:
        """ms-swift 2 says DEFAULT or AUTO for the model's own targets, and ALL for all linear layers."""
        short: dict[tuple[str, ...], list[str]] = {("DEFAULT",): [], ("AUTO",): [], ("ALL",): ["all-linear"]}
        if isinstance(given, dict) and isinstance(targets := given.get("lora_target_modules"), list):
            return given | {"lora_target_modules": short.get(tuple(map(str, targets)), targets)}
        return given

    @model_validator(mode="before")
    @classmethod
    def _swift_dtypes(cls, given: Any) -> Any:
        long = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "AUTO": "auto"}
        if isinstance(given, dict) and isinstance(given.get("dtype"), str):
            return given | {"dtype": long.get(given["dtype"], given["dtype"])}
        return given


class DataOptions(ModelOptions):
    """What is learned from."""

    dataset: list[str] = flag(
        [],
        "What to learn from: names (`swiftkit models --datasets`), files (.jsonl .json .csv .parquet) or hub ids "
        "(org/name[:subset[:split]]); `#500` behind one takes 500 of its rows.",
        "Data",
        "custom_train_dataset_path",
        "train_dataset",
        "dataset_name",
        shown="swiftkit.yaml, the model's own, or math-sft",
    )
    val_dataset: list[str] = flag(
        [], "What to validate on.", "Data", "custom_val_dataset_path", shown="split off the dataset"
    )
    dataset_test_ratio: float | None = flag(
        None,
        "Share of the rows to validate on, 0 to 1; 0 turns validation off.",
        "Data",
        "split_dataset_ratio",
        ge=0,
        lt=1,
        shown="0.01 of the rows, at least 64, at most 1000, never over 0.2",
    )
    format: str | None = flag(None, "Format of the rows.", "Data", shown="recognised by their columns", metavar="NAME")
    system: str | None = flag(
        None, "System prompt for rows that bring none.", "Data", shown="the model's own", metavar="TEXT"
    )
    instruct: Literal["none", "ans"] = flag(
        "none",
        "Format instruction added to every question; ans: put the answer within {{ans:…}}. Answers that end with "
        "`#### n` (GSM8K) are given that marker.",
        "Data",
    )
    max_length: int = flag(
        2048,
        "Longest example, in tokens; longer ones are dropped whole.",
        "Data",
        "max_seq_length",
        "cutoff_len",
        ge=8,
    )
    max_dropped: float = flag(
        0.05, "Largest share of rows that may be dropped as too long, 0 to 1.", "Data", ge=0, le=1
    )
    seed: int = flag(42, "Seed of sample, split, order, dropout and adapter.", "Data", "data_seed", ge=0, lt=2**32)


class SftConfig(DataOptions):
    """Fine-tune a model on your own data."""

    dtype: Literal["auto", "bf16", "fp16", "fp32"] = flag(
        "auto", "Precision to compute in; auto: what the hardware computes in.", "Model", "torch_dtype"
    )

    sft_type: Literal["lora", "full"] = flag(
        "lora", "What is trained: an adapter (lora), or all weights (full).", "Training", "tuner_type", "train_type"
    )
    lora_rank: int = flag(8, "Rank of the adapter.", "LoRA", "r", "lora_r", ge=1)
    lora_alpha: int = flag(
        32, "Scale of the adapter: its output is multiplied by lora_alpha / lora_rank.", "LoRA", ge=1
    )
    lora_dropout: float = flag(0.05, "Dropout in front of the adapter.", "LoRA", "lora_dropout_p", ge=0, lt=1)
    lora_target_modules: list[str] = flag(
        [],
        "Linear layers that get an adapter, by the last part of their name, or all-linear.",
        "LoRA",
        "target_modules",
        "lora_target",
        shown="the registry's",
    )

    learning_rate: float | None = flag(
        None, "Peak learning rate.", "Training", "lr", gt=0, shown="1e-4, with --sft_type full 1e-5"
    )
    num_train_epochs: float = flag(1, "Passes over the training rows.", "Training", "epochs", gt=0)
    max_steps: int | None = flag(None, "Stop after so many optimizer steps.", "Training", ge=1, shown="all epochs")
    batch_size: int = flag(1, "Examples a device computes at once.", "Training", "per_device_train_batch_size", ge=1)
    gradient_accumulation_steps: int | None = flag(
        None,
        "Batches added up for one optimizer step.",
        "Training",
        ge=1,
        shown="effective batch of 16",
    )
    warmup_ratio: float = flag(
        0.05, "Share of the steps in which the learning rate rises, 0 to 1.", "Training", ge=0, lt=1
    )
    eval_steps: int | None = flag(
        None,
        "Optimizer steps between two evaluations; each one also saves a checkpoint.",
        "Training",
        "eval_step",
        "save_steps",
        ge=1,
        shown="about ten a run",
    )
    gradient_checkpointing: bool | None = flag(
        None,
        "Recompute activations to save memory.",
        "Training",
        "use_gradient_checkpointing",
        shown="where the memory estimate asks for it",
    )

    output_dir: str = flag("output", "Folder of all runs.", "Output", metavar="FOLDER")
    swift: dict[str, Any] = Field(default={}, description="Further ms-swift options, given as --swift.<name> <value>.")
    dry_run: bool = flag(False, "Check everything, print what would happen, stop.", "Output", "dry-run", exclude=True)


class DataConfig(DataOptions):
    """See rows as a model will see them, or check a dataset before anything is trained on it."""

    words: list[str] = flag(
        [], "`check DATASET ...` or `show DATASET ...`.", "What", metavar="WORD", positional=True, shown="none"
    )
    exam: list[str] = flag(
        [],
        "check: questions that must not stand in the data.",
        "Check",
        "exam_dataset",
        shown="the exam that belongs to the data",
    )
    rows: int = flag(3, "show: how many rows, from the first on.", "Show", ge=1)
    row: int | None = flag(None, "show: this one, counted from 1.", "Show", ge=1, shown="the first ones")
    html: str | None = flag(
        None, "show: write a page with every token and its id.", "Show", metavar="FILE", shown="in the terminal"
    )


class CheckpointOptions(ModelOptions):
    """Which checkpoint, and of which base model."""

    dtype: Literal["auto", "bf16", "fp16", "fp32"] = flag(
        "auto", "Precision; auto: that of the training, else what the hardware computes in.", "Model", "torch_dtype"
    )
    ckpt: str | None = flag(
        None,
        "best, last or base of the newest run, RUN, RUN:best, RUN:last, RUN:base, or a folder (adapter or model).",
        "Model",
        "ckpt_dir",
        "adapters",
        shown="best; base if a model is named",
        metavar="CKPT",
    )
    output_dir: str = flag("output", "Folder of all runs.", "Output", metavar="FOLDER")


class ExamConfig(CheckpointOptions):
    """Examine a model on questions with known answers."""

    in_project_file: ClassVar[Mapping[str, str]] = {
        "dataset": "train_dataset",
        **dict.fromkeys(("val_dataset", "format", "batch_size"), ""),
    }

    dataset: list[str] = flag(
        [],
        "Questions with their reference answers: names, files or hub ids, as for sft.",
        "Questions",
        "exam_dataset",
        "eval_dataset",
        "val_dataset",
        "custom_val_dataset_path",
        shown="the exam that belongs to the training data, else the run's validation rows",
    )
    train_dataset: list[str] = flag(
        [],
        "Training data: names the exam that belongs to it, and gives --examples.",
        "Questions",
        shown="the run's, or the model's own",
    )
    format: str | None = flag(
        None, "Format of the rows.", "Questions", shown="recognised by their columns", metavar="NAME"
    )
    system: str | None = flag(
        None,
        "System prompt of every question, in place of its own.",
        "Questions",
        shown="as in the rows and in training",
        metavar="TEXT",
    )
    instruct: Literal["none", "ans"] | None = flag(
        None, "Format instruction added to every question.", "Questions", shown="as in training"
    )
    examples: int = flag(0, "Solved examples from the training data in front of every question.", "Questions", ge=0)

    max_new_tokens: int = flag(512, "Longest answer, in tokens.", "Answers", "max_tokens", ge=1)
    batch_size: int | None = flag(
        None,
        "Questions answered at once.",
        "Answers",
        "eval_batch_size",
        "per_device_eval_batch_size",
        ge=1,
        shown="as many as the memory holds, at most 256",
    )
    seed: int = flag(42, "Seed of samples and examples.", "Answers", ge=0, lt=2**32)

    scorer: str = flag("ans", "Rule that gives the credit (docs/exam.md).", "Score", metavar="NAME")
    tolerance: float = flag(
        0, "Largest difference from a reference number that counts as equal, as a share of it.", "Score", ge=0, lt=1
    )
    with_base: bool = flag(
        False, "Examine the base model on the same questions as well, if that was not done before.", "Score"
    )
    fail_under: float | None = flag(
        None, "Exit code 3 if the mark is lower, 0 to 100.", "Score", ge=0, le=100, shown="off"
    )


class ExportConfig(CheckpointOptions):
    """Ship what was trained: merge the adapter into its base model, or write what was trained in full."""

    merge_lora: bool = flag(False, "Merge the adapter into a copy of its base model.", "What")
    export_dir: str | None = flag(
        None, "Folder of the merged model.", "Output", "to", shown="merged-<step> in the run's folder", metavar="FOLDER"
    )
    overwrite: bool = flag(False, "Replace a folder that exists.", "Output")


class ModelsConfig(Config):
    """List the models and datasets that swiftkit knows, or show one."""

    words: list[str] = flag(
        [],
        "Parts of names to list, or `show NAME`, `check NAME` (or a model folder), `fetch NAME [FOLDER]`, "
        "`adopt FOLDER [INTO]`.",
        "What",
        metavar="WORD",
        positional=True,
        shown="all",
    )
    family: str | None = flag(None, "Only models of this family.", "What", metavar="NAME", shown="all")
    level: Literal["proven", "consistent", "known"] | None = flag(
        None,
        "Only models of this level: tokens proven against published renderings; training, exam and export consistent; "
        "known to ms-swift.",
        "What",
        shown="all with WORD, else what is in the registry",
    )
    datasets: bool = flag(False, "List datasets instead.", "What")
    model_type: str | None = flag(
        None,
        "With `check FOLDER`: the model whose family the folder is of.",
        "What",
        metavar="NAME",
        shown="its files say",
    )
    all_: bool = flag(
        False, "With `check`: a model of every family that is on this machine.", "What", alias="all", shown="false"
    )
    lora_rank: int = flag(8, "Rank that trainable parameters are computed for.", "What", "r", "lora_r", ge=1)


class PluginsConfig(Config):
    """List what other packages, $SWIFTKIT_HOME and --registry add: families, templates, datasets, formats, scorers."""

    words: list[str] = flag(
        [],
        "Only plugins with these names.",
        "What",
        metavar="NAME",
        positional=True,
        shown="all that are not swiftkit's",
    )
    all_: bool = flag(False, "swiftkit's own as well.", "What", alias="all", shown="false")
    check: bool = flag(False, "Hold each to the rules of its kind; exit code 1 where one is broken.", "What")


class RunsConfig(Config):
    """List the runs, or show one."""

    words: list[str] = flag(
        [], "Parts of names to list, or `show RUN`.", "What", metavar="WORD", positional=True, shown="all"
    )
    output_dir: str = flag("output", "Folder of all runs.", "What", metavar="FOLDER")


class DemoConfig(Config):
    """Fine-tune the embedded model on the embedded data, with real commands, each printed before it runs."""

    output_dir: str = flag("output", "Folder of all runs.", "Output", metavar="FOLDER")
