"""Weights to evaluate or to ship: a base model, an adapter on its base, a merged or fully fine-tuned model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from swiftkit import files
from swiftkit.chat import template
from swiftkit.chat.template import Template
from swiftkit.errors import SwiftkitError
from swiftkit.models import adapter as adapters
from swiftkit.models.adapter import Adapter
from swiftkit.models.context import ModelContext
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.weights import ModelFolder
from swiftkit.training.run import Run

Kind = Literal["base", "adapter", "merged", "full"]


@dataclass(frozen=True)
class TrainingSettings:
    """How a checkpoint was trained, as far as exams and exports depend on it."""

    model_type: str | None = None
    dataset: tuple[str, ...] = ()
    system: str | None = None
    instruct: str = "none"
    dtype: str | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> TrainingSettings:
        """From the values of a config or of swiftkit.json; what has another type is ignored."""
        dataset = values.get("dataset")
        texts = {
            name: v if isinstance(v := values.get(name), str) else None for name in ("model_type", "system", "dtype")
        }
        instruct = values.get("instruct")
        return cls(
            dataset=tuple(map(str, dataset)) if isinstance(dataset, list) else (),
            instruct=instruct if isinstance(instruct, str) else "none",
            **texts,
        )


@dataclass(frozen=True)
class Origin:
    """What the swiftkit.json of an exported folder says about it; values of the wrong type count as missing."""

    content: dict[str, Any]

    @property
    def family(self) -> str:
        """Name of the family."""
        return str(self.content.get("family"))

    @property
    def step(self) -> int | None:
        """Optimizer steps."""
        step = self.content.get("step")
        return step if isinstance(step, int) else None

    @property
    def settings(self) -> TrainingSettings:
        """How it was trained."""
        config = self.content.get("config")
        return TrainingSettings.of(config if isinstance(config, dict) else {})

    @property
    def registry(self) -> str | None:
        """The folder of `--registry` that it was trained with."""
        config = self.content.get("config")
        return config.get("registry") if isinstance(config, dict) else None

    @property
    def template(self) -> Template | None:
        """The chat template that it was trained with; None if the export did not record it."""
        declared = self.content.get("template")
        if not isinstance(declared, dict) or not isinstance(declared.get("text"), str):
            return None
        return template.compile(declared["text"], str(declared.get("name")))

    @property
    def base(self) -> tuple[Path, dict[str, str]]:
        """Folder of the base model, and the hashes of its files."""
        hashes = self.content.get("base_sha256") or self.content.get("sha256") or {}
        return Path(str(self.content.get("base"))), hashes


@dataclass(frozen=True)
class Checkpoint:
    """Weights to evaluate or to ship.

    Attributes:
        label: how a user would call it: `best of tiny-math/v0-…`, `base`, a folder.
        model: its model and family.
        folder: the complete model: the base, or a merged or fully fine-tuned model.
        adapter: the adapter on top of it, if there is one.
        run: the run that it belongs to, if any.
        step: optimizer steps, if known.
        origin: what an exported folder says about itself.
        is_full_finetune: whether all weights of `folder` were trained.
        initial_model: the model that a full fine-tune started from, if that is still on this machine.
        trust_remote_code: whether code in the folder may run.
    """

    label: str
    model: ResolvedModel
    folder: ModelFolder
    adapter: Adapter | None = None
    run: Run | None = None
    step: int | None = None
    origin: Origin | None = None
    is_full_finetune: bool = False
    initial_model: ModelFolder | None = None
    trust_remote_code: bool = False

    @property
    def kind(self) -> Kind:
        """`base`, `adapter`, `merged` or `full`."""
        if self.adapter:
            return "adapter"
        return "merged" if self.origin else "full" if self.is_full_finetune else "base"

    @property
    def trained_path(self) -> Path:
        """The folder of what was trained: the adapter's, or the model's."""
        return self.adapter.path if self.adapter else self.folder.path

    @property
    def aux_source(self) -> ModelFolder:
        """Whose tokenizer, license and configs belong to the weights: the base's, if it is known."""
        return self.initial_model or self.folder

    @cached_property
    def settings(self) -> TrainingSettings | None:
        """How it, or the run that it is the base of, was trained; None for a model that no run is known of."""
        if self.run and (file := self.run.read()).is_valid:
            return TrainingSettings.of(file.config.model_dump())
        return self.origin.settings if self.origin else None

    @cached_property
    def context(self) -> ModelContext:
        """Tokenizer and chat template; if there is a run, the template that it was trained with.

        Raises:
            SwiftkitError: the template was changed after the training, and the run did not keep the original.
        """
        return ModelContext(self.model, self.folder, self.trust_remote_code, self._trained_template())

    def _trained_template(self) -> Template | None:
        if self.origin and (exported := self.origin.template):
            return exported
        if self.run is None:
            return None
        name = self.model.family.template
        if kept := self.run.template(name):
            return kept
        recorded = self.run.read().record.sha256.get("template")  # of runs that kept the hash only
        if self.kind != "base" and recorded and recorded != template.load(name).sha256:
            raise SwiftkitError(
                f"the chat template `{name}` was changed after the training of {self.run.name}, an older run that did "
                "not keep its text",
                "restore the template file, or train again",
            )
        return None

    @cached_property
    def hashes(self) -> dict[str, str]:
        """File name to SHA-256 of all weights and their configs."""
        weights = sorted(self.folder.path.glob("*.safetensors"))
        hashes = {f"model/{path.name}": _sha256(path) for path in (*weights, self.folder.path / "config.json")}
        if self.adapter:
            for name in (adapters.WEIGHTS, adapters.CONFIG):
                hashes[f"adapter/{name}"] = _sha256(self.adapter.path / name)
        return hashes


@cache
def _hash_cache(path: Path, size: int, modified_ns: int) -> str:
    return files.sha256(path)


def _sha256(path: Path) -> str:
    """SHA-256 of a file, computed once while it does not change: base and adapter share gigabytes."""
    status = path.stat()
    return _hash_cache(path.resolve(), status.st_size, status.st_mtime_ns)


def check_base_unchanged(checkpoint: Checkpoint) -> None:
    """Refuse an adapter whose base model's files have changed since it was trained.

    Raises:
        SwiftkitError: they have; names the file.
    """
    if checkpoint.run is None or checkpoint.kind in ("merged", "full"):
        return
    recorded = checkpoint.run.read().record.sha256
    for name, digest in checkpoint.hashes.items():
        part, _, file = name.partition("/")
        if part == "model" and file in recorded and recorded[file] != digest:
            raise SwiftkitError(
                f"{checkpoint.folder.path / file} is not the file that {checkpoint.run.name} was trained on",
                "an adapter belongs to exactly one base model; name that one with --model_id_or_path",
            )
