"""What an exam asks: which questions, with which prompts, and the tokens that the model gets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swiftkit import files, plugins
from swiftkit.chat.stops import Stops, find_stops
from swiftkit.config.exam import ExamConfig
from swiftkit.data import catalog, columns, contamination, instruct, readers
from swiftkit.data.examples import to_examples
from swiftkit.data.tasks import sft
from swiftkit.errors import MAX_PROBLEMS_SHOWN, Problems, SwiftkitError
from swiftkit.exams.fewshot import sample_few_shot
from swiftkit.exams.folder import Question
from swiftkit.exams.result import PromptSettings
from swiftkit.models.context import ModelContext
from swiftkit.schema import Example, Message
from swiftkit.scoring import markers
from swiftkit.scoring.scorers import reads_markers
from swiftkit.training.checkpoint import Checkpoint, TrainingSettings

VALIDATION = "validation"


@dataclass(frozen=True)
class PreparedExam:
    """An exam without a model: the questions as tokens, and how responses end.

    Attributes:
        label: short name of the questions, for the exam's folder.
        dataset: the same for a user.
        questions: what is asked.
        tokenizer: a tokenizer.json as transformers builds it.
        stops: what ends a response.
        prompt: how questions became prompts, for the record.
        notes: what a user should know before reading the score.
        is_validation: whether these are validation rows, by which the checkpoint was chosen.
    """

    label: str
    dataset: str
    questions: list[Question]
    tokenizer: Path
    stops: Stops
    prompt: PromptSettings
    notes: list[str] = field(default_factory=list)
    is_validation: bool = False


@dataclass(frozen=True)
class _Selection:
    """Label, description and rows of the questions."""

    label: str
    dataset: str
    rows: list[Example]
    is_validation: bool = False


@dataclass(frozen=True)
class _Prompting:
    """A system prompt, for rows without one or (`override_system`) for all of them; an instruction."""

    system: str | None
    override_system: bool
    instruct: str

    def apply(self, example: Example) -> Example:
        """The row with instruction and system prompt.

        Raises:
            ValueError: the row does not allow it.
        """
        example = instruct.add_instruction(example, self.instruct)
        messages = example.messages
        has_own = bool(messages) and messages[0]["role"] == "system"
        if self.system is None or (has_own and not self.override_system):
            return example
        system: Message = {"role": "system", "content": self.system}
        return replace(example, messages=(system, *messages[1 if has_own else 0 :]))


def prepare(config: ExamConfig, checkpoint: Checkpoint) -> PreparedExam:
    """Choose the questions, prepare the prompts, check that every one can be asked and scored.

    Raises:
        SwiftkitError: there are no questions, or some cannot be asked; all of them at once.
    """
    prompting = _prompting(config, checkpoint.settings)
    training_names = _training_datasets(config, checkpoint)
    selected = _select(config, checkpoint, prompting, training_names)
    _check_scorable(config.scorer, selected)
    few_shot: list[Message] = []
    if config.few_shot:
        # Current training data, if it is named; else the rows that the run was trained on, as it kept them.
        from_files = checkpoint.run is None or config.is_explicit("train_dataset")
        rows = (
            _read(training_names, ExamConfig(seed=config.seed), prompting) if from_files else _kept(checkpoint, "train")
        )
        few_shot = sample_few_shot(rows, selected.rows, config.few_shot, prompting.instruct, config.seed)
    context = checkpoint.context
    prompts = [_prompt(example, few_shot) for example in selected.rows]
    encoded = zip(selected.rows, prompts, context.encoder.prompts(prompts), strict=True)
    questions = [
        Question(number, example.source, tuple(prompt), _reference(example), ids, example.type)
        for number, (example, prompt, ids) in enumerate(encoded, 1)
    ]
    _check_context(questions, config, context.max_positions)
    return PreparedExam(
        selected.label,
        selected.dataset,
        questions,
        context.tokenizer_file,
        _stops(context),
        PromptSettings(system=prompting.system, instruct=prompting.instruct, few_shot=config.few_shot),
        _notes(config, checkpoint, selected),
        is_validation=selected.is_validation,
    )


def _prompting(config: ExamConfig, trained: TrainingSettings | None) -> _Prompting:
    """What is explicit; else what the checkpoint was trained with, not what swiftkit.yaml says today; else that."""

    def value(name: str) -> Any:
        return getattr(config, name) if config.is_explicit(name) or trained is None else getattr(trained, name)

    return _Prompting(value("system"), config.is_explicit("system"), value("instruct") or "none")


def _training_datasets(config: ExamConfig, checkpoint: Checkpoint) -> list[str]:
    """The training data, in the same order of precedence."""
    if config.is_explicit("train_dataset"):
        return config.train_dataset
    trained, entry = checkpoint.settings, checkpoint.model.entry
    default = [entry.dataset] if entry and entry.dataset else []
    return list(trained.dataset if trained else ()) or config.train_dataset or default


# --- the questions ----------------------------------------------------------------------------------------------------


def _select(config: ExamConfig, checkpoint: Checkpoint, prompting: _Prompting, training_names: list[str]) -> _Selection:
    """The questions that are named; else the exam of the training data; else the run's validation rows."""
    if config.dataset:
        rows = _read(config.dataset, config, prompting)
        return _Selection(*_labels(config.dataset), rows)
    if exams := catalog.exams_of(training_names):
        return _Selection(*_labels(exams), _read(exams, ExamConfig(seed=config.seed), prompting))
    if checkpoint.run and (rows := _validation_rows(config, checkpoint, prompting)):
        dataset = f"{len(rows)} validation rows of {checkpoint.run.name}, which also chose the checkpoint"
        return _Selection(VALIDATION, dataset, rows, is_validation=True)
    names = ", ".join(training_names)
    where = f"the training data ({names}) names no exam" if names else "no training data is known"
    also = ", and the run has no validation rows with answer markers" if checkpoint.run else ""
    raise SwiftkitError(
        f"there are no questions: {where}{also}",
        "name a file with questions and reference answers that hold <<ans:…>> or {{ans:…}}: --dataset my_exam.jsonl",
    )


