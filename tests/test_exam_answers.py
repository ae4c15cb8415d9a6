"""The answers of an exam: the tokens of plain transformers, for prompts with the tokens of training."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, shared
from support.exams import exam, files_of, questions_of
from support.models import build, lora, plain_answers
from support.rows import only_run, read_lines, write_rows
from support.trained import Demo
from swiftkit.chat import template as templates
from swiftkit.chat import tokenizer as tokenizers
from swiftkit.chat.encode import ChatEncoder
from swiftkit.exams import job as jobs
from swiftkit.exams.folder import LIMIT, MARKER, STOP
from swiftkit.exams.result import list_results
from swiftkit.models import registry
from swiftkit.schema import IGNORED

MODELS = {"qwen2_5": "qwen2_5-0_5b-instruct", "ernie4_5": "ernie4_5-0_3b", "phi3": "phi3-4b-4k-instruct"}
NOUNS = ["apples", "pages", "clips", "friends", "marbles"]


def question_rows(count: int) -> list[dict[str, Any]]:
    """Questions of different lengths, some with a system message, a blank one, or an earlier turn."""
    rows = []
    for i in range(count):
        question = f"How many {NOUNS[i % 5]} are {i} and {i * 3}?" + " Think well." * (i % 4)
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": f"<<ans:{i * 4}>>"}]
        if i % 5 == 4:
            greeting = [
                {"role": "user", "content": "Hello!"},
                {"role": "assistant", "content": "Hi, how can I help?"},
            ]
            turns = [*greeting, *turns]
        if i % 3 == 1:
            turns.insert(0, {"role": "system", "content": ("", "You are a careful maths tutor.")[i % 2]})
        rows.append({"messages": turns})
    return rows


@pytest.mark.parametrize("family", MODELS)
def test_answers_are_those_of_plain_transformers_one_by_one(
    family: str, family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    base = family_folder(family)
    adapter = lora(base, tmp_path / "adapter", targets=registry.families()[family].lora_targets)
    write_rows(tmp_path / "questions.jsonl", question_rows(14))
    model = ["--model_type", MODELS[family], "--model_id_or_path", str(base), "--dtype", "fp32"]
    words = ["--ckpt", str(adapter), *model, "--dataset", "questions.jsonl", "--max_new_tokens", "24"]
    exam_files = files_of(exam(tmp_path, *words, "--batch_size", "5"))
    job, tokenizer = jobs.load(exam_files.job), tokenizers.load(base)
    questions, answers = exam_files.read_questions(), exam_files.read_answers()
    expected = plain_answers(base, adapter, [question.ids for question in questions], 24, job.stop_ids)
    for question, ids in zip(questions, expected, strict=True):
        answer = answers[question.number]
        num_tokens = answer.tokens - (answer.stop_reason == STOP)
        assert answer.response == tokenizer.decode(ids[:num_tokens]), question.source
        if answer.stop_reason == MARKER:  # these random models have whole markers as tokens
            assert re.search(r"<<ans:\d+>>|\{\{ans:\d+\}\}", answer.response)
        else:
            assert (num_tokens, answer.stop_reason) == (len(ids), LIMIT if len(ids) == 24 else STOP)
    assert sum(answer.tokens for answer in answers.values()) > 60


def test_answers_with_a_sliding_window_are_those_of_plain_transformers(tmp_path: Path) -> None:
    """Phi-3's attention sees the last tokens only, and rows that leave a batch leave its shorter cache as well."""
    base = build(tmp_path / "model", "phi3", sliding_window=12)
    write_rows(tmp_path / "questions.jsonl", question_rows(9))
    words = ["--model_type", MODELS["phi3"], "--model_id_or_path", "model", "--dtype", "fp32", "--max_new_tokens", "20"]
    exam_files = files_of(exam(tmp_path, *words, "--dataset", "questions.jsonl"))
    questions, answers, tokenizer = exam_files.read_questions(), exam_files.read_answers(), tokenizers.load(base)
    stop_ids = jobs.load(exam_files.job).stop_ids
    expected = plain_answers(base, None, [question.ids for question in questions], 20, stop_ids)
    for question, ids in zip(questions, expected, strict=True):
        answer = answers[question.number]
        assert answer.response == tokenizer.decode(ids[: answer.tokens - (answer.stop_reason == STOP)])
    assert len({len(question.ids) for question in questions}) > 3


