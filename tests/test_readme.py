"""The README: it is short, and every command in it runs."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from support.commands import ROOT, SESSION, swiftkit
from support.rows import chat_rows, write_rows

README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else ""


def readme_blocks() -> list[list[str]]:
    """The commands of each code block that has any."""
    blocks = []
    for block in README.split("```sh\n")[1:]:
        lines = block.split("```")[0].replace("\\\n", " ").splitlines()
        blocks.append([line.split(" # ")[0].strip() for line in lines if line.startswith("swiftkit ")])
    return [block for block in blocks if block]


@pytest.fixture(scope="session")
def trained(family_folder: Callable[[str], Path]) -> Path:
    """A folder with the files that the README names, and a run of a two-layer Qwen2.5; shared by all workers."""
    folder = SESSION / "readme"
    qwen = family_folder("qwen2_5")
    with FileLock(f"{folder}.lock"):
        if folder.exists():
            return folder
        folder.mkdir()
        write_rows(folder / "my_data.jsonl", chat_rows(60))
        write_rows(folder / "my_exam.jsonl", chat_rows(4, start=200))
        (folder / "more.csv").write_text("question,answer\n" + "".join(f"What is {i}?,{i}\n" for i in range(60)))
        (folder / "my.yaml").write_text("model_type: tiny-math\n")
        (folder / "swiftkit.yaml").write_text("max_new_tokens: 16\n")  # an untrained model does not stop early
        shutil.copytree(qwen, folder / "models" / "Qwen2.5-1.5B-Instruct")
        shutil.copytree(qwen, folder / "model")
        words = ["--model_type", "qwen2_5-1_5b-instruct", "--dataset", "my_data.jsonl", "--max_steps", "1"]
        done = swiftkit("sft", *words, cwd=folder, SWIFTKIT_MODELS=str(folder / "models"))
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("block", readme_blocks(), ids=lambda block: block[0])
def test_readme_commands_run(block: list[str], trained: Path, tmp_path: Path) -> None:
    """Every line, one after the other; trainings as far as `--dry_run` goes, since the folder has a run already."""
    folder = shutil.copytree(trained, tmp_path / "readme", symlinks=True)
    for line in block:
        words = shlex.split(line)[1:]
        if words[0] == "sft":
            words = [*words, "--dry_run"]
        done = swiftkit(*words, cwd=folder, SWIFTKIT_MODELS=str(folder / "models"))
        assert done.returncode == 0, done.stderr


def test_readme_is_short_and_has_commands() -> None:
    assert len(README.splitlines()) <= 200
    assert sum(map(len, readme_blocks())) >= 6
