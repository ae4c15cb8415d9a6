"""From the names of datasets to the rows of a run: read, tokenize, drop what is too long, hold some back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from swiftkit.chat.encode import ChatEncoder
from swiftkit.config.options import DataOptions
from swiftkit.data import instruct, readers, tasks
from swiftkit.data.catalog import resolve_dataset
from swiftkit.data.examples import format_of, to_examples
from swiftkit.data.split import (
    RowCounts,
    TokenizedExample,
    drop_too_long,
    question_key,
    split_rows,
    validation_size,
)
from swiftkit.errors import MAX_PROBLEMS_SHOWN, Problems, SwiftkitError
from swiftkit.models.context import ModelContext
from swiftkit.models.registry import ResolvedModel
from swiftkit.schema import Example

logger = logging.getLogger(__name__)
DEFAULT_DATASET = "math-sft"
O = TypeVar("O", bound=DataOptions)  # noqa: E741


@dataclass
class LoadedExamples:
    """What datasets contain.

    Attributes:
        examples: their examples, prompts as they will be trained on.
        num_rows: rows in the files.
        num_not_sampled: how many of them `#n` left out.
        files: the files.
        formats: dataset to its format and its number of examples.
    """

    examples: list[Example] = field(default_factory=list)
    num_rows: int = 0
    num_not_sampled: int = 0
    files: list[Path] = field(default_factory=list)
    formats: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingData:
    """The examples of a run, and what happened to the other rows."""

    train: list[TokenizedExample]
    validation: list[TokenizedExample]
    counts: RowCounts
    files: list[Path]

    @cached_property
    def num_tokens(self) -> int:
        """Tokens of one pass over the training rows."""
        return sum(example.num_tokens for example in self.train)

    @cached_property
    def num_loss_tokens(self) -> int:
        """How many of them have loss."""
        return sum(example.num_loss_tokens for example in self.train)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(example.num_tokens for example in (*self.train, *self.validation))


def default_dataset(model: ResolvedModel | None) -> str:
    """The training data if none is named."""
    return (model.entry.dataset if model and model.entry else None) or DEFAULT_DATASET


def load_examples(names: Sequence[str], options: DataOptions, problems: Problems) -> LoadedExamples:
    """The examples of the datasets, prompts as `options` say; what is wrong with them is added to `problems`."""
    loaded = LoadedExamples()
    for name in names:
        with problems.collect():
            rows = readers.read(resolve_dataset(name), options.seed)
            loaded.files.append(rows.source.path)
            loaded.num_rows += rows.num_read
            loaded.num_not_sampled += rows.num_not_sampled
            if rows.source.sample and rows.source.sample > rows.num_read:
                logger.warning("%s has %s rows; all of them are used", name, f"{rows.num_read:,}")
            format = format_of(rows, options.format)
            check, example_type = tasks.get(options.task).check, tasks.example_type(options.task)
            examples = to_examples(rows, format, check=check, example_type=example_type, system=options.system)
            loaded.formats[name] = (format, len(examples))
            loaded.examples += _add_instructions(examples, options.instruct)
    return loaded


def _add_instructions(examples: list[Example], name: str) -> list[Example]:
    """The examples with `--instruct`; each one that does not allow it is an error."""
    problems, instructed = Problems(), []
    for example in examples:
        try:
            instructed.append(instruct.add_instruction(example, name))
        except ValueError as error:
            problems.add(f"{example.source}: --instruct {name}: {error}")
    problems.raise_any(MAX_PROBLEMS_SHOWN)
    return instructed


def tokenize(examples: Sequence[Example], task: str, encoder: ChatEncoder) -> list[TokenizedExample]:
    """Each example with its lengths, in the same order."""
    return [
        TokenizedExample(example, len(encoded.ids), encoded.num_loss_tokens)
        for example, encoded in zip(examples, tasks.get(task).encode(examples, encoder), strict=True)
    ]


def clamp_max_length(options: O, context: ModelContext, notes: list[str]) -> O:
    """The options with a `max_length` that the model can read; a note says so if it is lower."""
    limit = context.max_positions or options.max_length
    if limit >= options.max_length:
        return options
    notes.append(f"this model reads at most {limit} tokens: --max_length is {limit}")
    return options.model_copy(update={"max_length": limit})


def prepare(
    options: DataOptions, train: LoadedExamples, validation: LoadedExamples, encoder: ChatEncoder, notes: list[str]
) -> TrainingData:
    """Tokenize, drop rows that are too long, and hold rows back for validation unless `validation` has some.

    What a user should know is added to `notes`.

    Raises:
        SwiftkitError: too many rows are too long, or none is left.
    """
    tokenized = [tokenize(part.examples, options.task, encoder) for part in (train, validation)]
    return divide(options, train, validation, (tokenized[0], tokenized[1]), notes)


def divide(
    options: DataOptions,
    train: LoadedExamples,
    validation: LoadedExamples,
    tokenized: tuple[list[TokenizedExample], list[TokenizedExample]],
    notes: list[str],
) -> TrainingData:
    """The second half of `prepare`, for examples that are tokenized already."""
    kept, held_out = (drop_too_long(part, options.max_length, options.max_dropped) for part in tokenized)
    too_long = sum(map(len, tokenized)) - len(kept) - len(held_out)
    if held_out:
        keys = {question_key(example.example) for example in kept}
        shared = sum(question_key(example.example) in keys for example in held_out)
        if shared:
            notes.append(
                f"{shared:,} of {len(held_out):,} validation rows ask questions of the training data: "
                "the validation loss is optimistic"
            )
    if not validation.examples:
        kept, held_out = split_rows(kept, validation_size(len(kept), options.dataset_test_ratio), options.seed)
    if not kept:
        raise SwiftkitError("no row is left for training", "provide more rows, or a smaller --dataset_test_ratio")
    if not held_out:
        notes.append(
            f"no validation ({_why_no_validation(options, len(kept))}): overfitting cannot be detected, and no best "
            "checkpoint is kept, only the last"
        )
    counts = RowCounts(
        read=train.num_rows + validation.num_rows,
        not_sampled=train.num_not_sampled + validation.num_not_sampled,
        too_long=too_long,
        train=len(kept),
        validation=len(held_out),
    )
    return TrainingData(kept, held_out, counts, train.files + validation.files)


def _why_no_validation(options: DataOptions, num_rows: int) -> str:
    if options.dataset_test_ratio == 0:
        return "it is turned off"
    return "all rows ask the same question" if num_rows > 4 else f"{num_rows} rows are too few to split"
