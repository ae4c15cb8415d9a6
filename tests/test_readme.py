"""The README: it is short, and every command in it runs."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import ROOT, swiftkit
from support.rows import chat_rows, write_rows

README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else ""


def readme_commands() -> list[str]:
    blocks = README.split("```sh\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].replace("\\\n", " ").splitlines()]
    return [line.split(" # ")[0].strip() for line in lines if line.startswith("swiftkit ")]


@pytest.fixture(scope="module")
def readme_folder(tmp_path_factory: pytest.TempPathFactory, family_folder: Callable[[str], Path]) -> Path:
    """A folder with the files that the README names, and a run of a two-layer Qwen2.5."""
    folder = tmp_path_factory.mktemp("readme")
    write_rows(folder / "my_data.jsonl", chat_rows(60))
    write_rows(folder / "my_exam.jsonl", chat_rows(4, start=200))
    (folder / "more.csv").write_text("question,answer\n" + "".join(f"What is {i}?,{i}\n" for i in range(60)))
    (folder / "my.yaml").write_text("model_type: tiny-math\n")
    shutil.copytree(family_folder("qwen2_5"), folder / "models" / "Qwen2.5-1.5B-Instruct")
    shutil.copytree(family_folder("qwen2_5"), folder / "model")
    words = ["--model_type", "qwen2_5-1_5b-instruct", "--dataset", "my_data.jsonl", "--max_steps", "1"]
    done = swiftkit("sft", *words, cwd=folder, SWIFTKIT_MODELS=str(folder / "models"))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("line", readme_commands())
def test_readme_commands_run(line: str, readme_folder: Path) -> None:
    """Every line, one after the other; trainings as far as `--dry_run` goes, since the folder has a run already."""
    words = shlex.split(line)[1:]
    if words[0] == "sft":
        words = [*words, "--dry_run"]
    done = swiftkit(*words, cwd=readme_folder, SWIFTKIT_MODELS=str(readme_folder / "models"))
    assert done.returncode == 0, done.stderr


def test_readme_is_short_and_has_commands() -> None:
    assert len(README.splitlines()) <= 200
    assert len(readme_commands()) >= 6
