"""Everything that is decided before a training: model, data, sizes, steps. Refuses early, and all at once."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from swiftkit import chat, data, hardware, instruct, lora, models, paths, sources, tokenization, weights
from swiftkit.config import SftConfig
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.flags import Given, build, sound_part
from swiftkit.schema import Example

logger = logging.getLogger(__name__)
EFFECTIVE_BATCH = 16
EVALUATIONS = 10  # about as many a run
LEARNING_RATE = {"lora": 1e-4, "full": 1e-5}
MEMORY_SHARE = 0.8  # of the free memory, beyond which activations are computed again


@dataclass(frozen=True)
class Rows:
    """The examples of a run and what became of the others."""

    train: list[data.Sized]
    validation: list[data.Sized]
    account: data.Account
    files: list[Path]

    @cached_property
    def tokens(self) -> int:
        """Tokens of one pass over the training rows."""
        return sum(sized.tokens for sized in self.train)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(sized.tokens for sized in (*self.train, *self.validation))


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
    datasets = asked.dataset or [_default_dataset(wanted)]
    train, files = _examples(datasets, asked, problems)
    validation, more = _examples(asked.val_dataset, asked, problems)
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
    return _finish(config, wanted, folder, (train, validation, files + more), chosen, defaults, notes)


def _default_dataset(wanted: models.Wanted | None) -> str:
    return (wanted.entry.dataset if wanted and wanted.entry else None) or "math-sft"


Read = tuple[list[Example], int, int]  # examples, rows read, rows not sampled


def _examples(asked: list[str], config: SftConfig, problems: Problems) -> tuple[Read, list[Path]]:
    made: list[Example] = []
    files: list[Path] = []
    read = not_sampled = 0
    for name in asked:
        with problems.collect():
            rows = sources.read(sources.find(name), config.seed)
            files.append(rows.source.path)
            read, not_sampled = read + rows.read, not_sampled + rows.not_sampled
            if rows.source.sample and rows.source.sample > rows.read:
                logger.warning("%s has %s rows; all of them are taken", name, f"{rows.read:,}")
            made += _instructed(data.examples(rows, config.format, config.system), config.instruct)
    return (made, read, not_sampled), files


def _instructed(made: list[Example], name: str) -> list[Example]:
    """The examples with `--instruct`; every one that does not allow it is an error."""
    problems, instructed = Problems(), []
    for example in made:
        try:
            instructed.append(instruct.apply(example, name))
        except ValueError as error:
            problems.add(f"{example.source}: --instruct {name}: {error}")
    sources.raise_shortened(problems)
    return instructed


def _finish(
    config: SftConfig,
    wanted: models.Wanted,
    folder: weights.Folder,
    read: tuple[Read, Read, list[Path]],
    chosen: list[lora.Layer],
    defaults: dict[str, Any],
    notes: list[str],
) -> Plan:
    limit = int(folder.config.get("max_position_embeddings") or config.max_length)
    if limit < config.max_length:
        notes.append(f"this model reads at most {limit} tokens: --max_length is {limit}")
        config = config.model_copy(update={"max_length": limit})
    stop = _stop_token(folder.path)
    rows = _rows(config, wanted, folder, read, stop, notes)
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
        config.model_copy(update=resolved), wanted, folder, rows, chosen, dtype, why, steps, stop, defaults, notes
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


def _rows(
    config: SftConfig,
    wanted: models.Wanted,
    folder: weights.Folder,
    read: tuple[Read, Read, list[Path]],
    stop: str,
    notes: list[str],
) -> Rows:
    """Tokenise, drop what is too long, split."""
    (train, train_read, left_out), (validation, validation_read, validation_left), files = read
    tokenizer = tokenization.load(folder.path, as_it_stands=wanted.embedded, trust_remote_code=config.trust_remote_code)
    tokenization.check(tokenizer, folder.path, folder.config)
    template = chat.load(wanted.family.template)
    suffix = chat.stop_text(template)
    if len(tokenizer.encode(suffix, add_special_tokens=False).ids) > 1:
        notes.append(f"this tokenizer has no token for `{suffix}`, with which answers end: they may run on")

    def sized(made: list[Example]) -> list[data.Sized]:
        chats = [e for e in made if e.text is None]
        texts = [e for e in made if e.text is not None]
        measured = data.measure(chats, chat.encode([e.messages for e in chats], template, tokenizer))
        return measured + data.measure(texts, chat.encode_text([e.text or "" for e in texts], tokenizer, stop))

    fitting = data.fitting(sized(train), config.max_length, config.max_dropped)
    held_out = data.fitting(sized(validation), config.max_length, config.max_dropped) if validation else []
    too_long = len(train) + len(validation) - len(fitting) - len(held_out)
    if held_out:
        asked = {data.key(sized.example) for sized in fitting}
        both = sum(data.key(sized.example) in asked for sized in held_out)
        if both:
            notes.append(
                f"{both:,} of {len(held_out):,} validation rows ask what is also trained on: their loss flatters"
            )
    if not validation:
        size = data.validation_size(len(fitting), config.dataset_test_ratio)
        fitting, held_out = data.split(fitting, size, config.seed)
    if not fitting:
        raise SwiftkitError("no row is left to train on", "give more rows, or a smaller --dataset_test_ratio")
    if not held_out:
        same = len(fitting) > 4 and config.dataset_test_ratio != 0
        reason = "all rows ask the same question" if same else f"{len(fitting)} rows are too few to split"
        reason = "it is turned off" if config.dataset_test_ratio == 0 else reason
        notes.append(
            f"no validation ({reason}): nobody will see whether the model learns or memorises, and there is no best "
            "checkpoint, only the last"
        )
    account = data.Account(
        train_read + validation_read, left_out + validation_left, too_long, len(fitting), len(held_out)
    )
    return Rows(fitting, held_out, account, files)


def _stop_token(folder: Path) -> str:
    file = folder / "tokenizer_config.json"
    value = models.read_object(file).get("eos_token") if file.is_file() else None
    return str(value["content"] if isinstance(value, dict) else value or "")


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
