"""The exported folder: complete or absent, kept if it is the same export, never put over something else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import PYTHON, ROOT, SWIFTKIT, swiftkit, warm_workers
from support.models import lora
from swiftkit import files

MODEL = ["--model_type", "qwen2_5-0_5b-instruct", "--model_id_or_path"]


@pytest.fixture(scope="module")
def base(family_folder: Callable[[str], Path]) -> Path:
    return family_folder("qwen2_5")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lora(base, tmp_path_factory.mktemp("adapter") / "adapter")


def export(base: Path, adapter: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Merge into `./merged`, or where the words say."""
    folder = [] if "--export_dir" in words else ["--export_dir", "merged"]
    return swiftkit("export", "--ckpt", str(adapter), *MODEL, str(base), "--merge_lora", *folder, *words)


def modification_times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def digests(folder: Path) -> dict[str, str]:
    """Hash of every file but swiftkit.json, which contains the time."""
    return {path.name: files.sha256(path) for path in folder.iterdir() if path.name != "swiftkit.json"}


def test_second_export_changes_nothing(base: Path, adapter: Path) -> None:
    first = export(base, adapter)
    before = modification_times(Path("merged"))
    second = export(base, adapter)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "exists already, from the same checkpoint and settings" not in first.stderr
    assert "exists already, from the same checkpoint and settings" in second.stderr
    assert second.stdout.splitlines()[-1] == first.stdout.splitlines()[-1] == "merged"
    assert modification_times(Path("merged")) == before


def test_adapter_needs_a_target(base: Path, adapter: Path) -> None:
    done = swiftkit("export", "--ckpt", str(adapter), "--model_id_or_path", str(base))
    assert done.returncode == 2
    assert "nothing to do" in done.stderr
    assert "--merge_lora merges it" in done.stderr


def test_target_merged_is_merge_lora(base: Path, adapter: Path) -> None:
    words = ["export", "--ckpt", str(adapter), *MODEL, str(base), "--to", "merged"]
    assert export(base, adapter).returncode == 0
    before = modification_times(Path("merged"))
    same_folder = swiftkit(*words, "--export_dir", "merged")
    assert same_folder.returncode == 0, same_folder.stderr
    assert "exists already" in same_folder.stderr
    assert modification_times(Path("merged")) == before
    other_folder = swiftkit(*words, "--export_dir", "by-target", "--json")
    assert other_folder.returncode == 0, other_folder.stderr
    result = json.loads(other_folder.stdout)
    assert result == {"folder": "by-target", "target": "merged", "dtype": "bf16", "created": True}
    assert digests(Path("by-target")) == digests(Path("merged"))
    both = export(base, adapter, "--to", "merged")
    assert both.returncode == 0, both.stderr
    assert modification_times(Path("merged")) == before


def test_other_content_is_replaced_with_overwrite_only(base: Path, adapter: Path) -> None:
    assert export(base, adapter, "--dtype", "bf16").returncode == 0
    Path("merged/notes.txt").write_text("mine")
    other = export(base, adapter, "--dtype", "fp32")
    assert other.returncode == 2
    assert "exists and holds something else" in other.stderr
    assert "--overwrite" in other.stderr
    assert Path("merged/notes.txt").is_file()
    assert export(base, adapter, "--dtype", "fp32", "--overwrite").returncode == 0
    assert not Path("merged/notes.txt").exists(), "the whole folder is replaced"
    assert json.loads(Path("merged/swiftkit.json").read_text())["dtype"] == "fp32"