def _labels(names: Sequence[str]) -> tuple[str, str]:
    """A short name for a folder, and the names for a user."""
    stems = [Path(name.partition("#")[0]).name.partition(".")[0] or "questions" for name in names]
    return "+".join(stems)[:60], ", ".join(names)


def _validation_rows(config: ExamConfig, checkpoint: Checkpoint, prompting: _Prompting) -> list[Example]:
    """The run's validation rows that can be scored."""
    # They were kept with their prompts as trained: only what is explicit now is still to be added.
    pending = prompting if prompting.override_system else replace(prompting, system=None)
    rows = []
    for row in _kept(checkpoint, "validation"):
        with suppress(ValueError):
            _check_reference(config.scorer, _reference(row))
            rows.append(pending.apply(row))
    return rows


def _kept(checkpoint: Checkpoint, part: str) -> list[Example]:
    return checkpoint.run.examples(part) if checkpoint.run else []


def _read(names: Sequence[str], config: ExamConfig, prompting: _Prompting) -> list[Example]:
    """The rows of datasets as prompts; everything that is wrong with them at once."""
    problems, examples = Problems(), []
    for name in names:
        with problems.collect():
            rows = readers.read(catalog.resolve_dataset(name), config.seed, config.encoding)
            mapping = columns.parse_mapping(config.columns)
            for example in to_examples(rows, config.format, check=sft.check, mapping=mapping).examples:
                try:
                    if example.text is not None:
                        raise ValueError("plain text is not a question")
                    examples.append(prompting.apply(example))
                except ValueError as error:
                    problems.add(f"{example.source}: {error}")
    problems.raise_any(MAX_PROBLEMS_SHOWN)
    return examples


def _prompt(example: Example, few_shot: list[Message]) -> list[Message]:
    *turns, _ = example.messages
    system = turns[:1] if turns[0]["role"] == "system" else []
    return [*system, *few_shot, *turns[len(system) :]]


def _reference(example: Example) -> str:
    content = example.messages[-1]["content"]
    return content.partition("</think>")[2].lstrip() if content.startswith("<think>") else content


# --- checks -----------------------------------------------------------------------------------------------------------


def _check_reference(scorer: str, reference: str) -> None:
    check = getattr(plugins.module("scorers", scorer), "check", None)
    if check:
        check(reference)


def _check_scorable(scorer: str, selected: _Selection) -> None:
    """Refuse references that the scorer cannot score against."""
    plugins.get("scorers", scorer)
    problems, rows = Problems(), selected.rows
    for example in rows:
        try:
            _check_reference(scorer, _reference(example))
        except ValueError as error:
            problems.add(f"{example.source}: {error}")
    if len(problems.found) == len(rows) > 1:
        raise SwiftkitError(
            f"{selected.dataset}: none of the {len(rows):,} reference answers can be scored by `{scorer}`; "
            f"the first: {problems.found[0].message}",
            "write the answers' values as <<ans:78>> or {{ans:78}}, or end them with a line `#### 78`"
            if reads_markers(scorer)
            else None,
        )
    problems.raise_any(MAX_PROBLEMS_SHOWN)


def _check_context(questions: list[Question], config: ExamConfig, max_positions: int | None) -> None:
    """Refuse questions that leave no room for the longest response."""
    longest = max(questions, key=lambda question: len(question.ids))
    room = (max_positions or 0) - config.max_new_tokens
    too_long = sum(len(question.ids) > room for question in questions)
    if not max_positions or not too_long:
        return
    remaining = max_positions - len(longest.ids)
    hint = f"--max_new_tokens {remaining} lets all of them fit" if remaining > 0 else "remove these questions"
    raise SwiftkitError(
        f"{too_long:,} of {len(questions):,} questions do not fit: this model reads {max_positions:,} tokens, "
        f"{longest.source} has {len(longest.ids):,}, and a response may have {config.max_new_tokens:,}",
        "lower --few_shot" if config.few_shot else hint,
    )


def _notes(config: ExamConfig, checkpoint: Checkpoint, selected: _Selection) -> list[str]:
    """What a user should know before reading the score."""
    notes = []
    contaminated = len(contamination.exact_matches(selected.rows, _kept(checkpoint, "train")))
    if contaminated:
        notes.append(
            f"{contaminated:,} of {len(selected.rows):,} questions are in the training data, which inflates the score"
        )
    if reads_markers(config.scorer) and not _show_markers(selected.rows):
        notes.append(
            "the references end with `#### n` and no prompt asks the model for a marker, without which no answer gets "
            "the full score; --instruct ans asks for it, in training and exam alike"
        )
    return notes


def _show_markers(rows: Sequence[Example]) -> bool:
    """Whether a prompt mentions answer markers, or a reference does not end with `#### n` alone."""
    with suppress(ValueError):  # a marker that the scorer accepts although it is empty or a placeholder
        ends_with_number = all(markers.marker_style(_reference(example)) == "#### n" for example in rows)
        return not ends_with_number or any(map(instruct.mentions_markers, rows))
    return True


def _stops(context: ModelContext) -> Stops:
    path = context.folder.path / "generation_config.json"
    generation = files.read_object(path) if path.is_file() else {}
    return find_stops(context.template, context.tokenizer, context.folder.config, generation)
