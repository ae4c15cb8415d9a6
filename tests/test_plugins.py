"""Plugins: the example package, installed and used by real commands; packages that are broken; folders of one's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, build, swiftkit, the_run

EXAMPLE = ROOT / "examples" / "plugin"
KINDS = ("families", "templates", "datasets", "formats", "scorers", "trainers")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the example package is installed, by pip, from a copy of its folder."""
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "plugin")
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*command, "--target", str(site), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {"PYTHONPATH": str(site)}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer model with the plugin's chat template, as its company would publish one."""
    folder = build(tmp_path_factory.mktemp("desk"), "qwen2_5")
    shutil.copy(EXAMPLE / "swiftkit_tickets" / "templates" / "tickets.jinja", folder / "chat_template.jinja")
    return folder


def listed(*words: str, **env: str) -> list[dict[str, Any]]:
    done = swiftkit("plugins", "--json", *words, **env)
    assert done.returncode in (0, 1), done.stderr
    plugins: list[dict[str, Any]] = json.loads(done.stdout)["plugins"]
    return plugins


def test_what_swiftkit_brings_keeps_the_rules() -> None:
    done = swiftkit("plugins", "--check", "--all", "--json")
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout)["plugins"]
    assert {row["kind"] for row in told} == set(KINDS)
    assert all(row["from"] == "swiftkit" and row["wrong"] is None for row in told)
    assert listed() == []


def test_the_example_package_adds_one_of_each_kind(installed: dict[str, str]) -> None:
    told = listed("--check", **installed)
    assert [(row["kind"], row["name"]) for row in told] == [
        ("families", "tickets"),
        ("templates", "tickets"),
        ("datasets", "tickets-exam"),
        ("datasets", "tickets"),
        ("formats", "tickets"),
        ("scorers", "department"),
    ]
    assert all(row["wrong"] is None for row in told)
    assert {row["from"] for row in told} == {"swiftkit-tickets", "swiftkit-tickets 1.0"}
    said = swiftkit("plugins", "--check", **installed)
    assert said.returncode == 0
    assert said.stdout.count("keeps the rules") == 6


def test_the_example_package_is_used_by_the_real_commands(installed: dict[str, str], desk: Path) -> None:
    """Found by its files, checked, trained on its dataset, examined by its scorer, exported with its template."""
    checked = swiftkit("models", "check", str(desk), "--json", **installed)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["family"] == "tickets"
    assert "tickets-0_5b" in swiftkit("models", "tickets", **installed).stdout
    facts = json.loads(swiftkit("data", "check", "tickets", "--json", **installed).stdout)
    assert facts["datasets"] == [{"dataset": "tickets", "format": "tickets", "rows": 64}]
    trained = swiftkit(
        *("sft", "--model_type", "tickets-0_5b", "--model_id_or_path", str(desk), "--max_steps", "2"), **installed
    )
    assert trained.returncode == 0, trained.stderr
    run = the_run(Path("output"))
    assert run.declared()["record"]["model"]["family"] == "tickets"
    examined = swiftkit("exam", "--scorer", "department", "--max_new_tokens", "8", "--json", **installed)
    assert examined.returncode == 0, examined.stderr
    told = json.loads(examined.stdout)
    assert (told["scorer"], told["count"]) == ("department", 16), told
    exported = swiftkit("export", "--merge_lora", **installed)
    assert exported.returncode == 0, exported.stderr
    (merged,) = run.path.glob("merged-*")
    assert "desk" in (merged / "chat_template.jinja").read_text(encoding="utf-8")


def package(site: Path, name: str, modules: dict[str, str], entries: str) -> None:
    """An installed package: modules of one file each, and entry points."""
    info = site / f"{name}-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(entries)
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text)


