"""Everything that is decided before a training: model, data, sizes, steps. Refuses early, with all problems at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from swiftkit import assets, files, plugins
from swiftkit.config.resolve import with_defaults
from swiftkit.config.sft import SftConfig
from swiftkit.data import pipeline, tasks
from swiftkit.data.pipeline import LoadedExamples, TrainingData
from swiftkit.errors import Problems
from swiftkit.models import lora
from swiftkit.models.context import ModelContext
from swiftkit.models.lora import LinearLayer
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.resolve import resolve_model
from swiftkit.schema import DTYPES, Precision
from swiftkit.system import estimates, hardware
from swiftkit.training import trainers

EFFECTIVE_BATCH = 16
NUM_EVALUATIONS = 10  # per run, approximately
LEARNING_RATE = {"lora": 1e-4, "full": 1e-5}
MAX_MEMORY_SHARE = 0.8  # of the free memory; beyond, activations are recomputed


@dataclass(frozen=True)
class TrainingPlan:
    """A training, decided.

    Attributes:
        config: the config; no value is left open.
        context: the model.
        data: the rows.
        layers: the layers that get an adapter.
        precision: of weights and computation.
        steps: optimizer steps.
        defaults: options that come from the model's registry entry.
        notes: what a user should know.
    """

    config: SftConfig
    context: ModelContext
    data: TrainingData
    layers: list[LinearLayer]
    precision: Precision
    steps: int
    defaults: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> ResolvedModel:
        """The model."""
        return self.context.model

    @cached_property
    def trainable(self) -> int:
        """Parameters that are trained: the adapter's, or all."""
        if self.config.sft_type == "full":
            return self.context.folder.parameters - self.context.folder.tied_parameters
        return lora.count_trainable(self.layers, self.config.lora_rank)

    @property
    def rows_per_step(self) -> int:
        """Training rows of one optimizer step."""
        accumulation = self.config.gradient_accumulation_steps or 1
        return self.config.batch_size * accumulation * hardware.num_processes()


def plan(config: SftConfig, problems: Problems | None = None) -> TrainingPlan:
    """Resolve and check everything.

    Args:
        config: the options.
        problems: what is wrong already; it is raised together with what is found here.

    Raises:
        SwiftkitError: everything that is wrong.
    """
    problems = problems or Problems()
    with assets.search_path(config.registry, problems):
        return _plan(config, problems)


def _plan(config: SftConfig, problems: Problems) -> TrainingPlan:
    model: ResolvedModel | None = None
    with problems.collect():
        model = resolve_model(config.model_type, config.model_id_or_path)
    defaults = _registry_defaults(config, model)
    with problems.collect():
        config = with_defaults(config, defaults)
    with problems.collect():
        hardware.choose_dtype(config.dtype)
    with problems.collect():
        plugins.get("trainers", config.trainer)
    with problems.collect():
        tasks.get(config.task)
    with problems.collect():
        options = trainers.check_options(config.trainer, config.trainer_options)
        config = config.model_copy(update={"trainer_options": options})
    context: ModelContext | None = None
    if model:
        with problems.collect():
            context = ModelContext.load(model, trust_remote_code=config.trust_remote_code)
    datasets = config.dataset or [pipeline.default_dataset(model)]
    loaded = [pipeline.load_examples(names, config, problems) for names in (datasets, config.val_dataset)]
    layers: list[LinearLayer] = []
    if context and config.sft_type == "lora":
        with problems.collect():
            targets = config.lora_target_modules or context.model.family.lora_targets
            layers = lora.select_layers(lora.layers_from_tensors(context.folder.tensors), targets)
    problems.raise_any()
    assert context
    notes = _unused_options(config)
    config = config.model_copy(update=_resolve_names(config, datasets, context))
    return _resolve_sizes(config, context, loaded, layers, defaults, notes)


def _registry_defaults(config: SftConfig, model: ResolvedModel | None) -> dict[str, Any]:
    """Options of the model's registry entry for what the user has not set."""
    defaults = dict(model.entry.defaults) if model and model.entry else {}
    if config.sft_type == "full":
        defaults.pop("learning_rate", None)  # it is meant for adapters
    return {name: value for name, value in defaults.items() if not config.is_set(name)}


