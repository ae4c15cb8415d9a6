"""Plugins of an installed package: found by entry points, used by name, harmless where they are broken."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from support.commands import ROOT, stdout_json, swiftkit
from support.rows import chat_rows, write_rows
from swiftkit import plugins

DRY_RUN = ("sft", "--model_type", "tiny-math", "--dry_run", "--json")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A third-party package on the path: the example of CONTRIBUTING.md, with entry points."""
    (tmp_path / "site").mkdir()
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tmp_path / "site" / "tickets.py").write_text(guide.split("```python\n")[1].split("```")[0])
    info = tmp_path / "site" / "tickets-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tickets\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[swiftkit.formats]\ntickets = tickets\nbroken = nowhere.at.all\n")
    return tmp_path / "site"


def run_with(package: Path, *words: str) -> CompletedProcess[str]:
    return swiftkit(*words, PYTHONPATH=str(package))


def test_a_format_of_another_package_is_used_by_name(package: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "t.jsonl", [{"ticket": f"help {i}", "reply": "ok"} for i in range(20)])
    for words in (["--format", "tickets"], []):
        result = stdout_json(run_with(package, *DRY_RUN, "--dataset", str(path), *words))
        assert result["rows"]["read"] == 20


def test_a_broken_plugin_affects_only_those_who_name_it(package: Path, tmp_path: Path) -> None:
    assert run_with(package, *DRY_RUN, "--format", "messages").returncode == 0
    path = write_rows(tmp_path / "rows.jsonl", chat_rows(20))
    done = run_with(package, *DRY_RUN, "--dataset", str(path))
    assert done.returncode == 0
    assert "skipped: formats: `broken`" in done.stderr
    done = run_with(package, *DRY_RUN, "--format", "broken")
    assert done.returncode == 2
    assert "does not import" in done.stderr
    assert "tickets 1" in done.stderr


def test_a_name_with_two_owners_is_refused_and_names_both(package: Path) -> None:
    (package / "tickets-1.dist-info" / "entry_points.txt").write_text("[swiftkit.formats]\nalpaca = tickets\n")
    done = run_with(package, *DRY_RUN, "--format", "alpaca")
    assert done.returncode == 2
    assert "swiftkit.data.formats.alpaca" in done.stderr
    assert "tickets" in done.stderr


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_plugin_has_the_function_of_its_kind(kind: str) -> None:
    assert plugins.names(kind) or kind == "run_checks"  # of which swiftkit has none itself
    for name in plugins.names(kind):
        assert callable(plugins.get(kind, name))