GOOD = """
from swiftkit.formats import pair
COLUMNS, OPTIONAL, EXAMPLE = ("ask", "say"), (), {"ask": "a", "say": "b"}
def to_messages(row):
    return pair(row, row["ask"], row["say"])
"""
SCORE = "from swiftkit.scorers import Score\nEXAMPLES = [('a', 'a', 1)]\n"


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("formats", "import nothing_of_that_name", "does not import: ModuleNotFoundError"),
        ("formats", "raise SystemError('no licence')", "does not import: SystemError: no licence"),
        ("formats", "COLUMNS = ('a',)", "has no function `to_messages`"),
        ("formats", GOOD.replace('("ask", "say")', "()"), "COLUMNS is no tuple"),
        ("formats", GOOD.replace('{"ask": "a", "say": "b"}', '{"ask": "a"}'), "EXAMPLE is no row with the columns"),
        ("formats", GOOD.replace('row["ask"]', 'row["ask"].strip()'), "raise ValueError with the reason"),
        ("formats", GOOD.replace('"say": "b"', '"say": " "'), "the assistant's content is empty"),
        ("scorers", "def score(response, reference, **more): return 1", "EXAMPLES is no list"),
        ("scorers", f"{SCORE}def score(response, reference, **more): return 1", "not a Score"),
        ("scorers", f"{SCORE}def score(response, reference, **more): return Score(0, 'no')", "EXAMPLES says 1"),
        ("scorers", f"{SCORE}def score(response, reference, **more): return Score(0.7, 'no')", "a credit of 0, 0.5"),
        (
            "scorers",
            f"{SCORE}def score(response, reference, **more): return Score(1 if response[0] else 0, 'right')",
            "makes it raise IndexError",
        ),
        ("scorers", f"{SCORE}EXAMPLES = [('a', 'a')]\ndef score(response, reference, **more): pass", "ValueError"),
        ("formats", GOOD.replace('row["ask"]', 'row["asked"]'), "KeyError"),
        ("formats", GOOD.replace('("ask", "say")', "7"), "COLUMNS is no tuple"),
        ("formats", "import sys\nsys.exit(0)", "does not import: SystemExit"),
        ("trainers", "train = 7", "has no function `train`"),
    ],
)
def test_a_broken_plugin_is_named_and_harms_nobody_else(kind: str, text: str, said: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    package(site, "broken", {"broken_one": text}, f"[swiftkit.{kind}]\nmine = broken_one\n")
    env = {"PYTHONPATH": str(site)}
    (row,) = listed(**env)
    assert (row["kind"], row["name"], row["from"]) == (kind, "mine", "broken 2.0")
    done = swiftkit("plugins", "--check", **env)
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stderr
    other = swiftkit("sft", "--model_type", "tiny-math", "--dry_run", **env)
    assert other.returncode == 0, other.stderr


def test_a_name_that_two_packages_claim_is_an_error_to_use_only(tmp_path: Path) -> None:
    site = tmp_path / "site"
    package(site, "one", {"one_format": GOOD}, "[swiftkit.formats]\nmine = one_format\n")
    package(site, "two", {"two_format": GOOD}, "[swiftkit.formats]\nmine = two_format\nalpaca = two_format\n")
    env = {"PYTHONPATH": str(site)}
    asked = swiftkit("data", "check", "math-sft", "--format", "mine", **env)
    assert asked.returncode == 2
    assert "claimed by one_format (one 2.0) and by two_format (two 2.0)" in asked.stderr
    assert swiftkit("data", "check", "math-sft", **env).returncode == 0


def test_a_package_whose_data_folders_are_not_there_is_passed_over(tmp_path: Path) -> None:
    site = tmp_path / "site"
    package(site, "gone", {}, "[swiftkit.assets]\nmine = nowhere\n")
    assert swiftkit("models", "qwen", PYTHONPATH=str(site)).returncode == 0


# --- folders of one's own ----------------------------------------------------------------------------------------


def mine(folder: Path) -> Path:
    """The example's data files as a folder for `--registry`."""
    for kind in ("registry", "templates", "datasets"):
        shutil.copytree(EXAMPLE / "swiftkit_tickets" / kind, folder / kind)
    for path in (folder / "datasets").glob("*.yaml"):  # the format is code, and code comes in packages
        path.write_text(path.read_text().replace("format: tickets\n", ""))
    for path in (folder / "datasets").glob("*.jsonl"):
        path.write_text(path.read_text().replace('"ticket"', '"query"').replace('"department"', '"response"'))
    return folder


def test_a_registry_folder_is_used_and_remembered_by_the_run(desk: Path, tmp_path: Path) -> None:
    folder = mine(tmp_path / "mine")
    told = listed("--check", "--registry", "mine")
    assert {row["from"] for row in told} == {
        str(folder / name)
        for name in (
            *("registry/tickets.yaml", "templates/tickets.jinja"),
            *("datasets/tickets.yaml", "datasets/tickets-exam.yaml"),
        )
    }
    assert all(row["wrong"] is None for row in told)
    words = ["--model_id_or_path", str(desk), "--dataset", "tickets", "--max_steps", "2"]
    done = swiftkit("sft", "--registry", "mine", *words)
    assert done.returncode == 0, done.stderr
    assert the_run(Path("output")).declared()["config"]["registry"] == str(folder)
    # The run knows the folder, so export needs no flag; a folder that is gone is named.
    exported = swiftkit("export", "--merge_lora")
    assert exported.returncode == 0, exported.stderr
    folder.rename(tmp_path / "moved")
    gone = swiftkit("export", "--merge_lora", "--overwrite")
    assert gone.returncode == 2
    assert f"--registry: {folder} has none of these folders" in gone.stderr
    moved = swiftkit("export", "--merge_lora", "--overwrite", "--registry", "moved")
    assert moved.returncode == 0, moved.stderr


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_registry_folder_without_data_is_refused(name: str) -> None:
    Path("empty").mkdir()
    for command in ("models", "plugins"):
        done = swiftkit(command, "--registry", name)
        assert done.returncode == 2
        assert "has none of these folders in it: registry, templates, datasets, models" in done.stderr


def test_an_unknown_plugin_is_said() -> None:
    done = swiftkit("plugins", "nope")
    assert done.returncode == 2
    assert "no plugin is named nope" in done.stderr
