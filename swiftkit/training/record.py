"""What run.yaml and best.json record about a run; names of earlier versions are read as well."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from swiftkit.data.split import RowCounts


class _Record(BaseModel):
    """Part of a record; unknown fields are ignored, so that runs of other versions can be read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BaseModelRecord(_Record):
    """The base model of a run: its folder, its family, its number of parameters."""

    folder: str = ""
    family: str = ""
    parameters: int | None = None


class TokenCounts(_Record):
    """Tokens of one pass over the training rows, how many of them have loss, and tokens of the longest row."""

    train: int = 0
    loss: int = Field(default=0, validation_alias=AliasChoices("loss", "learned"))
    longest: int = 0


class BestCheckpoint(_Record):
    """The best checkpoint: optimizer steps, and the metric that it was chosen by with its value."""

    step: int
    value: float
    metric: str = "eval_loss"

    def __str__(self) -> str:
        label = "validation loss" if self.metric == "eval_loss" else self.metric
        return f"{label} {self.value:.4f} at step {self.step}"


class BestManifest(BestCheckpoint):
    """The content of best.json: also the hash of each file."""

    sha256: dict[str, str]


class RunRecord(_Record):
    """What happened to a run.

    Attributes:
        command: the command line, or None for Python code.
        folder: working directory.
        state: `running`, `finished`, `failed`, `interrupted` or `crashed`.
        started, ended: local time with offset.
        versions: of the libraries.
        device: where it ran.
        dtype, dtype_reason: the compute precision, and why.
        model: the base model.
        template: name of the chat template; its text is in template.jinja.
        sha256: hash of every input file.
        rows, tokens: sizes of the data.
        trainable: parameters that are trained.
        steps: planned optimizer steps.
        error: why it failed.
        seconds: duration of the training.
        memory: peak in bytes, by device.
        best: the best checkpoint.
        last: optimizer steps that were done.
    """

    command: str | None = None
    folder: str = ""
    state: Annotated[str, BeforeValidator(lambda state: "crashed" if state == "died" else state)] = "running"
    error: str | None = None
    started: str = ""
    ended: str | None = None
    seconds: float | None = None
    versions: dict[str, str] = {}
    device: dict[str, Any] = {}
    memory: dict[str, int] | None = None
    dtype: str = ""
    dtype_reason: str = ""
    model: BaseModelRecord = BaseModelRecord()
    template: str = ""
    sha256: dict[str, str] = {}
    rows: RowCounts = RowCounts()
    tokens: TokenCounts = TokenCounts()
    trainable: int | None = None
    steps: int | None = None
    best: BestCheckpoint | None = None
    last: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _split_dtype(cls, values: Any) -> Any:
        """Earlier versions wrote precision and reason into one field: `fp32: requested`."""
        if isinstance(values, dict) and isinstance(dtype := values.get("dtype"), str) and ": " in dtype:
            name, _, reason = dtype.partition(": ")
            return values | {"dtype": name, "dtype_reason": reason}
        return values
