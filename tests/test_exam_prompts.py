"""What an exam asks: which questions, with which system prompt, instruction, examples and template."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, swiftkit
from support.exams import exam, files_of, questions_of
from support.rows import chat_rows, only_run, read_lines, rows_of, write_rows
from swiftkit.chat import template as templates
from swiftkit.chat import tokenizer as tokenizers
from swiftkit.chat.encode import ChatEncoder
from swiftkit.config.exam import ExamConfig
from swiftkit.errors import SwiftkitError
from swiftkit.exams.questions import prepare
from swiftkit.training.checkpoint_lookup import resolve_checkpoint

TINY = ["--model_type", "tiny-math"]
TWO_STEPS = ["--max_steps", "2", "--eval_steps", "1"]


# --- system prompt, instruction, examples -----------------------------------------------------------------------------


def test_system_and_examples_are_in_front_of_every_question(home: Path) -> None:
    words = ["--dataset", "ten.jsonl", "--max_new_tokens", "1", "--system", "Answer in steps.", "--few_shot", "3"]
    result = exam(home, *TINY, *words)
    rows = read_lines(ROOT / "datasets" / "math-sft.jsonl")
    training = {row["messages"][-2]["content"]: row["messages"][-1] for row in rows}
    for question in questions_of(result):
        system, *examples, last = question.messages
        assert system == {"role": "system", "content": "Answer in steps."}
        assert len(examples) == 6
        for user, assistant in zip(examples[::2], examples[1::2], strict=True):
            assert training[user["content"]] == assistant
        assert last["content"] not in training
    assert result["prompt"] == {"system": "Answer in steps.", "instruct": "none", "few_shot": 3}


def test_examples_are_never_questions_of_the_exam(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the instruction below the question is: here all but six rows of the training data are questions."""
    rows = {row["messages"][-2]["content"]: row["messages"] for row in rows_of(only_run(home / "output"), "train")}
    held_out = list(rows)[-6:]
    write_rows(home / "questions.jsonl", [{"messages": turns} for text, turns in rows.items() if text not in held_out])
    monkeypatch.chdir(home)
    config = ExamConfig(ckpt="best", dataset=["questions.jsonl"], instruct="ans", few_shot=5)
    questions = prepare(config, resolve_checkpoint(config)).questions
    assert len(questions) == len(rows) - 6 > 800
    for question in questions:
        *examples, _ = question.messages
        assert len({message["content"] for message in examples[::2]}) == 5
        for message in examples[::2]:
            text, instruction = message["content"].split("\n\n")
            assert instruction.endswith("within {{ans:xxx}}."), "an example has the same instruction"
            assert text in held_out
    config = config.model_copy(update={"few_shot": 7})
    with pytest.raises(SwiftkitError, match="the training data has 6 rows that are not questions of the exam"):
        prepare(config, resolve_checkpoint(config))


def gsm8k_rows(count: int, start: int = 0) -> list[dict[str, str]]:
    return [
        {"question": f"What is {i} + {i}?", "answer": f"{i} + {i} = <<{i}+{i}={2 * i}>>{2 * i}\n#### {2 * i}"}
        for i in range(start, start + count)
    ]


