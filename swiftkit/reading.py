"""From the names of datasets to the rows of a run: read, tokenise, drop what is too long, hold some back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from swiftkit import chat, data, instruct, model_folder, models, sources, tokenization
from swiftkit.config import DataOptions
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.schema import Example
from swiftkit.weights import Folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)
D = TypeVar("D", bound=DataOptions)


@dataclass
class Read:
    """What datasets hold: their examples, how many rows were read and how many of them `#n` left out, the files.

    `formats` says which format each dataset is in and how many examples it gave; `sized` is filled by
    `Tokens.measure`.
    """

    examples: list[Example] = field(default_factory=list)
    rows: int = 0
    not_sampled: int = 0
    files: list[Path] = field(default_factory=list)
    formats: dict[str, tuple[str, int]] = field(default_factory=dict)
    sized: list[data.Sized] = field(default_factory=list)


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
class Tokens:
    """How a model reads rows: its tokenizer, its family's template, and `stop`, the text that ends plain text."""

    tokenizer: Tokenizer
    template: chat.Template
    stop: str

    @classmethod
    def of(cls, wanted: models.Wanted, folder: Folder, *, trust_remote_code: bool) -> Tokens:
        """Those of a model.

        Raises:
            SwiftkitError: the tokenizer cannot be read, or is another model's.
        """
        path, as_it_stands = folder.path, wanted.embedded
        tokenizer = tokenization.load(path, as_it_stands=as_it_stands, trust_remote_code=trust_remote_code)
        tokenization.check(tokenizer, path, folder.config, wanted.family.special_tokens)
        return cls(tokenizer, chat.load(wanted.family.template), _stop_token(path))

    @property
    def notes(self) -> list[str]:
        """What a person should know: that the tokenizer lacks the token with which answers end."""
        suffix = chat.stop_text(self.template)
        if len(self.tokenizer.encode(suffix, add_special_tokens=False).ids) <= 1:
            return []
        return [f"this tokenizer has no token for `{suffix}`, with which answers end: they may run on"]

    def measure(self, read: Read) -> None:
        """Work out the lengths of the examples; conversations first, then plain text."""
        chats = [e for e in read.examples if e.text is None]
        texts = [e for e in read.examples if e.text is not None]
        read.sized = data.measure(chats, chat.encode([e.messages for e in chats], self.template, self.tokenizer))
        read.sized += data.measure(texts, chat.encode_text([e.text or "" for e in texts], self.tokenizer, self.stop))


def _stop_token(folder: Path) -> str:
    file = folder / "tokenizer_config.json"
    value = model_folder.read_object(file).get("eos_token") if file.is_file() else None
    return str(value["content"] if isinstance(value, dict) else value or "")


def default_dataset(wanted: models.Wanted | None) -> str:
    """What is trained on when nothing is said."""
    return (wanted.entry.dataset if wanted and wanted.entry else None) or "math-sft"


def read(asked: Sequence[str], config: DataOptions, problems: Problems) -> Read:
    """The examples of the datasets, prompts as `config` wants them; what is wrong with them goes to `problems`."""
    found = Read()
    for name in asked:
        with problems.collect():
            rows = sources.read(sources.find(name), config.seed)
            found.files.append(rows.source.path)
            found.rows, found.not_sampled = found.rows + rows.read, found.not_sampled + rows.not_sampled
            if rows.source.sample and rows.source.sample > rows.read:
                logger.warning("%s has %s rows; all of them are taken", name, f"{rows.read:,}")
            format = data.format_of(rows, config.format)
            made = data.examples(rows, format, config.system)
            found.formats[name] = (format, len(made))
            found.examples += _instructed(made, config.instruct)
    return found


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


def within(config: D, folder: Folder, notes: list[str]) -> D:
    """The options with a `max_length` that the model can read; a note says so where that is less."""
    limit = int(folder.config.get("max_position_embeddings") or config.max_length)
    if limit >= config.max_length:
        return config
    notes.append(f"this model reads at most {limit} tokens: --max_length is {limit}")
    return config.model_copy(update={"max_length": limit})


def divide(config: DataOptions, train: Read, validation: Read, notes: list[str]) -> Rows:
    """Drop what is too long, and hold rows back to validate on, unless `validation` brings them.

    Both have been measured. What a person should know is added to `notes`.

    Raises:
        SwiftkitError: too many rows are too long, or none is left.
    """
    fitting = data.fitting(train.sized, config.max_length, config.max_dropped)
    held_out = data.fitting(validation.sized, config.max_length, config.max_dropped)
    too_long = len(train.sized) + len(validation.sized) - len(fitting) - len(held_out)
    if held_out:
        asked = {data.key(sized.example) for sized in fitting}
        both = sum(data.key(sized.example) in asked for sized in held_out)
        if both:
            notes.append(
                f"{both:,} of {len(held_out):,} validation rows ask what is also trained on: their loss flatters"
            )
    if not validation.examples:
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
    read, left_out = train.rows + validation.rows, train.not_sampled + validation.not_sampled
    account = data.Account(read, left_out, too_long, len(fitting), len(held_out))
    return Rows(fitting, held_out, account, train.files + validation.files)
