"""Exams: the same answers as plain transformers, a record of every question, nothing stale, nothing lost."""

from __future__ import annotations

import html
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
from conftest import ROOT, SWIFTKIT, build, chat_rows, lora, plain_answers, shared, swiftkit, write_rows

from swiftkit import chat, exams, hardware, marks, models, runs, tokenization
from swiftkit.exams import Answer, Scored

NAMES = {"qwen2_5": "qwen2_5-0_5b-instruct", "ernie4_5": "ernie4_5-0_3b", "phi3": "phi3-4b-4k-instruct"}
WORDS = ["apples", "pages", "clips", "friends", "marbles"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON object on stdout."""
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def asked_rows(count: int) -> list[dict[str, Any]]:
    """Questions of different lengths, some with a system message, a blank one, or an earlier turn."""
    rows = []
    for i in range(count):
        asked = f"How many {WORDS[i % 5]} are {i} and {i * 3}?" + " Think well." * (i % 4)
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": f"<<ans:{i * 4}>>"}]
        if i % 3 == 1:
            turns.insert(0, {"role": "system", "content": ("", "You are a careful maths tutor.")[i % 2]})
        if i % 5 == 4:
            turns = [
                {"role": "user", "content": "Hello!"},
                {"role": "assistant", "content": "Hi, how can I help?"},
                *turns,
            ]
            turns = sorted(turns, key=lambda turn: turn["role"] != "system")
        rows.append({"messages": turns})
    return rows


# --- the answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", NAMES)
def test_answers_are_those_of_plain_transformers_one_by_one(family: str, family_folder: Any, tmp_path: Path) -> None:
    base = family_folder(family)
    adapter = lora(base, tmp_path / "adapter", targets=models.families()[family].lora_targets)
    write_rows(tmp_path / "questions.jsonl", asked_rows(14))
    model = ["--model_type", NAMES[family], "--model_id_or_path", str(base), "--dtype", "fp32"]
    words = ["--ckpt", str(adapter), *model, "--dataset", "questions.jsonl", "--max_new_tokens", "24"]
    result = told(swiftkit("exam", *words, "--batch_size", "5", "--json"))
    folder = exams.Folder(Path(result["folder"]))
    job, tokenizer = exams.load(folder.job), tokenization.load(base)
    questions, answers = folder.asked(), folder.answered()
    theirs = plain_answers(base, adapter, [question.ids for question in questions], 24, job.stops)
    for question, ids in zip(questions, theirs, strict=True):
        answer = answers[question.number]
        said = answer.tokens - (answer.end == "stop")
        assert answer.response == tokenizer.decode(ids[:said]), question.source
        if answer.end == "marker":  # these random models know whole markers as tokens
            assert re.search(r"<<ans:\d+>>|\{\{ans:\d+\}\}", answer.response)
        else:
            assert (said, answer.end) == (len(ids), "limit" if len(ids) == 24 else "stop")
    assert sum(answer.tokens for answer in answers.values()) > 60


def test_answers_behind_a_sliding_window_are_those_of_plain_transformers(tmp_path: Path) -> None:
    """Phi-3's attention sees the last tokens only, and rows that leave a batch leave its shorter cache as well."""
    base = build(tmp_path / "model", "phi3", sliding_window=12)
    write_rows(tmp_path / "questions.jsonl", asked_rows(9))
    words = ["--model_type", NAMES["phi3"], "--model_id_or_path", "model", "--dtype", "fp32", "--max_new_tokens", "20"]
    result = told(swiftkit("exam", *words, "--dataset", "questions.jsonl", "--json"))
    folder = exams.Folder(Path(result["folder"]))
    answers, tokenizer = folder.answered(), tokenization.load(base)
    plain = plain_answers(base, None, [q.ids for q in folder.asked()], 20, exams.load(folder.job).stops)
    for number, ids in enumerate(plain, 1):
        said = answers[number].tokens - (answers[number].end == "stop")
        assert answers[number].response == tokenizer.decode(ids[:said])
    assert len({len(question.ids) for question in folder.asked()}) > 3


@pytest.mark.parametrize("family", NAMES)
def test_prompt_tokens_are_those_of_training(family: str, family_folder: Any, tmp_path: Path) -> None:
    """Token by token the beginning of what training sees, up to the first learned token of the last answer."""
    base = family_folder(family)
    rows = asked_rows(15) + lines(shared("data/acp_train_100.jsonl"))[:20]
    assert any(row["messages"][0] == {"role": "system", "content": ""} for row in rows)
    write_rows(tmp_path / "questions.jsonl", rows)
    model = ["--model_type", NAMES[family], "--model_id_or_path", str(base)]
    result = told(swiftkit("exam", *model, "--dataset", "questions.jsonl", "--max_new_tokens", "1", "--json"))
    template, tokenizer = chat.load(models.families()[family].template), tokenization.load(base)
    trained = chat.encode([row["messages"] for row in rows], template, tokenizer)
    for question, row in zip(exams.Folder(Path(result["folder"])).asked(), trained, strict=True):
        assert row.ids[: len(question.ids)] == question.ids
        assert row.labels[len(question.ids) - 1] == chat.IGNORED
        assert row.labels[len(question.ids)] != chat.IGNORED


# --- the loop: one real training, examined in many ways --------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder in which the embedded model was trained for half a minute, and a file with questions."""
    folder = tmp_path_factory.mktemp("home")
    words = ["--model_type", "tiny-math", "--learning_rate", "3e-3", "--num_train_epochs", "1", "--eval_steps", "30"]
    done = swiftkit("sft", *words, cwd=folder, XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    rows = lines(ROOT / "datasets" / "math-exam.jsonl")
    write_rows(folder / "forty.jsonl", rows[:40])
    write_rows(folder / "ten.jsonl", rows[:10])
    return folder


@pytest.fixture
def here(home: Path, tmp_path: Path) -> Path:
    """A copy of that folder, for tests that change it."""
    return Path(shutil.copytree(home, tmp_path / "home", symlinks=True, ignore=shutil.ignore_patterns("exams")))


def exam(folder: Path, *words: str, **env: str) -> dict[str, Any]:
    return told(swiftkit("exam", *words, "--json", cwd=folder, **env))


def test_best_is_examined_on_the_exam_of_its_training_data(home: Path) -> None:
    done = swiftkit("exam", "--ckpt", "best", cwd=home)
    assert done.returncode == 0, done.stderr
    assert re.search(r"run: tiny-math/v0-\S+ \(finished\)", done.stderr)
    assert "200 questions" in done.stdout
    assert re.search(r"^mark +\d+\.\d", done.stdout, re.MULTILINE)
    assert re.search(r"^95 % interval +\d+\.\d to \d+\.\d", done.stdout, re.MULTILINE)
    assert re.search(r"^cut at the token limit +\d+", done.stdout, re.MULTILINE)
    (run,) = runs.listed(home / "output")
    (folder,) = (run.path / "exams").glob("math-exam-*")
    result = json.loads((folder / "exam.json").read_text(encoding="utf-8"))
    scores = exams.Folder(folder).scored()
    assert len(scores) == len(exams.Folder(folder).answered()) == result["count"] == 200
    assert result["mark"] == pytest.approx(100 * sum(s.credit for s in scores.values()) / 200, abs=0.01)
    assert result["evalscope"]["score"] == pytest.approx(result["mark"] / 100, abs=1e-4)
    wrong = [line for line in done.stdout.splitlines() if re.match(r"\d+ +(0|0\.5) ", line)]
    assert len(wrong) == min(20, sum(score.credit < 1 for score in scores.values()))


def test_a_thinking_block_that_the_prompt_opens_belongs_to_the_answer(family_folder: Any, tmp_path: Path) -> None:
    """Else what is only thought would be marked."""
    rows = lines(ROOT / "datasets" / "math-exam.jsonl")
    write_rows(tmp_path / "two.jsonl", rows[:2])
    folder = str(family_folder("qwen3_thinking"))
    result = exam(tmp_path, "--model_id_or_path", folder, "--dataset", "two.jsonl", "--max_new_tokens", "3")
    answers = exams.Folder(Path(result["folder"])).answered()
    assert all(answer.response.startswith("<think>\n") for answer in answers.values())


def test_answers_end_where_the_marker_closes_and_nothing_else_changes(home: Path) -> None:
    """What plain PEFT goes on to write behind the marker is all that is missing."""
    result = exam(home, "--ckpt", "best", "--dataset", "forty.jsonl", "--max_new_tokens", "48")
    folder = exams.Folder(Path(result["folder"]))
    base, (run,) = ROOT / "models" / "tiny-math", runs.listed(home / "output")
    tokenizer, job = tokenization.load(base, as_it_stands=True), exams.load(folder.job)
    questions, answers = folder.asked(), folder.answered()
    plain = plain_answers(base, run.path / "best", [q.ids for q in questions], 48, job.stops)
    ends = set()
    for question, ids in zip(questions, plain, strict=True):
        answer, whole = answers[question.number], tokenizer.decode(ids)
        ends.add(answer.end)
        if answer.end == "marker":
            assert whole.startswith(answer.response)
            assert re.search(r"<<ans:[^>]*>>\s*$", answer.response)
        else:
            assert answer.response == whole
    assert "marker" in ends


def test_merged_model_answers_like_the_best_checkpoint(here: Path) -> None:
    adapter = exam(here, "--ckpt", "best", "--dataset", "forty.jsonl")
    done = swiftkit("export", "--merge_lora", cwd=here)
    assert done.returncode == 0, done.stderr
    path = done.stdout.splitlines()[-1]
    merged = exam(here, "--ckpt", path, "--dataset", "forty.jsonl")
    assert merged["kind"] == "merged"
    first, second = (exams.Folder(Path(result["folder"])) for result in (adapter, merged))
    assert first.answered() == second.answered()
    assert first.scored() == second.scored()
    # Away from its run, the merged folder itself tells what it is.
    moved = shutil.copytree(here / path, here / "elsewhere" / "my_model")
    again = exam(here / "elsewhere", "--ckpt", str(moved), "--dataset", str(here / "forty.jsonl"))
    assert (again["mark"], again["dtype"]) == (merged["mark"], "fp32")


def test_the_tutorials_commands_work_from_another_directory_with_a_relative_model(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models" / "tiny-math", tmp_path / "work" / "model")
    write_rows(tmp_path / "work" / "rows.jsonl", chat_rows(60))
    write_rows(tmp_path / "work" / "exam.jsonl", chat_rows(6, 100))
    work, away = tmp_path / "work", tmp_path / "away"
    away.mkdir()
    words = ["--model_type", "tiny-math", "--model_id_or_path", "./model", "--dataset", "rows.jsonl"]
    assert swiftkit("sft", *words, "--max_steps", "4", "--eval_steps", "2", cwd=work).returncode == 0
    assert swiftkit("exam", "--ckpt", "best", "--dataset", "exam.jsonl", cwd=work).returncode == 0
    assert swiftkit("export", "--merge_lora", cwd=work).returncode == 0
    (run,) = runs.listed(work / "output")
    checkpoint = f"{run.path}/checkpoint-4"
    export = swiftkit("export", "--ckpt_dir", checkpoint, "--merge_lora", "true", "--to", "merged", cwd=away)
    assert export.returncode == 0, export.stderr
    assert (away / "merged" / "model.safetensors").is_file()
    result = exam(away, "--ckpt", str(run.path), "--dataset", "../work/exam.jsonl")
    assert result["run"] == str(run.path)


# --- the record ------------------------------------------------------------------------------------------------------


def answers_file(result: dict[str, Any]) -> Path:
    return Path(result["folder"]) / "answers.jsonl"


def test_killed_after_16_of_40_goes_on_with_24(here: Path) -> None:
    words = ["--ckpt", "best", "--dataset", "forty.jsonl", "--max_new_tokens", "48", "--batch_size", "8"]
    whole = exam(here, *words)
    kept = answers_file(whole).read_text(encoding="utf-8")
    shutil.rmtree(whole["folder"])
    # The child tells of each answer after it is written: two phases and the start, then the sixteenth answer.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "kill"), "KILL_AT": "open|/.events.jsonl|a|19"}
    killed = subprocess.run([*SWIFTKIT, "exam", *words], cwd=here, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(lines(answers_file(whole))) == 16
    with answers_file(whole).open("a", encoding="utf-8") as stream:
        stream.write('{"number": 17, "resp')  # a line that the crash has cut off
    again = exam(here, *words)
    assert again["folder"] == whole["folder"]
    assert again["new_answers"] == 24
    assert again["mark"] == whole["mark"]
    assert answers_file(again).read_text(encoding="utf-8") == kept


def test_interrupted_by_ctrl_c_keeps_what_is_answered(here: Path) -> None:
    words = ["exam", "--ckpt", "best", "--max_new_tokens", "400", "--batch_size", "4"]
    with subprocess.Popen([*SWIFTKIT, *words], cwd=here, stderr=subprocess.PIPE, text=True) as process:
        while not any(p.stat().st_size for p in here.glob("output/*/v0*/exams/*/answers.jsonl")):
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"interrupted: \d+ of 200 questions are answered and kept", said)
    assert "Traceback" not in said


def test_finished_exam_answers_nothing_again(here: Path) -> None:
    first = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl")
    again = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl")
    assert (first["new_answers"], again["new_answers"]) == (10, 0)
    assert again["mark"] == first["mark"]


def test_nothing_stale_is_used_when_something_changed(here: Path) -> None:
    words = ["--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "16"]
    folders = {exam(here, *words)["folder"]}

    def changed(*more: str) -> dict[str, Any]:
        result = exam(here, *words, *more)
        assert result["folder"] not in folders
        assert result["new_answers"] == 10
        folders.add(result["folder"])
        return result

    rows = lines(here / "ten.jsonl")
    write_rows(here / "ten.jsonl", rows[::-1])
    changed()
    rows[0]["messages"][-1]["content"] = "<<ans:1>>"
    write_rows(here / "ten.jsonl", rows)
    changed()
    changed("--system", "Answer.")
    changed("--dtype", "bf16")
    (run,) = runs.listed(here / "output")
    longer = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "17")
    assert (longer["folder"] in folders, longer["new_answers"]) == (False, 10)
    last = run.last()
    assert last
    file = last / "adapter_model.safetensors"
    before = exam(here, "--ckpt", "last", *words[2:])
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    after = exam(here, "--ckpt", "last", *words[2:])
    assert after["folder"] != before["folder"]
    assert after["new_answers"] == 10


def test_another_exams_files_in_the_folder_are_not_believed(here: Path) -> None:
    first = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl")
    job = Path(first["folder"]) / "job.json"
    content = json.loads(job.read_text(encoding="utf-8"))
    job.write_text(json.dumps({**content, "key": "0" * 64}), encoding="utf-8")
    assert exam(here, "--ckpt", "best", "--dataset", "ten.jsonl")["new_answers"] == 10


def test_question_that_fails_stays_in_the_denominator(here: Path) -> None:
    """Two questions break the model, alone too; the others are answered, and all ten count."""
    words = ["--ckpt", "best", "--dataset", "ten.jsonl"]
    sound = exam(here, *words)
    scores = exams.Folder(Path(sound["folder"])).scored()
    shutil.rmtree(sound["folder"])
    environment = {"PYTHONPATH": str(ROOT / "tests" / "fault"), "FAIL_ON": "3,7"}
    broken = exam(here, *words, **environment)
    assert (broken["count"], broken["failed"]) == (10, 2)
    expected = sum(score.credit for number, score in scores.items() if number not in (3, 7))
    assert broken["mark"] == pytest.approx(100 * expected / 10)
    answers = exams.Folder(Path(broken["folder"])).answered()
    assert answers[3].end == answers[7].end == "error"
    assert "no memory for this question" in (answers[3].error or "")
    healed = exam(here, *words)
    assert (healed["new_answers"], healed["failed"], healed["mark"]) == (2, 0, sound["mark"])


def test_model_that_fails_on_every_question_has_no_mark(here: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT / "tests" / "fault"), "FAIL_ON": ",".join(map(str, range(1, 11)))}
    done = swiftkit("exam", "--ckpt", "best", "--dataset", "ten.jsonl", cwd=here, **environment)
    assert done.returncode == 1
    assert "no question could be answered: RuntimeError: no memory for this question" in done.stderr
    assert "mark" not in done.stdout


def test_process_that_is_killed_is_told_and_its_answers_are_kept(here: Path) -> None:
    words = ["--ckpt", "best", "--dataset", "ten.jsonl", "--batch_size", "2"]
    (longest, *_) = sorted(exams_of(here, *words), key=lambda question: -len(question.ids))[2:]
    environment = {"PYTHONPATH": str(ROOT / "tests" / "fault"), "FAIL_ON": str(longest.number), "FAIL_BY": "kill"}
    done = swiftkit("exam", *words, cwd=here, **environment)
    assert done.returncode == 1
    assert "killed by signal 9" in done.stderr
    assert "Traceback" not in done.stderr
    assert exam(here, *words)["new_answers"] == 8


def exams_of(folder: Path, *words: str) -> list[exams.Question]:
    """The questions of an exam, which is then forgotten."""
    result = exam(folder, *words)
    asked = exams.Folder(Path(result["folder"])).asked()
    shutil.rmtree(result["folder"])
    return asked


def test_scorer_that_raises_is_a_bug_not_a_missing_row(here: Path, plugin: dict[str, str]) -> None:
    done = swiftkit("exam", "--ckpt", "best", "--dataset", "ten.jsonl", "--scorer", "raises", cwd=here, **plugin)
    assert done.returncode == 70
    assert "scorer `raises`" in done.stderr
    assert "ten.jsonl:3" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "mark" not in done.stdout


def test_scorer_of_another_package_needs_one_line(here: Path, plugin: dict[str, str]) -> None:
    result = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl", "--scorer", "always", **plugin)
    assert result["mark"] == 75


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """A package beside swiftkit with two scorers; the environment in which it is installed."""
    site = tmp_path / "site"
    info = site / "my_scores-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-scores\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[swiftkit.scorers]\nraises = my_raises\nalways = my_always\n")
    start = "from swiftkit.scorers import Score\n\n\ndef score(response, reference, **details):\n"
    (site / "my_always.py").write_text(f"{start}    return Score(0.75, 'always')\n")
    third = lines(ROOT / "datasets" / "math-exam.jsonl")[2]["messages"][1]["content"]
    (site / "my_raises.py").write_text(f"{start}    return Score(1 / (reference != {third!r}), 'never')\n")
    return {"PYTHONPATH": str(site)}


def test_two_exams_of_the_same_do_not_meet(here: Path) -> None:
    from filelock import FileLock

    result = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl")
    with FileLock(Path(result["folder"]) / ".lock"):
        done = swiftkit("exam", "--ckpt", "best", "--dataset", "ten.jsonl", cwd=here)
    assert done.returncode == 2
    assert "another exam is at work" in done.stderr


# --- base and best, prompts ------------------------------------------------------------------------------------------


def test_base_and_best_stand_side_by_side(here: Path) -> None:
    words = ["--ckpt", "best", "--dataset", "forty.jsonl"]
    alone = swiftkit("exam", *words, cwd=here)
    assert "--with_base" in alone.stderr
    both = swiftkit("exam", *words, "--with_base", cwd=here)
    assert both.returncode == 0, both.stderr
    assert re.search(r"^40 questions +base +best of tiny-math/v0", both.stdout, re.MULTILINE)
    assert re.search(r"\d+ questions earn more than before, \d+ less", both.stdout)
    base = exam(here, "--model_type", "tiny-math", "--dataset", "forty.jsonl")
    assert base["new_answers"] == 0, "a base exam is the same, before or after the training"
    found = exam(here, *words)
    assert found["base"]["mark"] == base["mark"]
    first, second = (exams.Folder(Path(r["folder"])).scored() for r in (base, found))
    assert found["base"]["gained"] == sum(second[n].credit > first[n].credit for n in second)
    assert found["base"]["lost"] == sum(second[n].credit < first[n].credit for n in second)


def test_system_and_examples_make_another_prompt(home: Path) -> None:
    words = ["--model_type", "tiny-math", "--dataset", "ten.jsonl", "--max_new_tokens", "8"]
    result = exam(home, *words, "--system", "Answer in steps.", "--examples", "3")
    folder = exams.Folder(Path(result["folder"]))
    known = {row["messages"][-2]["content"]: row["messages"][-1] for row in lines(ROOT / "datasets" / "math-sft.jsonl")}
    for question in folder.asked():
        system, *shown, last = question.messages
        assert system == {"role": "system", "content": "Answer in steps."}
        assert len(shown) == 6
        for user, assistant in zip(shown[::2], shown[1::2], strict=True):
            assert known[user["content"]] == assistant
        assert last["content"] not in known
    assert result["prompt"] == {"system": "Answer in steps.", "instruct": "none", "examples": 3}


def gsm8k(count: int, start: int = 0) -> list[dict[str, str]]:
    return [
        {"question": f"What is {i} + {i}?", "answer": f"{i} + {i} = <<{i}+{i}={2 * i}>>{2 * i}\n#### {2 * i}"}
        for i in range(start, start + count)
    ]


def test_instruct_trains_and_examines_data_without_markers(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", gsm8k(60))
    write_rows(tmp_path / "exam.jsonl", gsm8k(5, 100))
    words = ["--model_type", "tiny-math", "--dataset", "train.jsonl", "--instruct", "ans", "--system", "Be brief."]
    done = swiftkit("sft", *words, "--max_steps", "2", "--eval_steps", "1")
    assert done.returncode == 0, done.stderr
    (run,) = runs.listed(Path("output"))
    for row in lines(run.path / "data" / "train.jsonl"):
        system, question, answer = (message["content"] for message in row["messages"])
        assert system == "Be brief."
        assert question.endswith("give the final answer within {{ans:xxx}}.")
        value = re.search(r"What is (\d+)", question)
        assert value
        assert answer.endswith(f"\n{{{{ans:{2 * int(value[1])}}}}}")
        assert "####" not in answer
    result = exam(tmp_path, "--ckpt", "best", "--dataset", "exam.jsonl", "--max_new_tokens", "8")
    asked = exams.Folder(Path(result["folder"])).asked()
    assert asked[0].asked.endswith("within {{ans:xxx}}.")
    assert result["prompt"] == {"system": "Be brief.", "instruct": "ans", "examples": 0}
    assert swiftkit("export", "--merge_lora", "--to", "away/merged").returncode == 0
    merged = exam(tmp_path, "--ckpt", "away/merged", "--dataset", "exam.jsonl", "--max_new_tokens", "8")
    assert [q.ids for q in exams.Folder(Path(merged["folder"])).asked()] == [q.ids for q in asked]
    plain = swiftkit("exam", "--model_type", "tiny-math", "--dataset", "exam.jsonl", "--max_new_tokens", "8")
    assert plain.returncode == 0
    assert "--instruct ans" in plain.stderr


def test_without_an_exam_the_validation_rows_are_asked_and_labelled(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(60))
    words = ["--model_type", "tiny-math", "--dataset", "rows.jsonl", "--max_steps", "2", "--eval_steps", "1"]
    assert swiftkit("sft", *words).returncode == 0
    result = exam(tmp_path, "--max_new_tokens", "8")
    (run,) = runs.listed(Path("output"))
    assert result["dev"]
    assert "which also chose the checkpoint" in result["questions"]
    assert result["count"] == len(lines(run.path / "data" / "validation.jsonl"))


def test_questions_that_were_trained_on_are_told(home: Path) -> None:
    (run,) = runs.listed(home / "output")
    rows = [{"messages": row["messages"]} for row in lines(run.path / "data" / "train.jsonl")[:3]]
    write_rows(home / "leaked.jsonl", [*rows, *lines(home / "ten.jsonl")])
    done = swiftkit("exam", "--ckpt", "best", "--dataset", "leaked.jsonl", "--max_new_tokens", "8", cwd=home)
    assert "3 of 13 questions stand in the training data" in done.stderr


# --- the report ------------------------------------------------------------------------------------------------------


def test_report_holds_every_question_and_loads_nothing(home: Path) -> None:
    result = exam(home, "--ckpt", "best", "--dataset", "ten.jsonl", "--with_base")
    page = html.unescape(Path(result["report"]).read_text(encoding="utf-8"))
    for question in exams.Folder(Path(result["folder"])).asked():
        assert question.asked in page
    assert f"<strong>{result['mark']:.1f}</strong>" in page
    assert f"<strong>{result['base']['mark']:.1f}</strong>" in page
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?://""", page)


def test_report_shows_markup_as_text(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "<script>alert(1)</script>?"}, chat_rows(1)[0]["messages"][1]]}]
    write_rows(tmp_path / "questions.jsonl", rows)
    words = ["--model_type", "tiny-math", "--dataset", "questions.jsonl", "--max_new_tokens", "4"]
    page = Path(exam(tmp_path, *words)["report"]).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


