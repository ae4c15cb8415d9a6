"""The parent is light, imports point down, importing changes nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SWIFTKIT, swiftkit

PACKAGE = ROOT / "swiftkit"
HEAVY = {"torch", "transformers", "peft", "swift", "evalscope", "accelerate", "datasets", "modelscope", "trl"}

# A module may import those of its own line's right-hand neighbours and below; the order is the architecture.
RANKS = [
    {"__main__"},
    {"cli"},
    {"commands"},
    {"report", "merging", "contract", "conformance", "adoption"},
    {"companions"},
    {"examining"},
    {"record"},
    {"trainers"},
    {"planning", "progress", "questions", "inspection"},
    {"worker"},
    {"checkpoints", "marks", "learned", "reading"},
    {"adapters", "exams"},
    {"overlap"},
    {"weights", "runs", "curves", "data"},
    {"instruct", "scorers"},
    {"formats", "sources", "models", "lora", "hub", "hardware", "tokenization", "markers", "child"},
    {"model_folder"},
    {"chat"},
    {"values"},
    {"units", "notation", "symbolic"},
    {"events", "flags", "helptext"},
    {"config", "plugins", "passthrough", "catalogue"},
    {"declaration"},
    {"assets"},
    {"log", "paths"},
    {"errors", "schema"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
# Siblings that one module may use of another, and a package its own.
ALLOWED = {("sources", "hub"), ("formats", "formats"), ("weights", "models")}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The parts of swiftkit that a module imports, at its top or inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "swiftkit":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("swiftkit."):
            found.add((node.module or "").split(".")[1])
    return {name for name in found if name in RANK}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in imports(path):
        fine = name == own or RANK[name] > RANK[own] or (own, name) in ALLOWED
        assert fine, f"{own} imports {name}, which stands above or beside it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_by_workers_only(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] == "worker":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & HEAVY


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["models"],
        ["sft", "--model_type", "tiny-math", "--dry_run"],
        ["runs"],
        ["exam", "--model_type", "tiny-math", "--dataset", "math-exam#4"],
        ["export", "--merge_lora"],
    ],
)
def test_no_command_loads_torch_into_the_parent(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from swiftkit.cli import main; main(sys.argv[1:]);"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_importing_changes_nothing() -> None:
    code = (
        "import os, sys, logging; before = (dict(os.environ), list(sys.path), list(logging.getLogger().handlers));"
        "import swiftkit.cli, swiftkit.commands.sft, swiftkit.commands.models;"
        "assert before == (dict(os.environ), list(sys.path), list(logging.getLogger().handlers))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hugging_faces_datasets_is_not_shadowed() -> None:
    assert not (ROOT / "datasets" / "__init__.py").exists()
    code = "from datasets import load_dataset; print(load_dataset.__module__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("datasets."), done.stderr


def test_the_module_and_the_script_are_the_same_command() -> None:
    script = Path(sys.executable).parent / "swiftkit"
    assert script.exists()
    one = subprocess.run([script, "--version"], capture_output=True, text=True).stdout
    assert one == swiftkit("--version").stdout
    assert SWIFTKIT[0] == sys.executable
    assert os.access(script, os.X_OK)
