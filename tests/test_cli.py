"""The command line as a person meets it: help, versions, exit codes, what goes to which stream."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SWIFTKIT, chat_rows, swiftkit, write_rows

from swiftkit.cli import COMMANDS, main

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_golden(command: str) -> None:
    """`UPDATE_GOLDEN=1 pytest` writes the files anew."""
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
    said = capsys.readouterr().out
    assert f"swiftkit {command}" in said
    assert "examples:" in said
    assert "==SUPPRESS==" not in said


def test_no_command_shows_the_overview() -> None:
    done = swiftkit()
    assert done.returncode == 2
    for command in COMMANDS:
        assert f"  {command}" in done.stdout


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version(word: str) -> None:
    done = swiftkit(word)
    assert done.returncode == 0
    assert done.stdout.startswith("swiftkit 0.")


def test_models_lists_filters_and_shows() -> None:
    listed = json.loads(swiftkit("models", "--json").stdout)["models"]
    assert {"tiny-math", "qwen2_5-1_5b-instruct", "tinyllama-1_1b-chat"} <= {m["model"] for m in listed}
    some = swiftkit("models", "qwen", "7b").stdout
    assert "qwen2_5-7b-instruct" in some
    assert "phi3" not in some
    assert "math-sft" in swiftkit("models", "--datasets").stdout
    shown = json.loads(swiftkit("models", "show", "qwen2_5-1_5b-instruct", "--lora_rank", "16", "--json").stdout)
    assert shown["trainable"] == 18_464_768  # 28 * 16 * (2 * 3072 + 2 * 1792 + 3 * 10496), by hand
    assert shown["modelscope"] == "Qwen/Qwen2.5-1.5B-Instruct"
    family = json.loads(swiftkit("models", "--family", "phi3", "--json").stdout)["models"]
    assert {m["family"] for m in family} == {"phi3"}


def test_runs_of_an_empty_folder() -> None:
    done = swiftkit("runs")
    assert (done.returncode, done.stdout) == (0, "no runs under output\n")


def test_result_on_stdout_and_the_rest_on_stderr(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", chat_rows(40))
    done = swiftkit("sft", "--model_type", "tiny-math", "--dataset", str(path), "--dry_run", "--json")
    told = json.loads(done.stdout)
    assert told["rows"] == {"read": 40, "not_sampled": 0, "too_long": 0, "train": 32, "validation": 8}
    assert told["steps"] == 6
    assert "model: tiny-math" in done.stderr
    assert not (tmp_path / "output").exists()


def test_dry_run_tells_ms_swifts_arguments() -> None:
    done = swiftkit("sft", "--model_type", "tiny-math", "--dry_run", "--lora_rank", "3")
    assert done.returncode == 0
    assert "swift sft" in done.stdout
    assert "--lora_rank 3" in done.stdout
    assert "--check_model false" in done.stdout


def test_log_level_and_no_colour() -> None:
    words = ("sft", "--model_type", "tiny-math", "--dry_run")
    assert swiftkit(*words, LOG_LEVEL="ERROR").stderr == ""
    assert "\x1b" not in swiftkit("sft", "--model_type", "nope").stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m swiftkit models | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("model")


def test_a_bug_is_told_as_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from swiftkit.commands import models

    monkeypatch.setattr(models, "run", lambda given, problems: 1 // 0)
    assert main(["models"]) == 70
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "bug in swiftkit" in said


@pytest.mark.parametrize("terminal", [True, False])
def test_live_line_on_a_terminal_and_plain_lines_elsewhere(terminal: bool, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(60))
    words = [*SWIFTKIT, "sft", "--model_type", "tiny-math", "--dataset", "rows.jsonl"]
    if terminal:
        import pty

        main_end, other_end = pty.openpty()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=other_end, env={**os.environ, "TERM": "xterm"})
        os.close(other_end)
        said = b""
        while True:
            try:
                part = os.read(main_end, 4096)
            except OSError:
                break
            if not part:
                break
            said += part
        process.communicate()
        assert process.returncode == 0
        assert b"\x1b[" in said
        assert b"\r" in said
        assert b"validation loss" in said
    else:
        done = subprocess.run(words, capture_output=True, text=True)
        assert "\x1b" not in done.stderr + done.stdout
        assert "step 1/9, loss" in done.stderr
        assert "validation loss" in done.stderr


README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else ""


def readme_commands() -> list[str]:
    blocks = README.split("```sh\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].replace("\\\n", " ").splitlines()]
    return [line.split(" # ")[0].strip() for line in lines if line.startswith("swiftkit ")]


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory, family_folder: Any, cache: Path) -> Path:
    """A folder that has what the README names, a run of a two-layer Qwen2.5 among it."""
    folder = tmp_path_factory.mktemp("readme")
    write_rows(folder / "my_data.jsonl", chat_rows(60))
    write_rows(folder / "my_exam.jsonl", chat_rows(4, start=200))
    (folder / "more.csv").write_text("question,answer\n" + "".join(f"What is {i}?,{i}\n" for i in range(60)))
    (folder / "my.yaml").write_text("model_type: tiny-math\n")
    shutil.copytree(family_folder("qwen2_5"), folder / "models" / "Qwen2.5-1.5B-Instruct")
    shutil.copytree(family_folder("qwen2_5"), folder / "model")
    words = ["--model_type", "qwen2_5-1_5b-instruct", "--dataset", "my_data.jsonl", "--max_steps", "1"]
    environment = {"SWIFTKIT_MODELS": str(folder / "models"), "XDG_CACHE_HOME": str(cache)}
    done = swiftkit("sft", *words, cwd=folder, **environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("line", readme_commands())
def test_readme_commands_run(line: str, readme: Path) -> None:
    """Every line of the README, one after the other; trainings as far as `--dry_run` goes, since one is done above."""
    words = shlex.split(line)[1:]
    if words[0] == "sft":
        words = [*words, "--dry_run"]
    done = swiftkit(*words, cwd=readme, SWIFTKIT_MODELS=str(readme / "models"))
    assert done.returncode == 0, done.stderr


def test_readme_is_short_and_has_commands() -> None:
    assert len(README.splitlines()) <= 200
    assert len(readme_commands()) >= 6


def test_demo_is_not_changed_by_a_project_file(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("dataset: mine.jsonl\n")
    done = swiftkit("demo", cwd=tmp_path)
    assert done.returncode == 2
    assert "run it in another folder" in done.stderr
