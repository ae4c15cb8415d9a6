"""What an exam keeps: answers survive kills and serve other scores; nothing stale is used."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, SWIFTKIT, installed, stdout_json, swiftkit, write_package
from support.exams import exam, files_of
from support.rows import only_run, read_lines, write_rows
from swiftkit.scoring import scorers
from swiftkit.scoring.scorers import ans, ans_strict

BEST = ["--ckpt", "best", "--dataset"]
SHORT = [*BEST, "three.jsonl", "--max_new_tokens", "8"]


@pytest.fixture
def three(home: Path) -> Path:
    """The folder `home` with a file of three questions."""
    write_rows(home / "three.jsonl", read_lines(home / "ten.jsonl")[:3])
    return home


def with_values(rows: list[dict[str, Any]], change: Any) -> list[dict[str, Any]]:
    """Exam rows with another value in the reference's marker, a function of the one in there."""
    changed = []
    for row in rows:
        question, answer = row["messages"]
        content = re.sub(r"<<ans:(\d+)>>", lambda m: f"<<ans:{change(int(m[1]))}>>", answer["content"])
        assert content != answer["content"]
        changed.append({**row, "messages": [question, {**answer, "content": content}]})
    return changed


# --- interrupted exams ------------------------------------------------------------------------------------------------


def test_exam_that_was_killed_continues_where_it_was(home: Path) -> None:
    words = [*BEST, "ten.jsonl", "--max_new_tokens", "48", "--batch_size", "2"]
    complete = exam(home, *words)
    answers = files_of(complete).answers
    expected = answers.read_text(encoding="utf-8")
    shutil.rmtree(answers.parent)
    # The worker reports each answer after it is written: a start and two phases, then the fourth answer.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "kill"), "KILL_AT": "open|/.events.jsonl|a|7"}
    killed = subprocess.run([*SWIFTKIT, "exam", *words], cwd=home, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(read_lines(answers)) == 4
    with answers.open("a", encoding="utf-8") as stream:
        stream.write('{"number": 17, "resp')  # a line that a crash has truncated
    again = exam(home, *words)
    assert again["folder"] == complete["folder"]
    assert again["new_answers"] == 6
    assert again["score"] == complete["score"]
    assert answers.read_text(encoding="utf-8") == expected


def test_exam_interrupted_by_ctrl_c_keeps_its_answers(home: Path) -> None:
    words = ["exam", *BEST, "forty.jsonl", "--max_new_tokens", "400", "--batch_size", "1"]
    with subprocess.Popen([*SWIFTKIT, *words], cwd=home, stderr=subprocess.PIPE, text=True) as process:
        while not any(path.stat().st_size for path in home.glob("output/*/v0*/exams/forty-*/answers.jsonl")):
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    (answers,) = home.glob("output/*/v0*/exams/forty-*/answers.jsonl")
    assert f"interrupted: {len(read_lines(answers))} of 40 questions are answered and kept" in stderr
    assert "Traceback" not in stderr


# --- unchanged exams --------------------------------------------------------------------------------------------------


def test_finished_exam_generates_nothing_again(home: Path) -> None:
    first = exam(home, *BEST, "ten.jsonl")
    again = exam(home, *BEST, "ten.jsonl")
    assert (first["new_answers"], again["new_answers"]) == (10, 0)
    assert (again["score"], again["folder"]) == (first["score"], first["folder"])


def test_eval_is_exam(three: Path) -> None:
    result = exam(three, *SHORT)
    again = swiftkit("eval", *SHORT, "--json", cwd=three)
    assert again.returncode == 0, again.stderr
    content = json.loads(again.stdout)
    assert content["new_answers"] == 0
    assert content["command"].startswith("swiftkit eval ")
    differing = {"new_answers", "command", "seconds", "ended", "device"}  # of the device, the available memory
    assert {**content, **dict.fromkeys(differing)} == {**result, **dict.fromkeys(differing)}
    assert swiftkit("eval", "--help").stdout == swiftkit("exam", "--help").stdout


def test_few_shot_is_examples(three: Path) -> None:
    result, again = exam(three, *SHORT, "--examples", "2"), exam(three, *SHORT, "--few_shot", "2")
    assert result["prompt"]["few_shot"] == again["prompt"]["few_shot"] == 2
    assert (again["folder"], again["new_answers"]) == (result["folder"], 0)


# --- other scores of the same answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "other_words"),
    [
        ("--scorer ans", "--scorer ans --tolerance 0.1"),
        ("--scorer ans", "--scorer ans_strict"),
        ("--scorer course_base", "--scorer course_tuned"),
    ],
)
def test_another_score_with_the_same_stop_rule_uses_the_same_answers(words: str, other_words: str, three: Path) -> None:
    first = exam(three, *SHORT, *words.split())
    answers = files_of(first).answers
    before = answers.read_bytes()
    again = exam(three, *SHORT, *other_words.split())
    assert (first["new_answers"], again["new_answers"]) == (3, 0)
    assert again["answers_key"] == first["answers_key"]
    assert again["scores_key"] != first["scores_key"]
    assert again["folder"] != first["folder"], "both scores are kept"
    assert files_of(again).answers == answers
    assert answers.read_bytes() == before


