"""The architecture: imports point down, heavy libraries are in workers only, importing changes nothing."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.commands import ROOT, SWIFTKIT, swiftkit

PACKAGE = ROOT / "swiftkit"
HEAVY = {"torch", "transformers", "peft", "swift", "evalscope", "accelerate", "datasets", "modelscope", "trl"}

# By first path component, from top to bottom. A module may import its own room and the ranks below, nothing else; the
# first rank is what users and plugins import.
RANKS = [
    {"__init__", "__main__", "scorers", "formats"},
    {"cli", "worker"},
    {"exams", "exports"},
    {"training"},
    {"data"},
    {"models"},
    {"chat", "scoring"},
    {"config", "system"},
    {"plugins"},
    {"assets"},
    {"files"},
    {"errors", "schema"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
# The only modules that import heavy libraries: they run in processes of their own.
WORKERS = (
    *("worker/", "exams/engines/transformers.py"),
    *("training/trainers/ms_swift/worker.py", "training/trainers/ms_swift/plugin/"),
)
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_FOLDER_FILES = 300, 50, 12


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_rooms(path: Path) -> set[str]:
    """The first components that a module imports of swiftkit, at its top or inside of functions."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "swiftkit":
            found |= {alias.name for alias in node.names if alias.name in RANK}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("swiftkit."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("swiftkit.")}
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{place(path)} has a relative import"
    return found


def test_every_module_has_a_rank() -> None:
    assert {place(path).split("/")[0].removesuffix(".py") for path in modules()} == set(RANK)


def test_imports_point_down() -> None:
    wrong = []
    for path in modules():
        own = place(path).split("/")[0].removesuffix(".py")
        wrong += [
            f"{place(path)} imports {room}"
            for room in sorted(imported_rooms(path))
            if room != own and RANK[room] <= RANK[own]
        ]
    assert wrong == []


def test_heavy_libraries_are_imported_by_workers_only() -> None:
    wrong = []
    for path in modules():
        if place(path).startswith(WORKERS):
            continue
        for node in ast.walk(tree(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{place(path)} imports {name}" for name in names if name.split(".")[0] in HEAVY]
    assert wrong == []


def test_every_module_that_is_started_by_name_exists_and_imports() -> None:
    """What `python -m` and `import_module` get: a string that a move would break silently."""
    targets = set()
    for path in modules():
        for node in ast.walk(tree(path)):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and re.fullmatch(r"swiftkit(\.[a-z_]+)+", str(node.value)):
                targets.add(str(node.value))
    workers = {t for t in targets if t.startswith("swiftkit.worker.") or t.endswith(".worker")}
    assert len(workers) == 7, workers
    is_file = re.compile(r"\.(json|yaml)$").search
    missing = [target for target in sorted(targets) if not is_file(target) and find_spec(target) is None]
    assert missing == []
    done = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(sorted(workers))}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["sft", "--help"],
        ["models"],
        ["models", "show", "qwen2_5-7b-instruct"],
        ["runs"],
        ["plugins", "--all"],
        ["data", "check", "math-sft", "--model_type", "tiny-math"],
        ["sft", "--model_type", "tiny-math", "--dry_run"],
        ["exam", "--model_type", "tiny-math", "--dataset", "math-exam#4", "--max_new_tokens", "4"],
        ["export", "--merge_lora"],
    ],
)
def test_no_command_loads_a_heavy_library_into_the_parent(words: list[str]) -> None:
    code = (
        "import sys; from swiftkit.cli.main import main; main(sys.argv[1:]);"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_importing_the_package_costs_nothing_and_gives_the_api() -> None:
    code = (
        "import sys; before = set(sys.modules); import swiftkit;"
        "print(sorted(m for m in set(sys.modules) - before if m.startswith(('swiftkit.', 'pydantic', 'yaml'))));"
        "print(all(getattr(swiftkit, name) for name in swiftkit.__all__));"
        "from swiftkit import sft, exam, export, SftConfig, ExamConfig, ExportConfig, Run, ExamResult, SwiftkitError;"
        "print(callable(sft), callable(exam), callable(export));"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[:-1] == ["[]", "True", "True True True", "[]"], done.stderr


def test_importing_changes_nothing() -> None:
    code = (
        "import os, sys, logging; before = (dict(os.environ), list(sys.path), list(logging.getLogger().handlers));"
        "import swiftkit.cli.main, swiftkit.cli.commands.sft, swiftkit.cli.commands.models, swiftkit.exams.exam;"
        "assert before == (dict(os.environ), list(sys.path), list(logging.getLogger().handlers))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hugging_faces_datasets_is_not_shadowed() -> None:
    assert not (ROOT / "datasets" / "__init__.py").exists()
    code = "from datasets import load_dataset; print(load_dataset.__module__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("datasets."), done.stderr


def test_the_module_and_the_script_are_the_same_command() -> None:
    script = Path(SWIFTKIT[0]).parent / "swiftkit"
    assert os.access(script, os.X_OK)
    printed = subprocess.run([script, "--version"], capture_output=True, text=True).stdout
    assert printed == swiftkit("--version", process=True).stdout != ""


# --- size and names ---------------------------------------------------------------------------------------------------


def test_no_two_classes_have_the_same_name() -> None:
    names = Counter(node.name for path in modules() for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_modules_functions_and_folders_are_small() -> None:
    too_large = []
    for path in modules():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        too_large += [f"{place(path)}: {lines} lines"] if lines > MAX_MODULE_LINES else []
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                too_large += [f"{place(path)}: {node.name}, {length} lines"] if length > MAX_FUNCTION_LINES else []
    for folder, count in Counter(path.parent for path in modules()).items():
        too_large += [f"{folder.name}: {count} files"] if count > MAX_FOLDER_FILES else []
    assert too_large == []