# --- the mark --------------------------------------------------------------------------------------------------------


def test_mark_counts_what_was_asked() -> None:
    credits = [1, 1, 0.5, 0]
    scores = {n: Scored(n, credit, "") for n, credit in enumerate(credits, 1)}
    answers = {n: Answer(n, "", 1, end) for n, end in enumerate(("marker", "stop", "stop", "error"), 1)}
    mark = marks.mark(4, scores, answers)
    assert mark.value == 62.5
    assert (mark.right, mark.half, mark.wrong, mark.failed, mark.cut) == (2, 1, 0, 1, 0)


@pytest.mark.parametrize(("asked", "scored"), [(0, 0), (5, 4)])
def test_no_questions_and_missing_scores_are_no_mark(asked: int, scored: int) -> None:
    scores = {n: Scored(n, 1.0, "") for n in range(scored)}
    with pytest.raises(ValueError, match="scores for"):
        marks.mark(asked, scores, {})


@pytest.mark.parametrize(("right", "asked"), [(0, 10), (10, 10), (7, 10), (185, 200), (1, 3)])
def test_interval_is_wilsons(right: int, asked: int) -> None:
    from scipy.stats import binomtest

    theirs = binomtest(right, asked).proportion_ci(method="wilson")
    assert marks.interval(right, asked) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-4)