def test_another_stop_rule_generates_again(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = exam(three, *SHORT), exam(three, *SHORT, "--scorer", "course_base")
    assert second["new_answers"] == 3
    assert files_of(second).answers != files_of(first).answers
    monkeypatch.setattr(ans, "CLOSERS", ">")  # as of a scorer that has ans's `done`, but asks it after fewer tokens
    assert exam(three, *SHORT)["new_answers"] == 3


def test_references_that_differ_in_their_values_share_the_answers(home: Path) -> None:
    """A reference that is corrected later is scored without asking again, by the new value."""
    rows = read_lines(home / "ten.jsonl")
    for name, questions in {"first": rows, "second": with_values(rows, lambda value: value * 1.01)}.items():
        (home / name).mkdir()
        write_rows(home / name / "exam.jsonl", questions)
    first = exam(home, *BEST, "first/exam.jsonl")
    second = exam(home, *BEST, "second/exam.jsonl")
    assert (first["new_answers"], second["new_answers"]) == (10, 0)
    assert files_of(second).answers == files_of(first).answers
    assert first["score"] > second["score"] == 0, "scores are of the references in their own file"
    tolerant = exam(home, *BEST, "second/exam.jsonl", "--tolerance", "0.02")
    assert (tolerant["new_answers"], tolerant["score"]) == (0, first["score"])
    write_rows(home / "second" / "exam.jsonl", with_values(rows, lambda value: f"{value}>><<ans:{value}"))
    assert exam(home, *BEST, "second/exam.jsonl")["new_answers"] == 10, "a second marker is part of the stop rule"


@pytest.mark.parametrize("scorer", [ans, ans_strict])
def test_stop_key_is_the_number_of_reference_values(scorer: Any) -> None:
    assert scorer.stop_key("7 + 8 = 15\n<<ans:15>>") == scorer.stop_key("{{ans:16}}") == scorer.stop_key("#### 17") == 1
    assert scorer.stop_key("{{ans:1}} and {{ans:2}}") == 2


# --- changed exams ----------------------------------------------------------------------------------------------------


def test_nothing_stale_is_used_after_a_change(three: Path) -> None:
    keys = {exam(three, *SHORT)["answers_key"]}

    def check_changed(*words: str) -> None:
        result = exam(three, *words)
        assert result["answers_key"] not in keys
        assert result["new_answers"] == 3
        keys.add(result["answers_key"])

    rows = read_lines(three / "three.jsonl")
    write_rows(three / "three.jsonl", rows[::-1])
    check_changed(*SHORT)
    check_changed(*SHORT, "--system", "Answer.")
    check_changed(*SHORT, "--dtype", "bf16")
    check_changed(*SHORT[:-1], "9")
    last = only_run(three / "output").last()
    assert last
    of_last = ["--ckpt", "last", *SHORT[2:]]
    keys.add(exam(three, *of_last)["answers_key"])
    content = bytearray((last / "adapter_model.safetensors").read_bytes())
    content[-2] ^= 1
    (last / "adapter_model.safetensors").write_bytes(content)
    check_changed(*of_last)


def test_files_of_another_exam_in_the_folder_are_not_used(three: Path) -> None:
    job = files_of(exam(three, *SHORT)).job
    content = json.loads(job.read_text(encoding="utf-8"))
    job.write_text(json.dumps({**content, "answers_key": "0" * 64}), encoding="utf-8")
    assert exam(three, *SHORT)["new_answers"] == 3


def test_base_whose_answers_are_gone_is_not_compared(three: Path) -> None:
    base = exam(three, "--ckpt", "base", *SHORT[2:])
    assert exam(three, *SHORT)["base"]["folder"] == base["folder"]
    files_of(base).answers.unlink()
    assert "base" not in exam(three, *SHORT)


def test_result_whose_failed_answer_was_replaced_is_not_listed(home: Path) -> None:
    """Two scorers share the answers; the first has counted a failed one, which the second asks again."""
    fault = {"WORKER_FAULT": str(ROOT / "tests" / "fault" / "failing_model.py"), "FAIL_ON": "3"}
    words = [*BEST, "ten.jsonl", "--max_new_tokens", "1"]
    assert exam(home, *words, **fault)["failed"] == 1

    def listed() -> list[str]:
        shown = stdout_json(swiftkit("runs", "show", "v0", "--json", cwd=home))
        return sorted(result["scorer"] for result in shown["exams"] if result["dataset"] == "ten.jsonl")

    assert listed() == ["ans"]
    second = exam(home, *words, "--scorer", "ans_strict")
    assert (second["new_answers"], second["failed"]) == (1, 0)
    assert listed() == ["ans_strict"]
    assert exam(home, *words)["new_answers"] == 0
    assert listed() == ["ans", "ans_strict"]


def test_stop_rules_from_one_factory_have_different_keys(tmp_path: Path) -> None:
    site = tmp_path / "site"
    entries = "[swiftkit.scorers]\none = stops_one\nthree = stops_three\npart = stops_part\n"
    text = (
        "from functools import partial\n"
        "def after(count): return lambda response, reference, question='': response.count('x') >= count\n"
        "def at_x(count, response, reference, question=''): return 'x' in response\n"
        "def score(response, reference, **more): pass\n"
    )
    modules = {
        "stops_one": f"{text}done = after(1)\n",
        "stops_three": f"{text}done = after(3)\n",
        "stops_part": f"{text}done = partial(at_x, 1)\n",
    }
    write_package(site, "stops", modules, entries)
    with installed(str(site)):
        keys = [scorers.stop_rule_key(name, ["{{ans:7}}"]) for name in ("one", "three", "part")]
    assert len({json.dumps(key) for key in keys}) == 3


def test_edited_stop_rule_is_another_one(tmp_path: Path) -> None:
    site = tmp_path / "site"
    text = "def score(response, reference, **more): pass\ndef done(response, reference, question=''): return {}\n"
    keys = []
    for value in ("True", "False"):
        shutil.rmtree(site, ignore_errors=True)
        write_package(site, "own", {"own_stop": text.format(value)}, "[swiftkit.scorers]\nown = own_stop\n")
        with installed(str(site)):
            keys.append(scorers.stop_rule_key("own", ["{{ans:7}}"]))
    assert keys[0] != keys[1]
    assert scorers.stop_rule_key("ans", ["{{ans:7}}"]) == scorers.stop_rule_key("ans_strict", ["{{ans:8}}"])
    assert scorers.stop_rule_key("course_base", ["{{ans:7}}"]) is None