def test_damaged_export_is_not_accepted_as_the_same(base: Path, adapter: Path) -> None:
    assert export(base, adapter).returncode == 0
    weights = Path("merged/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    again = export(base, adapter)
    assert again.returncode == 2
    assert "missing or changed" in again.stderr
    assert export(base, adapter, "--overwrite").returncode == 0
    assert weights.stat().st_size > 100


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_an_export_is_never_replaced(kind: str, base: Path, adapter: Path) -> None:
    path = Path("merged") if kind == "file" else Path("merged/mine.txt")
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    done = export(base, adapter)
    assert done.returncode == 2
    assert "merged exists" in done.stderr
    assert "Traceback" not in done.stderr
    assert export(base, adapter, "--overwrite").returncode == 2
    assert path.read_text() == "mine"


def test_empty_folder_is_filled(base: Path, adapter: Path) -> None:
    Path("merged").mkdir()
    done = export(base, adapter)
    assert done.returncode == 0, done.stderr
    assert Path("merged/model.safetensors").is_file()
    assert {p.name for p in Path().iterdir()} == {"merged"}, "no temporary file remains next to it"


def test_inputs_are_never_overwritten(base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "all" / "base"))
    adapter = lora(copy, tmp_path / "all" / "adapter")
    for folder in (copy, adapter):
        (folder / "swiftkit.json").write_text("{}")  # as if it were an earlier export
    for target in ("all/base", "all/adapter", "all", ".", "all/../all/base"):
        done = export(copy, adapter, "--export_dir", target, "--overwrite")
        assert done.returncode == 2, target
        assert f"--export_dir {Path(target)} is or contains" in done.stderr
    assert (copy / "model.safetensors").is_file()
    assert (adapter / "adapter_model.safetensors").is_file()


def test_changed_stop_tokens_of_the_base_make_another_export(base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "base"))
    adapter = lora(copy, tmp_path / "adapter")
    assert export(copy, adapter).returncode == 0
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    assert export(copy, adapter).returncode == 2
    assert export(copy, adapter, "--overwrite").returncode == 0
    assert json.loads(Path("merged/generation_config.json").read_text())["eos_token_id"] == [2, 7]


# Points of an export at which the command is killed, and its worker if the point is in there: the event of Python's
# audit hooks, the end of a path, the mode, how many such events; and a file that the unfinished folder has by then.
POINTS = {
    "when the worker begins": ("open|/.job.json|r", ".job.json"),
    "when the tokenizer is copied": ("open|/tokenizer.json|w", "model.safetensors"),
    "when the config is written": ("open|/.config.json.partial|w", "chat_template.jinja"),
    "when the origin is written": ("open|/.swiftkit.json.partial|w", "generation_config.json"),
    "when the folder is renamed": ("os.rename|||5", "swiftkit.json"),  # behind four files of it
}
# The command itself is a real process; only its worker is started by the tests' server, except to be killed.
WITH_WARM_WORKER = """
import os, sys
del os.environ["PYTHONPATH"]
sys.executable = os.environ["WARM_WORKER"]
from swiftkit.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("point", POINTS)
def test_killed_export_leaves_nothing_under_the_final_name(point: str, base: Path, adapter: Path) -> None:
    kill_at, present = POINTS[point]
    with warm_workers():
        client = sys.executable
    environment = {"PYTHONPATH": str(ROOT / "tests" / "kill"), "KILL_AT": kill_at, "WARM_WORKER": client}
    words = ["--ckpt", str(adapter), *MODEL, str(base), "--merge_lora", "--export_dir", "merged"]
    command = SWIFTKIT if "worker" in point else [PYTHON, "-c", WITH_WARM_WORKER]
    killed = subprocess.run([*command, "export", *words], env={**os.environ, **environment}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not Path("merged").exists()
    (partial,) = (path for path in Path().glob(".merged.partial-*") if path.is_dir())
    assert (partial / present).is_file(), "killed at another point than intended"
    again = export(base, adapter)
    assert again.returncode == 0, again.stderr
    assert {p.name for p in Path().iterdir() if "partial" in p.name or "former" in p.name} == set()
    origin = json.loads(Path("merged/swiftkit.json").read_text())
    assert origin["files"]
    assert all(files.sha256(Path("merged") / name) == digest for name, digest in origin["files"].items())
