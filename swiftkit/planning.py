"""Everything that is decided before a training: model, data, sizes, steps. Refuses early, and all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from swiftkit import hardware, lora, models, paths, reading, weights
from swiftkit.config import SftConfig
from swiftkit.errors import Problems
from swiftkit.flags import Given, build, sound_part
from swiftkit.reading import Read, Rows

EFFECTIVE_BATCH = 16
EVALUATIONS = 10  # about as many a run
LEARNING_RATE = {"lora": 1e-4, "full": 1e-5}
MEMORY_SHARE = 0.8  # of the free memory, beyond which activations are computed again


@dataclass(frozen=True)
class Plan:
    """A run, decided: `config` has no open questions any more."""

    config: SftConfig
    wanted: models.Wanted
    folder: weights.Folder
    rows: Rows
    layers: list[lora.Layer]
    dtype: str
    dtype_why: str
    steps: int
    stop: str
    defaults: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def trainable(self) -> int:
        """Numbers that are trained: the adapter's, or all."""
        if self.config.sft_type == "full":
            return self.folder.parameters - self.folder.tied
        return lora.trainable(self.layers, self.config.lora_rank)

    @property
    def rows_per_step(self) -> int:
        """Training rows of one optimizer step."""
        accumulated = self.config.gradient_accumulation_steps or 1
        return self.config.batch_size * accumulated * hardware.processes()


def plan(given: Given, problems: Problems) -> Plan:
    """Resolve and check everything.

    Raises:
        SwiftkitError: all that is wrong, with what `problems` already holds.
    """
    config: SftConfig | None = None
    wanted: models.Wanted | None = None
    named = {key: given.values.get(key) for key in ("model_type", "model_id_or_path")}
    with problems.collect():
        wanted = models.find(**{key: None if value is None else str(value) for key, value in named.items()})
    defaults = dict(wanted.entry.defaults) if wanted and wanted.entry else {}
    if given.values.get("sft_type") == "full":
        defaults.pop("learning_rate", None)  # it suits an adapter
    defaults = {key: value for key, value in defaults.items() if given.values.get(key) is None}
    with problems.collect():
        config = build(SftConfig, given, defaults)
    asked = config or sound_part(SftConfig, given)
    with problems.collect():
        hardware.precision(asked.dtype)
    folder: weights.Folder | None = None
    if wanted:
        with problems.collect():
            path = weights.locate(wanted)
            folder = weights.inspect(path, wanted.family, trust_remote_code=asked.trust_remote_code)
    datasets = asked.dataset or [reading.default_dataset(wanted)]
    train = reading.read(datasets, asked, problems)
    validation = reading.read(asked.val_dataset, asked, problems)
    chosen: list[lora.Layer] = []
    if folder and wanted and asked.sft_type == "lora":
        with problems.collect():
            targets = asked.lora_target_modules or wanted.family.lora_targets
            chosen = lora.chosen(lora.layers(folder.tensors), targets)
    problems.raise_any()
    assert config and wanted and folder
    resolved: dict[str, Any] = {
        "dataset": datasets,
        "learning_rate": config.learning_rate or LEARNING_RATE[config.sft_type],
    }
    notes = []
    if config.sft_type == "lora":
        resolved["lora_target_modules"] = config.lora_target_modules or wanted.family.lora_targets
    elif unused := [o for name, o in given.origin.items() if name.startswith("lora_") and o.startswith("--")]:
        notes.append(f"all weights are trained, so this is not used: {' '.join(unused)}")
    config = config.model_copy(update=resolved)
    return _finish(config, wanted, folder, (train, validation), chosen, defaults, notes)


def _finish(
    config: SftConfig,
    wanted: models.Wanted,
    folder: weights.Folder,
    read: tuple[Read, Read],
    chosen: list[lora.Layer],
    defaults: dict[str, Any],
    notes: list[str],
) -> Plan:
    config = reading.within(config, folder, notes)
    tokens = reading.Tokens.of(wanted, folder, trust_remote_code=config.trust_remote_code)
    notes += tokens.notes
    for part in read:
        tokens.measure(part)
    rows = reading.divide(config, *read, notes)
    world = hardware.processes()
    accumulation = config.gradient_accumulation_steps or math.ceil(EFFECTIVE_BATCH / (config.batch_size * world))
    batches = math.ceil(len(rows.train) / (config.batch_size * world))
    steps = config.max_steps or math.ceil(config.num_train_epochs * math.ceil(batches / accumulation))
    dtype, why = hardware.precision(config.dtype)
    if "dtype" in defaults:
        why = "this model's own setting"
    resolved = {
        "gradient_accumulation_steps": accumulation,
        "eval_steps": config.eval_steps or max(1, round(steps / EVALUATIONS)),
        "dtype": dtype,
    }
    made = Plan(
        config.model_copy(update=resolved),
        wanted,
        folder,
        rows,
        chosen,
        dtype,
        why,
        steps,
        tokens.stop,
        defaults,
        notes,
    )
    # What is trained in full in fp32 is there once; in bf16 a copy of it is what is computed with.
    fixed = 0 if (config.sft_type, dtype) == ("full", "fp32") else folder.parameters
    plain, checkpointed = hardware.training_memory(
        folder.config, fixed, made.trainable, config.batch_size * rows.longest, dtype
    )
    free = hardware.device().memory
    if config.gradient_checkpointing is None:
        saving = made.config.model_copy(update={"gradient_checkpointing": plain > MEMORY_SHARE * free})
        made = replace(made, config=saving)
    needed = checkpointed if made.config.gradient_checkpointing else plain
    if needed > free:
        notes.append(
            f"about {needed / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are free: this may not fit; "
            "lower --batch_size or --max_length"
        )
    return made


def check_disk(made: Plan) -> None:
    """Refuse when the run would not fit on the disk.

    Raises:
        SwiftkitError: it would not.
    """
    tokenizer = sum(p.stat().st_size for p in made.folder.path.glob("*.json*") if "safetensors" not in p.name)
    content = sum(path.stat().st_size for path in made.rows.files)
    hardware.need_disk(
        paths.typed(made.config.output_dir, "--output_dir"), hardware.run_bytes(made.trainable, tokenizer, content)
    )