def test_runs_show_tells_the_marks(here: Path) -> None:
    result = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "8")
    shown = swiftkit("runs", "show", "v0", cwd=here)
    assert re.search(
        rf"^exam +{result['mark']:.1f} of 100 .* on ten.jsonl, adapter of step", shown.stdout, re.MULTILINE
    )
    told = json.loads(swiftkit("runs", "show", "v0", "--json", cwd=here).stdout)
    assert [(e["mark"], e["folder"]) for e in told["exams"]] == [
        (result["mark"], os.path.relpath(result["folder"], here))
    ]


def test_mark_below_the_threshold_ends_with_3(home: Path) -> None:
    words = ["exam", "--model_type", "tiny-math", "--dataset", "ten.jsonl", "--max_new_tokens", "8"]
    assert swiftkit(*words, "--fail_under", "99", cwd=home).returncode == 3
    assert swiftkit(*words, "--fail_under", "0", cwd=home).returncode == 0


def test_evalscopes_score_is_not_recorded_where_it_differs(home: Path) -> None:
    from swiftkit import examining

    assert examining.theirs({"version": "1", "score": 0.7, "questions": 10}, 70.0, 10) == {"version": "1", "score": 0.7}
    assert examining.theirs({"version": "1", "score": 0.875, "questions": 8}, 70.0, 10) == {"version": "1"}
    assert examining.theirs({"version": "1", "score": None, "questions": 10}, 70.0, 10) == {"version": "1"}


