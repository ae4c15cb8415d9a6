"""The score of an exam: how it is computed, shown, compared, reported."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

import pytest

from support.commands import stdout_json, swiftkit
from support.exams import exam, files_of, questions_of
from support.rows import chat_rows, only_run, write_rows
from swiftkit.exams import metrics, runner
from swiftkit.exams.folder import ERROR, LIMIT, MARKER, STOP, Answer, ScoreRecord
from swiftkit.exams.result import list_results
from swiftkit.scoring.scorers import COUNT_NAMES, Score

BEST = ["--ckpt", "best", "--dataset", "ten.jsonl"]
SHORT = [*BEST, "--max_new_tokens", "8"]
TINY = ["--model_type", "tiny-math", "--dataset", "ten.jsonl"]


# --- how it is computed -----------------------------------------------------------------------------------------------


def test_score_counts_every_question() -> None:
    values = [1, 1, 0.5, 0, 0]
    reasons = (MARKER, STOP, STOP, ERROR, LIMIT)
    scores = {n: ScoreRecord(n, Score(value, "", metadata={"in_marker": value == 1})) for n, value in enumerate(values)}
    answers = {n: Answer(n, "", 1, reason) for n, reason in enumerate(reasons)}
    score = metrics.score_exam(5, scores, answers, COUNT_NAMES)
    assert (score.score, score.total, score.num_questions) == (50, 2.5, 5)
    assert (score.right, score.partial, score.wrong, score.failed, score.truncated) == (2, 1, 1, 1, 1)
    assert (score.in_marker, score.answer_correct) == (2, 0)
    undeclared = metrics.score_exam(5, scores, answers, ())
    assert (undeclared.score, undeclared.right, undeclared.wrong, undeclared.in_marker) == (50, None, None, None)


@pytest.mark.parametrize(("num_questions", "num_scores"), [(0, 0), (5, 4)])
def test_missing_questions_or_scores_are_an_error(num_questions: int, num_scores: int) -> None:
    scores = {n: ScoreRecord(n, Score(1.0, "")) for n in range(num_scores)}
    with pytest.raises(ValueError, match="scores for"):
        metrics.score_exam(num_questions, scores, {}, ())


@pytest.mark.parametrize(("right", "num_questions"), [(0, 10), (10, 10), (7, 10), (185, 200), (1, 3)])
def test_interval_is_wilsons(right: int, num_questions: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(right, num_questions).proportion_ci(method="wilson")
    interval = metrics.wilson_interval(right, num_questions)
    assert interval == pytest.approx((100 * expected.low, 100 * expected.high), abs=1e-4)


def test_evalscopes_score_is_recorded_only_where_it_agrees() -> None:
    for score, questions, recorded in [(0.7, 10, {"score": 0.7}), (0.875, 8, {}), (0.875, 10, {}), (None, 10, {})]:
        reported = {"version": "1", "score": score, "questions": questions}
        assert runner.evalscope_record(reported, 70.0, 10) == {"version": "1"} | recorded


# --- how it is shown --------------------------------------------------------------------------------------------------


def test_best_is_examined_on_the_exam_of_its_training_data(home: Path) -> None:
    done = swiftkit("exam", "--ckpt", "best", cwd=home)
    assert done.returncode == 0, done.stderr
    assert re.search(r"run: tiny-math/v0-\S+ \(finished\)", done.stderr)
    assert "200 questions" in done.stdout
    run = only_run(home / "output")
    results = {result.kind: result for result in (*list_results(run.path), *list_results(run.path.parent))}
    base, result = results["base"], results["adapter"]
    assert result.dataset == "math-exam"
    assert len(result.scores) == len(result.files.read_answers()) == result.num_questions == 200
    total = sum(record.value for record in result.scores.values())
    assert result.score == pytest.approx(100 * total / 200, abs=0.01)
    assert result.evalscope["score"] == pytest.approx(result.score / 100, abs=1e-4)
    assert re.search(rf"^score +{base.score:.1f} +{result.score:.1f}$", done.stdout, re.MULTILINE)
    low, high = result.interval
    assert re.search(rf"^95 % interval +\d.* to .* +{low:.1f} to {high:.1f}$", done.stdout, re.MULTILINE)
    assert re.search(rf"^truncated at the token limit +\d+ +{result.truncated}$", done.stdout, re.MULTILINE)
    not_right = [line for line in done.stdout.splitlines() if re.match(r"\d+ +(0|0\.5) ", line)]
    assert len(not_right) == min(20, sum(record.value < 1 for record in result.scores.values()))


def test_base_and_best_are_compared(home: Path) -> None:
    alone = swiftkit("exam", *BEST, cwd=home)
    assert "--with_base" in alone.stderr
    both = swiftkit("exam", *BEST, "--with_base", cwd=home)
    assert both.returncode == 0, both.stderr
    assert re.search(r"^10 questions +base +best of tiny-math/v0", both.stdout, re.MULTILINE)
    assert re.search(r"\d+ questions score higher than with the base model, \d+ lower", both.stdout)
    base = exam(home, *TINY)
    assert base["new_answers"] == 0, "a base exam is the same, before or after the training"
    result = exam(home, *BEST)
    assert result["base"]["score"] == base["score"]
    first, second = (files_of(each).read_scores() for each in (base, result))
    assert result["base"]["gained"] == sum(second[n].value > first[n].value for n in second) > 0
    assert result["base"]["lost"] == sum(second[n].value < first[n].value for n in second)


def test_runs_show_lists_the_scores(home: Path) -> None:
    result = exam(home, *SHORT)
    shown = swiftkit("runs", "show", "v0", cwd=home)
    line = rf"^exam +{result['score']:.1f} of 100 .* on ten.jsonl, 10 questions, adapter at step \d+$"
    assert re.search(line, shown.stdout, re.MULTILINE)
    exams = stdout_json(swiftkit("runs", "show", "v0", "--json", cwd=home))["exams"]
    assert [each["kind"] for each in exams] == ["adapter", "merged", "adapter"], "two of the demo, then this one"
    assert (exams[-1]["score"], exams[-1]["folder"]) == (result["score"], os.path.relpath(result["folder"], home))


def test_score_below_the_threshold_ends_with_3(home: Path) -> None:
    words = ["exam", *TINY, "--max_new_tokens", "8"]
    assert swiftkit(*words, "--fail_under", "99", cwd=home).returncode == 3
    assert swiftkit(*words, "--fail_under", "0", cwd=home).returncode == 0


def test_terminal_that_cannot_show_a_character_still_shows_the_score(home: Path) -> None:
    exam(home, *SHORT)
    done = swiftkit("exam", *SHORT, cwd=home, process=True, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^score +\d", done.stdout, re.MULTILINE)
    assert "…" not in done.stdout, "the terminal has no such character"


# --- the report -------------------------------------------------------------------------------------------------------


def test_report_has_every_question_and_loads_nothing(home: Path) -> None:
    result = exam(home, *BEST, "--with_base")
    page = html.unescape(Path(result["report"]).read_text(encoding="utf-8"))
    for question in questions_of(result):
        assert question.prompt_text in page
    assert f"<strong>{result['score']:.1f}</strong>" in page
    assert f"<strong>{result['base']['score']:.1f}</strong>" in page
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?://""", page)


def test_report_shows_markup_as_text(tmp_path: Path) -> None:
    question = {"role": "user", "content": "<script>alert(1)</script>?"}
    write_rows(tmp_path / "questions.jsonl", [{"messages": [question, chat_rows(1)[0]["messages"][1]]}])
    words = ["--model_type", "tiny-math", "--dataset", "questions.jsonl", "--max_new_tokens", "4"]
    page = Path(exam(tmp_path, *words)["report"]).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