def _unused_options(config: SftConfig) -> list[str]:
    """A note about LoRA options in a full fine-tuning."""
    if config.sft_type == "lora":
        return []
    unused = [f"--{name}" for name in config.flags() if name.startswith("lora_") and config.is_typed(name)]
    return [f"all weights are trained, so these options have no effect: {' '.join(unused)}"] if unused else []


def _resolve_names(config: SftConfig, datasets: Sequence[str], context: ModelContext) -> dict[str, Any]:
    resolved: dict[str, Any] = {
        "dataset": datasets,
        "learning_rate": config.learning_rate or LEARNING_RATE[config.sft_type],
    }
    if config.sft_type == "lora":
        resolved["lora_target_modules"] = config.lora_target_modules or context.model.family.lora_targets
    return resolved


def _resolve_sizes(
    config: SftConfig,
    context: ModelContext,
    loaded: list[LoadedExamples],
    layers: list[LinearLayer],
    defaults: dict[str, Any],
    notes: list[str],
) -> TrainingPlan:
    """Tokenize the rows, and derive everything that depends on their number and length."""
    config = pipeline.clamp_max_length(config, context, notes)
    notes += context.notes
    train, validation = loaded
    data = pipeline.prepare(config, train, validation, context.encoder, notes)
    dtype, reason = hardware.choose_dtype(config.dtype)
    if "dtype" in defaults:
        reason = "this model's default"
    config, steps = _resolve_schedule(config.model_copy(update={"dtype": dtype.name}), len(data.train))
    # Weights that are trained are stored in fp32; otherwise updates below their last digit would be lost.
    storage = DTYPES["fp32"] if config.sft_type == "full" else dtype
    precision = Precision(storage, dtype, reason)
    plan = TrainingPlan(config, context, data, layers, precision, steps, defaults, notes)
    return _fit_memory(plan)


def _resolve_schedule(config: SftConfig, num_rows: int) -> tuple[SftConfig, int]:
    """Accumulation and evaluation interval, and the number of optimizer steps."""
    per_batch = config.batch_size * hardware.num_processes()
    accumulation = config.gradient_accumulation_steps or math.ceil(EFFECTIVE_BATCH / per_batch)
    batches = math.ceil(num_rows / per_batch)
    steps = config.max_steps or math.ceil(config.num_train_epochs * math.ceil(batches / accumulation))
    resolved = {
        "gradient_accumulation_steps": accumulation,
        "eval_steps": config.eval_steps or max(1, round(steps / NUM_EVALUATIONS)),
    }
    return config.model_copy(update=resolved), steps


def _fit_memory(plan: TrainingPlan) -> TrainingPlan:
    """The plan with gradient checkpointing decided, and a note if the memory may not suffice."""
    config, precision = plan.config, plan.precision
    folder = plan.context.folder
    frozen = 0 if config.sft_type == "full" else folder.parameters
    tokens = config.batch_size * plan.data.longest
    plain, checkpointed = estimates.training_memory(folder.config, frozen, plan.trainable, tokens, precision)
    free = hardware.free_memory()
    if config.gradient_checkpointing is None:
        config = config.model_copy(update={"gradient_checkpointing": plain > MAX_MEMORY_SHARE * free})
    needed = checkpointed if config.gradient_checkpointing else plain
    notes = list(plan.notes)
    if needed > free:
        notes.append(
            f"about {needed / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are free: this may not fit; "
            "lower --batch_size or --max_length"
        )
    return replace(plan, config=config, notes=notes)


def check_disk(plan: TrainingPlan) -> None:
    """Refuse if the run would not fit on the disk.

    Raises:
        SwiftkitError: it would not.
    """
    folder = plan.context.folder.path
    tokenizer = sum(p.stat().st_size for p in folder.glob("*.json*") if "safetensors" not in p.name)
    content = sum(path.stat().st_size for path in plan.data.files)
    output = files.parse_path(plan.config.output_dir, "--output_dir")
    estimates.require_disk(output, estimates.run_bytes(plan.trainable, tokenizer, content))