def test_instruct_trains_and_examines_data_without_markers(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", gsm8k_rows(60))
    write_rows(tmp_path / "exam.jsonl", gsm8k_rows(5, 100))
    words = ["--dataset", "train.jsonl", "--instruct", "ans", "--system", "Be brief."]
    done = swiftkit("sft", *TINY, *words, *TWO_STEPS)
    assert done.returncode == 0, done.stderr
    for row in rows_of(only_run(tmp_path / "output"), "train"):
        system, question, answer = (message["content"] for message in row["messages"])
        assert system == "Be brief."
        assert question.endswith("give the final answer within {{ans:xxx}}.")
        value = re.search(r"What is (\d+)", question)
        assert value
        assert answer.endswith(f"\n{{{{ans:{2 * int(value[1])}}}}}")
        assert "####" not in answer
    words = ["--dataset", "exam.jsonl", "--max_new_tokens", "1"]
    result = exam(tmp_path, "--ckpt", "best", *words)
    questions = questions_of(result)
    assert all(question.prompt_text.endswith("within {{ans:xxx}}.") for question in questions)
    assert result["prompt"] == {"system": "Be brief.", "instruct": "ans", "few_shot": 0}
    assert result["notes"] == []
    assert swiftkit("export", "--merge_lora", "--export_dir", "elsewhere/merged").returncode == 0
    merged = exam(tmp_path, "--ckpt", "elsewhere/merged", *words)
    assert [question.ids for question in questions_of(merged)] == [question.ids for question in questions]
    plain = swiftkit("exam", *TINY, *words)
    assert plain.returncode == 0
    assert "--instruct ans" in plain.stderr


# --- which questions --------------------------------------------------------------------------------------------------


def test_without_an_exam_the_questions_are_the_validation_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(60))
    assert swiftkit("sft", *TINY, "--dataset", "rows.jsonl", *TWO_STEPS).returncode == 0
    result = exam(tmp_path, "--max_new_tokens", "1")
    assert result["is_validation"]
    assert "which also chose the checkpoint" in result["dataset"]
    assert files_of(result).answers.parent.name.startswith("validation-")
    rows = rows_of(only_run(tmp_path / "output"), "validation")
    assert result["num_questions"] == len(rows) > 0
    assert [question.reference for question in questions_of(result)] == [row["messages"][-1]["content"] for row in rows]


def test_project_file_names_the_training_data_and_never_the_questions(home: Path) -> None:
    """swiftkit.yaml is written for sft: questions from its dataset would be those that were trained."""
    (home / "swiftkit.yaml").write_text("model_type: tiny-math\ndataset: math-sft\nbatch_size: 3\nlora_rank: 4\n")
    result = exam(home)
    assert result["dataset"] == "math-exam"
    assert result["kind"] == "adapter", "a model in swiftkit.yaml does not request its base"
    rows = [{"messages": row["messages"]} for row in read_lines(ROOT / "datasets" / "math-sft.jsonl")]
    write_rows(home / "other.jsonl", rows[:100])
    write_rows(home / "leaked.jsonl", rows[:5])
    (home / "swiftkit.yaml").write_text("dataset: other.jsonl\nsystem: You are a pirate.\ninstruct: ans\n")
    later = exam(home)
    assert later["dataset"] == "math-exam", "the data of the run counts, not the current one"
    assert later["prompt"] == {"system": None, "instruct": "none", "few_shot": 0}
    assert later["answers_key"] == result["answers_key"]
    leaked = swiftkit("exam", "--dataset", "leaked.jsonl", "--instruct", "ans", "--max_new_tokens", "1", cwd=home)
    assert "questions are in the training data" in leaked.stderr


def test_questions_in_the_training_data_are_reported(home: Path) -> None:
    rows = [{"messages": row["messages"]} for row in rows_of(only_run(home / "output"), "train")[:3]]
    write_rows(home / "leaked.jsonl", [*rows, *read_lines(home / "ten.jsonl")])
    words = ["--ckpt", "best", "--dataset", "leaked.jsonl", "--max_new_tokens", "1"]
    done = swiftkit("exam", *words, cwd=home)
    assert "3 of 13 questions are in the training data" in done.stderr
    (note,) = exam(home, *words)["notes"]
    assert note.startswith("3 of 13 questions are in the training data")


# --- template and notes -----------------------------------------------------------------------------------------------