@pytest.mark.parametrize("family", MODELS)
def test_prompt_tokens_are_those_of_training(family: str, family_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Token by token the start of what is trained, up to the first token with loss of the last answer."""
    base = family_folder(family)
    rows = question_rows(15) + read_lines(shared("data/acp_train_100.jsonl"))[:20]
    assert any(row["messages"][0] == {"role": "system", "content": ""} for row in rows)
    write_rows(tmp_path / "questions.jsonl", rows)
    model = ["--model_type", MODELS[family], "--model_id_or_path", str(base)]
    questions = questions_of(exam(tmp_path, *model, "--dataset", "questions.jsonl", "--max_new_tokens", "1"))
    encoder = ChatEncoder(tokenizers.load(base), templates.load(registry.families()[family].template))
    trained = encoder.encode([row["messages"] for row in rows])
    for question, row in zip(questions, trained, strict=True):
        assert row.ids[: len(question.ids)] == question.ids
        assert row.labels[len(question.ids) - 1] == IGNORED
        assert row.labels[len(question.ids)] != IGNORED


def test_thinking_block_that_the_prompt_opens_belongs_to_the_answer(
    family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """Otherwise the reasoning would be scored."""
    write_rows(tmp_path / "two.jsonl", question_rows(2))
    folder = str(family_folder("qwen3_thinking"))
    result = exam(tmp_path, "--model_id_or_path", folder, "--dataset", "two.jsonl", "--max_new_tokens", "3")
    answers = files_of(result).read_answers()
    assert len(answers) == 2
    assert all(answer.response.startswith("<think>\n") for answer in answers.values())


def test_answers_end_where_the_marker_closes_and_are_otherwise_unchanged(home: Path) -> None:
    """Only what plain PEFT continues with behind the marker is missing."""
    exam_files = files_of(exam(home, "--ckpt", "best", "--dataset", "ten.jsonl#5", "--max_new_tokens", "48"))
    base, run = ROOT / "models" / "tiny-math", only_run(home / "output")
    tokenizer, job = tokenizers.load(base, use_tokenizer_json=True), jobs.load(exam_files.job)
    questions, answers = exam_files.read_questions(), exam_files.read_answers()
    expected = plain_answers(base, run.path / "best", [question.ids for question in questions], 48, job.stop_ids)
    reasons = set()
    for question, ids in zip(questions, expected, strict=True):
        answer, whole = answers[question.number], tokenizer.decode(ids)
        reasons.add(answer.stop_reason)
        if answer.stop_reason == MARKER:
            assert whole.startswith(answer.response)
            assert re.search(r"<<ans:[^>]*>>\s*$", answer.response)
        else:
            assert answer.response == whole
    assert MARKER in reasons


def test_merged_model_answers_like_the_best_checkpoint(demo: Demo) -> None:
    results = {result.kind: result for result in list_results(demo.run.path)}
    adapter, merged = results["adapter"], results["merged"]
    assert adapter.files.read_answers() == merged.files.read_answers()
    assert adapter.scores == merged.scores
    assert len(merged.scores) == 200


def test_merged_folder_that_was_moved_states_what_it_is(home: Path) -> None:
    (path,) = only_run(home / "output").path.glob("merged-*")
    merged = exam(home, "--ckpt", str(path), "--dataset", "ten.jsonl")
    assert merged["kind"] == "merged"
    moved = shutil.copytree(path, home / "elsewhere" / "my_model")
    again = exam(home / "elsewhere", "--ckpt", str(moved), "--dataset", str(home / "ten.jsonl"))
    assert (again["kind"], again["run"]) == ("merged", None)
    assert (again["score"], again["dtype"]) == (merged["score"], "fp32")
    assert files_of(again).read_answers() == files_of(merged).read_answers()
