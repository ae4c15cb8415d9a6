"""What an exam asks: which questions, with which prompt, and the tokens that the model will see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swiftkit import chat, data, instruct, learned, model_folder, plugins, sources, tokenization
from swiftkit.checkpoints import Checkpoint
from swiftkit.config import ExamConfig
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.exams import Question
from swiftkit.schema import Example, Message

DEV = "dev"


@dataclass(frozen=True)
class Sheet:
    """An exam without a model: the questions as tokens, and how answers end.

    Attributes:
        label: short name of the questions, for the exam's folder.
        said: the same for a person.
        questions: what is asked.
        tokenizer: a tokenizer.json as transformers makes it.
        stops: token ids, each of which ends an answer.
        stop_text: text that ends an answer where the tokenizer has no token for it.
        prompt: system prompt, instruction and number of examples as used, for the record.
        notes: what a person should know before reading the mark.
        dev: whether these are validation rows, which have chosen the checkpoint already.
    """

    label: str
    said: str
    questions: list[Question]
    tokenizer: Path
    stops: list[int]
    stop_text: str | None
    prompt: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    dev: bool = False


@dataclass(frozen=True)
class Prompting:
    """How a question becomes a prompt: a system prompt, in place of the row's own or only where it has none, and an
    instruction."""

    system: str | None
    in_place: bool
    instruct: str

    def apply(self, example: Example) -> Example:
        """The row with instruction and system prompt.

        Raises:
            ValueError: the row does not allow it.
        """
        example = instruct.apply(example, self.instruct)
        messages = example.messages
        own = bool(messages) and messages[0]["role"] == "system"
        if self.system is None or (own and not self.in_place):
            return example
        system: Message = {"role": "system", "content": self.system}
        return replace(example, messages=(system, *messages[1 if own else 0 :]))


def sheet(config: ExamConfig, checkpoint: Checkpoint, *, typed: set[str]) -> Sheet:
    """Choose the questions, prepare the prompts, check that every one can be asked and scored.

    Args:
        config: the options.
        checkpoint: what will be asked; tells how it was trained.
        typed: names of the options that the user has given on the command line or by `--config`.

    Raises:
        SwiftkitError: there are no questions, or some cannot be asked; all of them at once.
    """
    prompting = _prompting(config, checkpoint.config, typed)
    names = _training_names(config, checkpoint, typed)
    label, said, asked = _chosen(config, checkpoint, prompting, names)
    _scorable(config.scorer, asked, said)
    notes = learned.overlap(asked, checkpoint.run)
    shown: list[Message] = []
    if config.examples:
        # Today's training data, where it is named; else the rows that the run was trained on, as it kept them.
        again = checkpoint.run is None or "train_dataset" in typed
        rows = _read(names, None, config.seed, prompting) if again else learned.rows(checkpoint.run)
        shown = learned.shown(rows, asked, config.examples, prompting.instruct, config.seed)
    if prompting.instruct == "none" and not any("ans:" in _answer(example) for example in asked):
        notes.append(
            "the references end with `#### n` and nobody tells the model to write a marker, so an answer earns half at "
            "most; --instruct ans tells it, in training and exam alike"
        )
    file = tokenization.file(
        checkpoint.folder.path,
        as_it_stands=checkpoint.wanted.embedded,
        trust_remote_code=config.trust_remote_code,
    )
    tokenizer, template = tokenization.read(file), chat.load(checkpoint.wanted.family.template)
    tokenization.check(
        tokenizer, checkpoint.folder.path, checkpoint.folder.config, checkpoint.wanted.family.special_tokens
    )
    prompts = [_prompt(example, shown) for example in asked]
    questions = [
        Question(number, example.source, tuple(prompt), _answer(example), ids, example.type)
        for number, (example, prompt, ids) in enumerate(
            zip(asked, prompts, chat.prompts(prompts, template, tokenizer), strict=True), 1
        )
    ]
    _fitting(questions, config, checkpoint.folder.config.get("max_position_embeddings"))
    stops, stop_text = _stops(checkpoint, template, tokenizer)
    described = {"system": prompting.system, "instruct": prompting.instruct, "examples": config.examples}
    return Sheet(label, said, questions, file, stops, stop_text, described, notes, dev=said.startswith(f"{DEV}: "))


def _prompting(config: ExamConfig, trained: Mapping[str, Any], typed: set[str]) -> Prompting:
    """What is typed; else what the checkpoint was trained with, not what swiftkit.yaml says today; else that."""

    def meant(name: str) -> Any:
        return getattr(config, name) if name in typed or not trained else trained.get(name)

    return Prompting(meant("system"), "system" in typed, meant("instruct") or "none")


def _training_names(config: ExamConfig, checkpoint: Checkpoint, typed: set[str]) -> list[str]:
    """The training data, in the same order."""
    entry = checkpoint.wanted.entry
    own = [entry.dataset] if entry and entry.dataset else []
    if "train_dataset" in typed:
        return config.train_dataset
    return list(checkpoint.config.get("dataset") or config.train_dataset or own)


def _chosen(
    config: ExamConfig, checkpoint: Checkpoint, prompting: Prompting, names: list[str]
) -> tuple[str, str, list[Example]]:
    """Label, description and rows of the questions, as the design's order has it; `names`: the training data."""
    if config.dataset:
        return *_named(config.dataset), _read(config.dataset, config.format, config.seed, prompting)
    entries = sources.entries()
    plain = [name.partition("#")[0] for name in names]
    exams = list(dict.fromkeys(e for name in plain if name in entries and (e := entries[name].exam)))
    if exams:
        return *_named(exams), _read(exams, None, config.seed, prompting)
    if checkpoint.run:
        # They were kept as they were trained on: only what is asked for now is still to be done.
        again = prompting if prompting.in_place else replace(prompting, system=None)
        marked = []
        for row in learned.rows(checkpoint.run, "validation"):
            with suppress(ValueError):
                _check(config.scorer, _answer(row))
                marked.append(again.apply(row))
        if marked:
            said = f"{DEV}: {len(marked)} validation rows of {checkpoint.run.name}, which also chose the checkpoint"
            return DEV, said, marked
    where = f"the training data ({', '.join(names)}) names no exam" if names else "no training data is known"
    also = ", and the run has no validation rows with answer markers" if checkpoint.run else ""
    raise SwiftkitError(
        f"there are no questions: {where}{also}",
        "name a file with questions and reference answers that hold <<ans:…>> or {{ans:…}}: --dataset my_exam.jsonl",
    )