@pytest.fixture
def own_template(tmp_path: Path) -> Path:
    """The template of a family of the user's, in the folder `mine`; its text is that of Qwen2.5."""
    for kind in ("registry", "templates"):
        (tmp_path / "mine" / kind).mkdir(parents=True)
    (tmp_path / "mine" / "registry" / "own.yaml").write_text(
        "template: own\nspecial_tokens: ['<|im_start|>', '<|im_end|>']\narchitectures: [Qwen2ForCausalLM]\n"
        "swift: {model_type: qwen2, template: qwen2_5}\nlora_targets: [q_proj]\n"
        "models: {own-model: {parameters: 1.0e6}}\n"
    )
    file = tmp_path / "mine" / "templates" / "own.jinja"
    file.write_text((ROOT / "templates" / "qwen2_5.jinja").read_text(encoding="utf-8"), encoding="utf-8")
    return file


def test_exam_uses_the_template_that_the_checkpoint_was_trained_with(own_template: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(40))
    write_rows(tmp_path / "exam.jsonl", chat_rows(3, 100))
    write_rows(tmp_path / "later.jsonl", chat_rows(3, 200))
    folder = ROOT / "models" / "tiny-math"
    model = ["--model_type", "own-model", "--model_id_or_path", str(folder), "--registry", "mine"]
    done = swiftkit("sft", *model, "--dataset", "rows.jsonl", "--max_steps", "1", "--eval_steps", "1")
    assert done.returncode == 0, done.stderr
    trained = own_template.read_text(encoding="utf-8")
    run = only_run(tmp_path / "output")
    assert run.template_file.read_text(encoding="utf-8") == trained
    words = ["--max_new_tokens", "1", "--dataset"]
    before = exam(tmp_path, "--ckpt", "best", *words, "exam.jsonl")

    edited = trained.replace("You are Qwen, created by Alibaba Cloud.", "You are a pirate.")
    own_template.write_text(edited, encoding="utf-8")
    after = exam(tmp_path, "--ckpt", "best", *words, "exam.jsonl")
    assert (after["folder"], after["new_answers"]) == (before["folder"], 0)

    def prompts(source: str) -> list[list[int]]:
        encoder = ChatEncoder(tokenizers.load(folder, use_tokenizer_json=True), templates.compile(source, "own"))
        return list(encoder.prompts([row["messages"][:-1] for row in chat_rows(3, 200)]))

    assert prompts(trained) != prompts(edited)
    for checkpoint in ("best", "last", "base"):
        result = exam(tmp_path, "--ckpt", checkpoint, *words, "later.jsonl")
        assert [question.ids for question in questions_of(result)] == prompts(trained), checkpoint
    current = exam(tmp_path, *model, *words, "later.jsonl")
    assert [question.ids for question in questions_of(current)] == prompts(edited), "a model without a run"


@pytest.mark.parametrize(
    ("scorer", "prompt", "reference", "has_note"),
    [
        ("ans", "What is 3 + 4?", "#### 7", True),
        ("ans_strict", "What is 3 + 4?", "#### 7", True),
        ("ans", "What is 3 + 4?", "<<ans:7>>", False),
        ("ans", "What is 3 + 4?\nWrite the answer as {{ans:xxx}}.", "#### 7", False),
        ("course_base", "What is 3 + 4?", "#### 7", False),
        ("course_tuned", "What is 3 + 4?", "seven", False),
    ],
)
def test_missing_markers_are_noted_only_where_they_matter(
    scorer: str, prompt: str, reference: str, has_note: bool, tmp_path: Path
) -> None:
    def notes(rows: list[dict[str, Any]], **options: Any) -> list[str]:
        write_rows(tmp_path / "exam.jsonl", rows)
        config = ExamConfig(model_type="tiny-math", dataset=["exam.jsonl"], scorer=scorer, **options)
        return prepare(config, resolve_checkpoint(config, model_means_base=True)).notes

    row = {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": reference}]}
    assert [note.startswith("the references end with `#### n`") for note in notes([row, row])] == [True] * has_note
    assert notes([row, *chat_rows(1)]) == [], "one of the references has a marker"
    if has_note:
        assert notes([row, row], instruct="ans") == []
        assert notes([row, row], system="End with <<ans:…>>.") == []
