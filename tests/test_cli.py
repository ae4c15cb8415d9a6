"""The command line as a user meets it: help, versions, exit codes, what goes to which stream."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import warm
from support.commands import SESSION, SESSION_PROCESS, stdout_json, swiftkit, write_package
from support.rows import chat_rows, write_rows
from swiftkit.cli.commands import demo, models
from swiftkit.cli.main import COMMANDS, main

GOLDEN = Path(__file__).parent / "golden"
TINY = ("--model_type", "tiny-math")


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_golden(command: str) -> None:
    """`UPDATE_GOLDEN=1 pytest` writes the files; read them afterwards as a user would."""
    done = swiftkit(*command.split(), "--help", COLUMNS="100")
    assert done.returncode == 0
    file = GOLDEN / f"help-{command or 'swiftkit'}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(done.stdout, encoding="utf-8")
    assert done.stdout == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_defaults_and_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "-h"]) == 0
    text = capsys.readouterr().out
    assert f"swiftkit {command}" in text
    assert "examples:" in text
    assert "==SUPPRESS==" not in text


def test_no_command_shows_the_overview() -> None:
    done = swiftkit()
    assert done.returncode == 2
    for command in COMMANDS:
        assert f"  {command}" in done.stdout


def test_eval_is_another_name_of_exam() -> None:
    assert swiftkit("eval", "--help").stdout == swiftkit("exam", "--help").stdout != ""


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version(word: str) -> None:
    done = swiftkit(word)
    assert done.returncode == 0
    assert done.stdout.startswith("swiftkit 0.")


# --- results ----------------------------------------------------------------------------------------------------------


def test_models_lists_filters_and_shows() -> None:
    listed = stdout_json(swiftkit("models", "--json"))["models"]
    assert {"tiny-math", "qwen2_5-1_5b-instruct", "tinyllama-1_1b-chat"} <= {m["model"] for m in listed}
    filtered = swiftkit("models", "qwen", "7b").stdout
    assert "qwen2_5-7b-instruct" in filtered
    assert "phi3" not in filtered
    assert "math-sft" in swiftkit("models", "--datasets").stdout
    shown = stdout_json(swiftkit("models", "show", "qwen2_5-1_5b-instruct", "--lora_rank", "16", "--json"))
    assert shown["trainable"] == 18_464_768  # 28 * 16 * (2 * 3072 + 2 * 1792 + 3 * 10496), by hand
    assert shown["modelscope"] == "Qwen/Qwen2.5-1.5B-Instruct"
    family = stdout_json(swiftkit("models", "--family", "phi3", "--json"))["models"]
    assert {m["family"] for m in family} == {"phi3"}


def test_a_list_without_models_names_every_filter() -> None:
    done = swiftkit("models", "qwen", "--level", "verified", "--family", "llama3")
    assert done.returncode == 2
    assert "no model has qwen in its name, and family llama3, and level verified" in done.stderr
    assert (
        "no model has family qwen2_5, and level catalog"
        in swiftkit("models", "--family", "qwen2_5", "--level", "catalog").stderr
    )


def test_runs_of_an_empty_folder() -> None:
    done = swiftkit("runs")
    assert (done.returncode, done.stdout) == (0, "no runs under output\n")


def test_the_result_is_on_stdout_and_the_rest_on_stderr(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", chat_rows(40))
    done = swiftkit("sft", *TINY, "--dataset", str(path), "--dry_run", "--json")
    result = stdout_json(done)
    assert result["rows"] == {
        "read": 40,
        "not_sampled": 0,
        "skipped": 0,
        "without_loss": 0,
        "too_long": 0,
        "train": 32,
        "validation": 8,
    }
    assert result["steps"] == 6
    assert "model: tiny-math" in done.stderr
    assert not (tmp_path / "output").exists()


def test_a_dry_run_shows_the_arguments_of_ms_swift() -> None:
    done = swiftkit("sft", *TINY, "--dry_run", "--lora_rank", "3")
    assert done.returncode == 0
    assert "swift sft" in done.stdout
    assert "--lora_rank 3" in done.stdout
    assert "--check_model false" in done.stdout


def test_demo_uses_the_registry_that_is_named() -> None:
    config = demo.DemoConfig(registry="mine", max_steps=3)
    for command in demo.commands(config)[:4]:
        words = command()
        assert words[words.index("--registry") + 1] == "mine"


def test_demo_is_not_changed_by_a_project_file(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("dataset: mine.jsonl\n")
    done = swiftkit("demo", cwd=tmp_path)
    assert done.returncode == 2
    assert "run it in another folder" in done.stderr


# --- streams and terminals --------------------------------------------------------------------------------------------


def test_log_level_and_no_color() -> None:
    words = ("sft", *TINY, "--dry_run")
    assert swiftkit(*words, LOG_LEVEL="ERROR").stderr == ""
    assert "\x1b" not in swiftkit("sft", "--model_type", "nope").stderr


def test_a_closed_pipe_gives_no_traceback() -> None:
    command = f"{sys.executable} -m swiftkit models | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("model")


def test_a_bug_is_reported_as_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(models, "run", lambda config, problems: 1 // 0)
    assert main(["models"]) == 70
    text = capsys.readouterr().err
    assert "ZeroDivisionError" in text
    assert "bug in swiftkit" in text


def test_plain_lines_without_a_terminal(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(60))
    done = swiftkit("sft", *TINY, "--dataset", "rows.jsonl", "--max_steps", "1")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert "step 1/1, loss" in done.stderr
    assert "validation loss" in done.stderr


def run_on_terminal(*words: str, **environment: str) -> tuple[int, str, str]:
    """A real process whose stderr is a terminal, with warm workers: exit code, stdout, what the terminal got."""
    code = "import sys; sys.executable = sys.argv.pop(1); from swiftkit.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, str(warm.client(SESSION, SESSION_PROCESS)), *words]
    terminal, stderr = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", **environment}
    with tempfile.TemporaryFile() as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=variables)
        os.close(stderr)
        text = b""
        with contextlib.suppress(OSError):  # how a terminal says that its other end is closed
            while part := os.read(terminal, 4096):
                text += part
        os.close(terminal)
        process.wait()
        stdout.seek(0)
        return process.returncode, stdout.read().decode(), text.decode()


def test_a_live_line_on_a_terminal(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(60))
    code, _, text = run_on_terminal("sft", *TINY, "--dataset", "rows.jsonl", "--max_steps", "1")
    assert code == 0
    assert "\x1b[" in text
    assert "\r" in text
    assert "validation loss" in text


def test_the_live_line_of_an_exam_ends_with_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    code, stdout, text = run_on_terminal("exam", "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "1")
    assert code == 0
    assert "10 questions" in stdout
    assert re.search(r"10 of 10 questions answered, [\d,]+ tokens/s", text)
    before, found, _ = text.partition("to compare with the base model")
    assert found
    assert "answered" not in before.rpartition("\x1b[2K")[2], "the live line was not removed"


def test_the_result_of_a_crash_is_on_stdout_while_a_terminal_shows_a_live_line(tmp_path: Path) -> None:
    trainer = """
from swiftkit.system.events import Started
from swiftkit.training.process import run_trainer

def train(job, on_event):
    on_event(Started.by_this_process(3))
    return run_trainer(["false"], job, on_event, {})
"""
    write_package(tmp_path / "site", "dying", {"dies": trainer}, "[swiftkit.trainers]\ndies = dies\n")
    words = ["sft", *TINY, "--dataset", "math-sft#20", "--trainer", "dies", "--json"]
    code, stdout, text = run_on_terminal(*words, PYTHONPATH=str(tmp_path / "site"))
    assert code == 1
    assert "loading libraries" in text
    assert json.loads(stdout)["state"] == "crashed"