def _named(names: Sequence[str]) -> tuple[str, str]:
    stems = [Path(name.partition("#")[0]).name.partition(".")[0] or "questions" for name in names]
    return "+".join(stems)[:60], ", ".join(names)


def _read(names: Sequence[str], format: str | None, seed: int, prompting: Prompting) -> list[Example]:
    """The rows of the datasets, prepared; everything that is wrong with them at once."""
    problems, made = Problems(), []
    for name in names:
        with problems.collect():
            rows = sources.read(sources.find(name), seed)
            for example in data.examples(rows, format, None):
                try:
                    if example.text is not None:
                        raise ValueError("plain text asks nothing")
                    made.append(prompting.apply(example))
                except ValueError as error:
                    problems.add(f"{example.source}: {error}")
    sources.raise_shortened(problems)
    return made


def _prompt(example: Example, shown: list[Message]) -> list[Message]:
    *turns, _ = example.messages
    system = turns[:1] if turns[0]["role"] == "system" else []
    return [*system, *shown, *turns[len(system) :]]


def _answer(example: Example) -> str:
    return example.messages[-1]["content"]


def _check(scorer: str, reference: str) -> None:
    check = getattr(plugins.module("scorers", scorer), "check", None)
    if check:
        check(reference)


def _scorable(scorer: str, asked: list[Example], said: str) -> None:
    plugins.get("scorers", scorer)
    problems = Problems()
    for example in asked:
        try:
            _check(scorer, _answer(example))
        except ValueError as error:
            problems.add(f"{example.source}: {error}")
    if len(problems.found) == len(asked) > 1:
        raise SwiftkitError(
            f"{said}: none of the {len(asked):,} reference answers can be scored by `{scorer}`; "
            f"the first: {problems.found[0].message}",
            "write the answers' values as <<ans:78>> or {{ans:78}}, or end them with a line `#### 78`",
        )
    sources.raise_shortened(problems)


def _fitting(questions: list[Question], config: ExamConfig, context: int | None) -> None:
    """Refuse questions that leave no room for the longest answer."""
    longest = max(questions, key=lambda question: len(question.ids))
    room = (context or 0) - config.max_new_tokens
    too_long = sum(len(question.ids) > room for question in questions)
    if not context or not too_long:
        return
    left = context - len(longest.ids)
    hint = f"--max_new_tokens {left} lets all of them fit" if left > 0 else "leave these questions out"
    raise SwiftkitError(
        f"{too_long:,} of {len(questions):,} questions do not fit: this model reads {context:,} tokens, "
        f"{longest.source} has {len(longest.ids):,}, and an answer may have {config.max_new_tokens:,}",
        "give fewer --examples" if config.examples else hint,
    )


def _stops(checkpoint: Checkpoint, template: chat.Template, tokenizer: Any) -> tuple[list[int], str | None]:
    """Tokens that end an answer: the one that was learned, and those that the model folder names."""
    file = checkpoint.folder.path / "generation_config.json"
    generation = model_folder.read_object(file) if file.is_file() else {}
    stop, others, text = chat.stops(template, tokenizer, checkpoint.folder.config, generation)
    return [*stop, *others], None if stop else text
