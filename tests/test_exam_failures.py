"""What fails in an exam: a question, the worker, a scorer; and scorers of other packages."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from tokenizers import Tokenizer

from support.commands import ROOT, swiftkit
from support.exams import exam, files_of, questions_of
from support.rows import read_lines
from swiftkit.exams import job as jobs
from swiftkit.exams.engines import Generation
from swiftkit.exams.folder import ERROR
from swiftkit.exams.session import ExamSession, SessionStopRule

WORDS = ["--ckpt", "best", "--dataset", "ten.jsonl"]
FAULT = {"WORKER_FAULT": str(ROOT / "tests" / "fault" / "failing_model.py")}


def test_question_that_fails_stays_in_the_denominator(home: Path) -> None:
    """Two questions break the model, also alone; the others are answered, and all ten count."""
    broken = exam(home, *WORDS, **FAULT, FAIL_ON="3,7")
    assert (broken["num_questions"], broken["failed"]) == (10, 2)
    answers = files_of(broken).read_answers()
    assert answers[3].stop_reason == answers[7].stop_reason == ERROR
    assert "no memory for this question" in (answers[3].error or "")
    complete = exam(home, *WORDS)
    assert (complete["new_answers"], complete["failed"]) == (2, 0), "only failed questions are asked again"
    scores = files_of(complete).read_scores()
    assert any(score.value for score in scores.values())
    expected = sum(score.value for number, score in scores.items() if number not in (3, 7))
    assert broken["score"] == pytest.approx(100 * expected / 10)
    assert broken["wrong"] == sum(not score.value for number, score in scores.items() if number not in (3, 7))


def test_model_that_fails_on_every_question_has_no_score(home: Path) -> None:
    failing = ",".join(str(number) for number in range(1, 11))
    done = swiftkit("exam", *WORDS, cwd=home, **FAULT, FAIL_ON=failing)
    assert done.returncode == 1
    assert "no question could be answered: RuntimeError: no memory for this question" in done.stderr
    assert not done.stdout


def test_worker_that_is_killed_is_reported_and_its_answers_are_kept(home: Path) -> None:
    questions = sorted(questions_of(exam(home, *WORDS, "--max_new_tokens", "1")), key=lambda q: -len(q.ids))
    third_longest = str(questions[2].number)  # the first of the second batch
    done = swiftkit("exam", *WORDS, "--batch_size", "2", cwd=home, **FAULT, FAIL_ON=third_longest, FAIL_BY="kill")
    assert done.returncode == 1
    assert "killed by signal 9" in done.stderr
    assert "Traceback" not in done.stderr
    assert exam(home, *WORDS)["new_answers"] == 8


def test_two_commands_cannot_run_the_same_exam(home: Path) -> None:
    result = exam(home, *WORDS, "--max_new_tokens", "1")
    with FileLock(Path(result["folder"]).parent / ".lock"):
        done = swiftkit("exam", *WORDS, "--max_new_tokens", "1", cwd=home)
    assert done.returncode == 2
    assert f"another exam is running in {Path(result['folder']).parent}" in done.stderr


# --- scorers of other packages ----------------------------------------------------------------------------------------


ENGINE = """
class Engine:
    def generate(self, prompts, stop, on_done):
        for prompt in prompts:
            pass


def load(job):
    return Engine()
"""
ANSWER = "from swiftkit.exams.engines import Generation; on_done(Generation(prompt.number, stop_reason='stop'))"


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """The environment in which a package with four scorers and two engines is installed."""
    site = tmp_path / "site"
    info = site / "my_scores-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-scores\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[swiftkit.scorers]\nraises = my_raises\nconstant = my_constant\ngenerous = my_generous\ntext = my_text\n"
        "[swiftkit.engines]\nsilent = my_silent\nempty = my_empty\n"
    )
    start = "from swiftkit.scorers import Score\n\n\ndef score(response, reference, **details):\n"
    (site / "my_constant.py").write_text(f"{start}    return Score(0.75, 'constant')\n")
    (site / "my_generous.py").write_text(f"{start}    return Score(1.5, 'generous')\n")
    (site / "my_text.py").write_text(f"{start}    return 'right'\n")
    (site / "my_silent.py").write_text(ENGINE)
    (site / "my_empty.py").write_text(ENGINE.replace("pass", ANSWER))
    third = read_lines(ROOT / "datasets" / "math-exam.jsonl")[2]["messages"][1]["content"]
    (site / "my_raises.py").write_text(f"{start}    return Score(1 / (reference != {third!r}), 'constant')\n")
    return {"PYTHONPATH": os.fspath(site)}


def test_scorer_that_raises_is_a_bug_and_not_a_missing_row(home: Path, plugin: dict[str, str]) -> None:
    done = swiftkit("exam", *WORDS, "--max_new_tokens", "1", "--scorer", "raises", cwd=home, **plugin)
    assert done.returncode == 70
    assert "scorer `raises`" in done.stderr
    assert "ten.jsonl:3" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert not done.stdout


def test_scorer_of_another_package_needs_one_line(home: Path, plugin: dict[str, str]) -> None:
    result = exam(home, *WORDS, "--max_new_tokens", "1", "--scorer", "constant", **plugin)
    assert result["score"] == 75
    assert result["right"] is result["in_marker"] is None, "it declares no counts"


@pytest.mark.parametrize(("scorer", "message"), [("generous", "has no value in [0, 1]"), ("text", "is not a Score")])
def test_result_that_is_not_a_valid_score_is_a_bug_of_the_scorer(
    home: Path, plugin: dict[str, str], scorer: str, message: str
) -> None:
    done = swiftkit("exam", *WORDS, "--max_new_tokens", "1", "--scorer", scorer, cwd=home, **plugin)
    assert done.returncode == 70
    assert f"scorer `{scorer}`, ten.jsonl:1" in done.stderr
    assert message in done.stderr
    assert not done.stdout


# --- engines of other packages ----------------------------------------------------------------------------------------


def test_engine_that_leaves_a_question_out_is_named(home: Path, plugin: dict[str, str]) -> None:
    done = swiftkit("exam", *WORDS, "--engine", "silent", cwd=home, **plugin)
    assert done.returncode == 1
    assert "the exam failed: engine `silent` gave no response to question 1" in done.stderr


def test_response_without_tokens_is_empty(home: Path, plugin: dict[str, str]) -> None:
    result = exam(home, *WORDS, "--engine", "empty", **plugin)
    assert (result["wrong"], result["failed"], result["truncated"]) == (10, 0, 0)
    assert {answer.response for answer in files_of(result).read_answers().values()} == {""}


def test_reasoning_that_the_prompt_began_is_marked_in_text_of_an_engine(home: Path, plugin: dict[str, str]) -> None:
    job = jobs.load(files_of(exam(home, *WORDS, "--engine", "empty", **plugin)).job)
    tokenizer = Tokenizer.from_file(str(job.tokenizer))
    tokenizer.add_tokens(["<think>"])
    tokenizer.save(str(home / "tokenizer.json"))
    session = ExamSession(job.model_copy(update={"tokenizer": home / "tokenizer.json"}))
    stop = SessionStopRule(session)
    question = session.questions[1]

    def response(text: str) -> str:
        return stop.to_answer(Generation(1, text=text, stop_reason="stop")).response

    assert response("7</think>8") == "7</think>8"
    session.questions[1] = replace(question, ids=[*question.ids, tokenizer.token_to_id("<think>")])
    assert response("7</think>8") == "<think>\n7</think>8"
    assert response("<think>7</think>8") == "<think>7</think>8"
    assert response("8") == "8", "a server that returns the reasoning separately"
