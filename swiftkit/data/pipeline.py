"""From the names of datasets to the rows of a run: read, tokenize, drop what is too long, hold some back."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from swiftkit.chat.encode import ChatEncoder
from swiftkit.config.options import DataOptions
from swiftkit.data import columns, instruct, readers, tasks
from swiftkit.data.catalog import resolve_dataset
from swiftkit.data.examples import to_examples
from swiftkit.data.source import BadRow
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
MAX_COLUMNS_SHOWN = 8
O = TypeVar("O", bound=DataOptions)  # noqa: E741


@dataclass
class LoadedExamples:
    """What datasets contain.

    Attributes:
        examples: their examples, prompts as they will be trained on.
        num_rows: rows in the files.
        num_not_sampled: how many of them `#n` left out.
        num_without_loss: how many say that they are not to be trained on (`weight: 0`).
        skipped: rows that are left out because they are invalid, with `--bad_rows skip`.
        unused: columns that nothing reads, and the number of rows that have them.
        files: the files.
        formats: dataset to its format and its number of examples.
    """

    examples: list[Example] = field(default_factory=list)
    num_rows: int = 0
    num_not_sampled: int = 0
    num_without_loss: int = 0
    skipped: list[BadRow] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)
    formats: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingData:
    """The examples of a run, and what happened to the other rows."""

    train: list[TokenizedExample]
    validation: list[TokenizedExample]
    counts: RowCounts
    files: list[Path]
    skipped: list[BadRow]

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
            skip_bad = options.bad_rows == "skip"
            rows = readers.read(resolve_dataset(name), options.seed, options.encoding, skip_bad=skip_bad)
            loaded.files += rows.files
            loaded.num_rows += rows.num_read
            loaded.num_not_sampled += rows.num_not_sampled
            if rows.source.sample and rows.source.sample > rows.num_read:
                logger.warning("%s has %s rows; all of them are used", name, f"{rows.num_read:,}")
            read = to_examples(
                rows,
                options.format,
                check=tasks.get(options.task).check,
                example_type=tasks.example_type(options.task),
                system=options.system,
                mapping=columns.parse_mapping(options.columns),
                skip_bad=skip_bad,
            )
            loaded.skipped += [*rows.broken, *read.skipped]
            loaded.formats[name] = (read.format, len(read.examples))
            loaded.num_without_loss += read.num_without_loss
            loaded.unused += read.unused
            examples = _add_instructions(read.examples, options.instruct)
            loaded.examples += [mask_all_but_last(each) for each in examples] if options.loss_on == "last" else examples
    return loaded


def mask_all_but_last(example: Example) -> Example:
    """The example with loss on its last answer only."""
    answers = [index for index, message in enumerate(example.messages) if message["role"] == "assistant"]
    return replace(example, masked=tuple(sorted({*example.masked, *answers[:-1]})))


def _about_unused(unused: Counter[str]) -> str:
    names = ", ".join(f"`{name}`" for name, _ in unused.most_common(MAX_COLUMNS_SHOWN))
    more = f" and {len(unused) - MAX_COLUMNS_SHOWN} more" if len(unused) > MAX_COLUMNS_SHOWN else ""
    return (
        f"columns that are not used: {names}{more}; if one is a question, an answer or context, say so with --columns"
    )


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
    """Each example with its lengths, in the same order.

    Raises:
        SwiftkitError: an example has reasoning in a column of its own, which the template does not write.
    """
    thinking = next((example for example in examples if example.has_reasoning), None)
    if thinking and "</think>" not in encoder.template.source:
        raise SwiftkitError(
            f"{thinking.source}: the row has reasoning apart from its answer, and the chat template "
            f"`{encoder.template.name}` does not write reasoning",
            "choose a thinking model, such as qwen3 or deepseek-r1-distill; or write the reasoning into the answer",
        )
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
    if unused := train.unused + validation.unused:
        notes.append(_about_unused(unused))
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
    _check_skipped(train.skipped + validation.skipped, train.num_rows + validation.num_rows, options.max_dropped)
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
        skipped=len(train.skipped) + len(validation.skipped),
        without_loss=train.num_without_loss + validation.num_without_loss,
        too_long=too_long,
        train=len(kept),
        validation=len(held_out),
    )
    return TrainingData(kept, held_out, counts, train.files + validation.files, train.skipped + validation.skipped)


def _check_skipped(skipped: list[BadRow], num_rows: int, max_dropped: float) -> None:
    if len(skipped) > max_dropped * num_rows:
        raise SwiftkitError(
            f"{len(skipped):,} of {num_rows:,} rows are invalid; the first: {skipped[0].source}: {skipped[0].reason}",
            f"fix them, or allow it with --max_dropped {math.ceil(100 * len(skipped) / num_rows) / 100}",
        )


def _why_no_validation(options: DataOptions, num_rows: int) -> str:
    if options.dataset_test_ratio == 0:
        return "it is turned off"
    return "all rows ask the same question" if num_rows > 4 else f"{num_rows} rows are too few to split"
