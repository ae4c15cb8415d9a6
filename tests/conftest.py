"""Fixtures of all tests; what they are built from is in `support`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Two workers train at the same time on two cores; with a thread for each core they would slow each other down.
os.environ["OMP_NUM_THREADS"] = "1"

from filelock import FileLock

from support import trained
from support.commands import SESSION, SESSION_PROCESS, shared
from support.models import build
from support.rows import read_lines, write_rows
from support.trained import Demo
from swiftkit.system import console

# Tests that need the shared demo run when it is ready, behind all others. Within both groups, files whose tests take
# longest begin first, so that no worker is left alone with them at the end.
LONGEST = [
    *("test_training.py", "test_token_parity.py", "test_registry.py", "test_tiny.py", "test_export.py"),
    *("test_exam_answers.py", "test_exam_cache.py", "test_exam_prompts.py", "test_cli.py"),
]


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ("demo" in item.fixturenames, place.get(item.path.name, len(LONGEST))))


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly and any("demo" in item.fixturenames for item in session.items):
        trained.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.getpid() == SESSION_PROCESS:
        shutil.rmtree(SESSION, ignore_errors=True)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in a folder of its own, without what the machine's user has set or downloaded."""
    monkeypatch.chdir(tmp_path)
    for name in ("SWIFTKIT_HOME", "SWIFTKIT_MODELS", "HF_HUB_CACHE", "LOG_LEVEL", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(SESSION / "cache"))


@pytest.fixture(autouse=True)
def log_of_the_package() -> Iterator[None]:
    """Commands that run in this process configure the package's logger; the next test finds it as it was."""
    handlers, level, propagate = console.logger.handlers[:], console.logger.level, console.logger.propagate
    yield
    console.logger.handlers[:] = handlers
    console.logger.setLevel(level)
    console.logger.propagate = propagate


@pytest.fixture(scope="session")
def demo() -> Demo:
    """The shared demo; see `support.trained`."""
    return trained.result()


@pytest.fixture
def home(demo: Demo, tmp_path: Path) -> Path:
    """A copy of the demo's folder with its run and exams, and files with the exam's first questions."""
    folder = tmp_path / "home"
    shutil.copytree(demo.output, folder / "output", symlinks=True)
    rows = read_lines(Path(__file__).parents[1] / "datasets" / "math-exam.jsonl")
    write_rows(folder / "forty.jsonl", rows[:40])
    write_rows(folder / "ten.jsonl", rows[:10])
    return folder


@pytest.fixture(scope="session")
def family_folder() -> Callable[[str], Path]:
    """Name of a family to its two-layer model folder, built once for all workers."""

    def get(family: str) -> Path:
        folder = SESSION / "families" / family
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                build(folder.with_suffix(".partial"), family).rename(folder)
        return folder

    return get


@pytest.fixture(scope="session")
def course_model() -> Path:
    """A two-layer Qwen2 folder with a tokenizer for the course's text, so that its rows have realistic lengths."""
    corpus = shared("data/acp_train_1k.jsonl").read_text(encoding="utf-8").splitlines()
    folder = SESSION / "course"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            build(SESSION / "course.partial", "qwen2_5", corpus=corpus, vocabulary=4000).rename(folder)
    return folder


@pytest.fixture
def further_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second family with Llama's architecture, added as a user adds one: a file under $SWIFTKIT_HOME."""
    (tmp_path / "home" / "registry").mkdir(parents=True)
    (tmp_path / "home" / "registry" / "further.yaml").write_text(
        "template: phi4\narchitectures: [LlamaForCausalLM]\nswift: {model_type: llama, template: phi4}\n"
        "lora_targets: [q_proj]\nmodels: {further-1b: {parameters: 1.0e9}}\n"
    )
    monkeypatch.setenv("SWIFTKIT_HOME", str(tmp_path / "home"))
    yield
