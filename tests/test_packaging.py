"""The wheel: complete, and usable where nothing of the checkout is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from setuptools import find_packages

from support.commands import PYTHON, ROOT

ASSETS = {"templates": "*.jinja", "registry": "**/*", "datasets": "*.*", "models": "*/*"}


def test_every_package_is_listed() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    assert sorted(p for p in listed if "_assets" not in p) == sorted(find_packages(ROOT, include=["swiftkit*"]))
    for kind in ASSETS:
        assert f"swiftkit._assets.{kind}" in listed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built through the source distribution, from the files that git tracks and no others."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_asset(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for kind, pattern in ASSETS.items():
        for file in (ROOT / kind).glob(pattern):
            if file.is_file() and file.suffix != ".md":
                assert f"swiftkit/_assets/{file.relative_to(ROOT)}" in held
    package_data = [p for p in (ROOT / "swiftkit").rglob("*") if p.suffix in (".json", ".jinja", ".typed")]
    assert len(package_data) == 6
    assert {str(path.relative_to(ROOT)) for path in package_data} <= held
    assert not [name for name in held if name.split("/")[0] in ("datasets", "registry", "templates", "tests")]


def test_the_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    """Installed into a new venv, which sees the libraries of this one through a path file, but not its swiftkit."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    libraries = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "libraries.pth").write_text(libraries + "\n")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(tmp_path / "venv" / "bin" / "swiftkit")]

    def run(*words: str) -> str:
        done = subprocess.run([*command, *words], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = json.loads(run("models", "show", "tiny-math", "--json"))
    assert str(site / "swiftkit" / "_assets" / "models" / "tiny-math") == shown["folder"]
    assert "qwen2_5-1_5b-instruct" in run("models")
    assert json.loads(run("sft", "--model_type", "tiny-math", "--dry_run", "--json"))["rows"]["read"] == 1000
    questions = ("--dataset", "math-exam#3", "--max_new_tokens", "8")
    result = json.loads(run("exam", "--model_type", "tiny-math", *questions, "--json"))
    assert Path(result["report"]).is_file()
    assert result["num_questions"] == 3


def test_option_names_are_those_of_the_installed_ms_swift() -> None:
    import dataclasses

    from swift.arguments import SftArguments

    table = json.loads((ROOT / "swiftkit/training/trainers/ms_swift/options.json").read_text(encoding="utf-8"))
    assert set(table["options"]) == {field.name for field in dataclasses.fields(SftArguments)}


def test_the_code_is_clean() -> None:
    """`make lint`."""
    modules = (["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."], ["-m", "mypy"])
    for command in (*modules, ["tools/check_words.py"]):
        done = subprocess.run([PYTHON, *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_names_that_say_nothing_are_refused() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    import check_words

    source = """
from hypothesis import given, strategies as st
import numpy as ours
@given(st.text())
def told(wanted_value, *, x=1):
    made = foo(asked=wanted_value).said
    return lambda given_name: learner + x
class Lived: pass
"""
    assert [name for _, name in check_words.refused(source)] == [
        *("ours", "told", "wanted_value", "asked", "made", "said", "wanted_value", "given_name", "Lived"),
    ]
    assert check_words.refused("from somewhere import given\n@given()\ndef f(): ...") == [(1, "given"), (2, "given")]