# --- bad input -------------------------------------------------------------------------------------------------------

MARKED = {"messages": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "<<ans:2>>"}]}


def answered(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"{text}?"}, {"role": "assistant", "content": text}]}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([answered("two"), answered("three")], "none of the 2 reference answers can be scored"),
        ([MARKED, answered("<<ans:>>")], "rows.jsonl:2: a marker of the reference holds nothing"),
        ([MARKED, answered("{{ans:xxx}}")], "rows.jsonl:2: a marker of the reference holds the placeholder 'xxx'"),
        ([MARKED, answered("no marker")], "rows.jsonl:2: the reference has no marker"),
        ([MARKED, {"text": "plain"}], "rows.jsonl:2: no `messages`"),
        ([MARKED, "{broken"], "rows.jsonl:2: broken JSON"),
        ([], "holds no rows"),
        (
            [
                MARKED,
                answered("word " * 3000 + "<<ans:1>>")
                | {"messages": [{"role": "user", "content": "word " * 3000}, MARKED["messages"][1]]},
            ],
            "1 of 2 questions do not fit",
        ),
    ],
)
def test_bad_questions_are_refused(rows: list[Any], said: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows) if rows else (tmp_path / "rows.jsonl").write_text("")
    done = swiftkit("exam", "--model_type", "tiny-math", "--dataset", "rows.jsonl")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("output").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no run under"),
        (["--ckpt", "best"], "there is no run under"),
        (["--ckpt", "last"], "there is no run under"),
        (["--ckpt", "v3"], "no run is named `v3`"),
        (["--ckpt", "nowhere/checkpoint-3/x"], "does not exist"),
        (["--model_type", "tiny-moth"], "did you mean `tiny-math` or"),
        (["--model_type", "tiny-math", "--scorer", "anz"], "no scorer is named `anz`"),
        (["--model_type", "tiny-math", "--dataset", "none.jsonl"], "none.jsonl does not exist"),
        (["--model_type", "tiny-math", "--max_new_tokens", "0"], "greater than or equal to 1"),
        (["--model_type", "tiny-math", "--max_new_tokens", "4000"], "do not fit"),
        (["--model_type", "tiny-math", "--examples", "9999"], "--examples 9999: the training data has 1000 rows"),
        (["--model_type", "tiny-math", "--learning_rate", "1"], "unknown flag `--learning_rate`"),
        (["--model_type", "tiny-math", "--dtype", "fp16"], "--dtype fp16 needs a GPU"),
        (["--model_type", "tiny-math", "--dataset", ""], "--dataset needs a value"),
        (["--model_type", "tiny-math", "--output_dir", "~nobody-of-this-name/x"], "is no usable path"),
        (["--model_type", "tiny-math", "--system", "\udcff"], "must be UTF-8"),
    ],
)
def test_bad_words_are_refused(words: list[str], said: str) -> None:
    done = swiftkit("exam", *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_run_without_best_is_refused_with_the_way_out(here: Path) -> None:
    (run,) = runs.listed(here / "output")
    (run.path / "best.json").unlink()
    done = swiftkit("exam", cwd=here)
    assert done.returncode == 2
    assert f"--ckpt {run.name}:last" in done.stderr
    named = swiftkit("exam", "--ckpt", f"{run.path.name}:best", cwd=here)
    assert named.returncode == 2
    assert "has no best checkpoint" in named.stderr
    assert swiftkit("exam", "--ckpt", "last", "--dataset", "ten.jsonl", cwd=here).returncode == 0


def test_damaged_best_is_passed_over_and_said(here: Path) -> None:
    (run,) = runs.listed(here / "output")
    file = run.path / "best" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    done = swiftkit("exam", cwd=here)
    assert done.returncode == 2
    assert "is damaged" in done.stderr


def test_base_that_has_changed_since_the_training_is_refused(tmp_path: Path, cache: Path) -> None:
    base = Path(shutil.copytree(ROOT / "models" / "tiny-math", tmp_path / "model"))
    write_rows(tmp_path / "rows.jsonl", chat_rows(40))
    words = ["--model_type", "tiny-math", "--model_id_or_path", "model", "--dataset", "rows.jsonl", "--max_steps", "1"]
    assert swiftkit("sft", *words).returncode == 0
    content = bytearray((base / "model.safetensors").read_bytes())
    content[-2] ^= 1
    (base / "model.safetensors").write_bytes(content)
    for command in (["exam"], ["export", "--merge_lora"]):
        done = swiftkit(*command)
        assert done.returncode == 2
        assert "is not the file that" in done.stderr
    shutil.rmtree(base)
    gone = swiftkit("exam")
    assert gone.returncode == 2
    assert "the base model of run" in gone.stderr
    assert "--model_id_or_path" in gone.stderr


def test_adapter_of_another_shape_is_refused(here: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", "qwen2_5")
    words = ["--ckpt", "best", "--model_type", "tiny-math", "--model_id_or_path", str(other)]
    done = swiftkit("exam", *words, cwd=here)
    assert done.returncode == 2
    assert "does not fit the base model" in done.stderr


def test_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    base = build(tmp_path / "model", "qwen2_5", vocab_size=100)
    words = ["--model_type", NAMES["qwen2_5"], "--model_id_or_path", str(base)]
    done = swiftkit("exam", *words, "--dataset", "math-exam#3")
    assert done.returncode == 2
    assert "tokenizer and weights are not of the same model" in done.stderr


def test_project_file_names_the_training_data_not_the_questions(here: Path) -> None:
    """swiftkit.yaml is written for sft; its dataset is what is trained on, so asking it would flatter."""
    (here / "swiftkit.yaml").write_text("model_type: tiny-math\ndataset: math-sft\nbatch_size: 3\nlora_rank: 4\n")
    result = exam(here, "--max_new_tokens", "4")
    assert result["questions"] == "math-exam"
    assert result["kind"] == "adapter", "a model in swiftkit.yaml is no request for its base"
    rows = [{"messages": row["messages"]} for row in lines(ROOT / "datasets" / "math-sft.jsonl")]
    write_rows(here / "mine.jsonl", rows[:100])
    write_rows(here / "leaked.jsonl", rows[:5])
    (here / "swiftkit.yaml").write_text("dataset: mine.jsonl\nsystem: You are a pirate.\ninstruct: ans\n")
    later = exam(here, "--max_new_tokens", "4")
    assert later["questions"] == "math-exam", "what the run was trained on counts, not what is trained on today"
    assert later["prompt"] == {"system": None, "instruct": "none", "examples": 0}
    leaked = swiftkit("exam", "--dataset", "leaked.jsonl", "--instruct", "ans", "--max_new_tokens", "4", cwd=here)
    assert "questions stand in the training data" in leaked.stderr


def test_examples_are_never_what_is_asked_whatever_the_instruction(home: Path) -> None:
    (run,) = runs.listed(home / "output")
    rows = [{"messages": row["messages"]} for row in lines(run.path / "data" / "train.jsonl")]
    write_rows(home / "known.jsonl", rows[:30])
    words = ["--ckpt", "best", "--dataset", "known.jsonl", "--instruct", "ans", "--max_new_tokens", "2"]
    result = exam(home, *words, "--examples", "5")
    asked = exams.Folder(Path(result["folder"])).asked()
    for question in asked:
        *shown, _ = question.messages
        assert len(shown) == 10
        for message in shown[::2]:
            assert message["content"].endswith("within {{ans:xxx}}."), "an example has the same instruction"
            assert message["content"] not in {other.asked for other in asked}


def test_what_was_trained_in_fp16_on_a_gpu_is_examined_on_a_cpu(here: Path) -> None:
    (run,) = runs.listed(here / "output")
    run.config.write_text(run.config.read_text().replace("dtype: fp32", "dtype: fp16", 1))
    assert run.declared()["config"]["dtype"] == "fp16"
    result = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "4")
    assert result["dtype"] == ("fp16" if hardware.device().kind == "cuda" else "fp32"), "tiny-math's own setting"


def test_base_whose_answers_are_gone_is_no_comparison(here: Path) -> None:
    base = exam(here, "--ckpt", "base", "--dataset", "ten.jsonl", "--max_new_tokens", "8")
    answers_file(base).unlink()
    result = exam(here, "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "8")
    assert "base" not in result


def test_terminal_that_cannot_show_a_character_sees_the_mark(here: Path) -> None:
    words = ["--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "8"]
    done = swiftkit("exam", *words, cwd=here, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "mark" in done.stdout
