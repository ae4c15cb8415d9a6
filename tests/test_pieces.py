"""Run folders, curves, plugins, estimates: pieces that need no training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, write_rows

from swiftkit import curves, events, hardware, plugins, runs, tokenization
from swiftkit.errors import SwiftkitError

# --- run folders ---------------------------------------------------------------------------------------------------


def checkpoint(run: Path, step: int, content: str) -> Path:
    folder = run / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text(content)
    (folder / "optimizer.pt").write_text("state")
    return folder


def test_runs_are_numbered_even_when_they_start_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: runs.create(tmp_path / "output", "m"), range(16)))
    assert sorted(int(run.path.name.split("-")[0][1:]) for run in made) == list(range(16))


def test_best_is_swapped_and_the_former_one_goes(tmp_path: Path) -> None:
    run = runs.Run(tmp_path)
    runs.keep_best(tmp_path, checkpoint(tmp_path, 1, "one"), 1, 2.0)
    runs.keep_best(tmp_path, checkpoint(tmp_path, 2, "two"), 2, 1.0)
    assert [p.name for p in tmp_path.glob(".best-*")] == [".best-2"]
    assert (tmp_path / "best" / "adapter_model.safetensors").read_text() == "two"
    assert not (tmp_path / "best" / "optimizer.pt").exists()
    best = run.best()
    assert best is not None
    assert (best["step"], best["value"], best["metric"]) == (2, 1.0, "eval_loss")


@pytest.mark.parametrize("call", range(1, 9))
def test_killed_at_any_moment_there_is_a_whole_best(tmp_path: Path, call: int) -> None:
    """A real process is killed at its n-th rename, link or folder of the second `keep_best`."""
    runs.keep_best(tmp_path, checkpoint(tmp_path, 1, "one"), 1, 2.0)
    checkpoint(tmp_path, 2, "two")
    code = """
import os, signal, sys
from pathlib import Path
from swiftkit import runs
left = int(sys.argv[2])
def audit(event, arguments):
    global left
    if event in ("os.rename", "os.symlink", "os.mkdir", "shutil.copyfile", "os.remove", "shutil.rmtree"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
run = Path(sys.argv[1])
runs.keep_best(run, run / "checkpoint-2", 2, 1.0)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(call)])
    assert done.returncode in (-9, 0)
    best = runs.Run(tmp_path).best()
    assert best is not None
    assert best["step"] in (1, 2)
    assert (tmp_path / "best" / "adapter_model.safetensors").read_text() in ("one", "two")
    if done.returncode == -9:  # and the next attempt is not hindered by what was left behind
        runs.keep_best(tmp_path, tmp_path / "checkpoint-2", 2, 1.0)
        best = runs.Run(tmp_path).best()
        assert best is not None
        assert best["step"] == 2


def test_events_cut_off_by_a_crash_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events.append(file, "step", step=1, loss=1.0)
    with file.open("a") as stream:
        stream.write('{"event": "step", "ste')
    assert [event["step"] for event in events.read(file)] == [1]


def test_steps_of_an_earlier_life_do_not_count() -> None:
    told = [{"event": "step", "step": n, "loss": float(n)} for n in (1, 2, 3)]
    told += [
        {"event": "interrupted", "step": 3},
        {"event": "resumed", "step": 2},
        {"event": "step", "step": 3, "loss": 9.0},
    ]
    lived = events.lived(iter(told))
    assert [(e["step"], e.get("loss")) for e in lived if e["event"] == "step"] == [(1, 1.0), (2, 2.0), (3, 9.0)]
    assert not [e for e in lived if e["event"] == "interrupted"]


# --- curves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 59, 61, 10_000])
def test_curves_of_one_point_and_of_ten_thousand(count: int, tmp_path: Path) -> None:
    steps = list(range(1, count + 1))
    losses = [3 / step**0.3 for step in steps]
    data = curves.Curves((steps, losses), (steps[::100], losses[::100]), (steps[-1], losses[-1]))
    figure = curves.draw(data, "a run")
    line = next(line for line in figure.axes[0].lines if line.get_gid() == "train")
    assert list(line.get_xdata()) == steps
    assert list(line.get_ydata()) == losses
    assert line.get_marker() == ("o" if count <= curves.DOTS else "")
    low, high = figure.axes[0].get_xlim()
    assert low < 1 <= count < high
    curves.save(data, "a run", tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000
    assert list(tmp_path.iterdir()) == [tmp_path / "c.png"]


def test_running_mean_of_a_straight_line_is_the_line() -> None:
    line = [float(n) for n in range(200)]
    assert curves.smoothed(line)[5:-5] == pytest.approx(line[5:-5])
    assert len(curves.smoothed(line)) == 200


# --- plugins -------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A real outside package on the path: the example of CONTRIBUTING.md, with entry points."""
    (tmp_path / "site").mkdir()
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tmp_path / "site" / "tickets.py").write_text(guide.split("```python\n")[1].split("```")[0])
    info = tmp_path / "site" / "tickets-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tickets\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[swiftkit.formats]\ntickets = tickets\nbroken = nowhere.at.all\n")
    return tmp_path / "site"


def with_package(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run([sys.executable, "-m", "swiftkit", *words], env=environment, capture_output=True, text=True)


def test_a_format_of_another_package_is_one_line(package: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "t.jsonl", [{"ticket": f"help {i}", "reply": "ok"} for i in range(20)])
    words = ("sft", "--model_type", "tiny-math", "--dataset", str(path), "--dry_run", "--json", "--format", "tickets")
    done = with_package(package, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["read"] == 20


def test_a_broken_plugin_harms_only_those_who_ask_for_it(package: Path) -> None:
    words = ("sft", "--model_type", "tiny-math", "--dry_run", "--format")
    assert with_package(package, *words, "messages").returncode == 0
    done = with_package(package, *words, "broken")
    assert done.returncode == 2
    assert "does not import" in done.stderr


def test_a_name_claimed_twice_names_both_owners(package: Path) -> None:
    (package / "tickets-1.dist-info" / "entry_points.txt").write_text("[swiftkit.formats]\nalpaca = tickets\n")
    done = with_package(package, "sft", "--model_type", "tiny-math", "--dry_run", "--format", "alpaca")
    assert done.returncode == 2
    assert "swiftkit.formats.alpaca" in done.stderr
    assert "tickets" in done.stderr


@pytest.mark.parametrize("kind", plugins.VERBS)
def test_every_plugin_has_its_verb(kind: str) -> None:
    assert plugins.names(kind)
    for name in plugins.names(kind):
        assert callable(plugins.get(kind, name))


# --- estimates and tokenizers --------------------------------------------------------------------------------------


def test_memory_estimate_grows_with_what_it_should() -> None:
    config = {"hidden_size": 1536, "num_hidden_layers": 28, "vocab_size": 151936}
    plain, checkpointed = hardware.training_memory(config, 1_540_000_000, 9_000_000, 2048, "bf16")
    assert checkpointed < plain
    assert 5e9 < plain < 20e9  # Qwen2.5-1.5B with a row of 2,048 tokens is known to fit into 16 GB
    assert hardware.training_memory(config, 1_540_000_000, 9_000_000, 4096, "bf16")[0] > plain
    assert hardware.training_memory(config, 1_540_000_000, 9_000_000, 2048, "fp32")[0] > plain


def test_too_little_memory_saves_activations_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from swiftkit import flags, planning
    from swiftkit.errors import Problems

    given = flags.Given({"model_type": "tiny-math", "batch_size": "64"})
    plain = planning.plan(given, Problems())
    assert plain.config.gradient_checkpointing is False
    small = hardware.Device("cpu", "small", 1, 10 << 20, False, "a test")
    monkeypatch.setattr(hardware, "device", lambda: small)
    made = planning.plan(given, Problems())
    assert made.config.gradient_checkpointing is True
    assert any("this may not fit" in note for note in made.notes)


def test_a_run_stays_within_its_disk_estimate(tmp_path: Path) -> None:
    """What an adapter of the embedded model's size takes, measured on real files of a real run's kinds."""
    trainable = 81_920
    assert hardware.run_bytes(trainable, 20_000, 300_000) > 3 * 12 * trainable
    with pytest.raises(SwiftkitError, match="GB free"):
        hardware.need_disk(tmp_path / "not" / "there", 1 << 60)
    hardware.need_disk(tmp_path / "not" / "there", 1)


def test_a_tokenizer_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = ROOT / "registry" / "tiny_math"
    one = tokenization.load(folder)
    (kept,) = (tmp_path / "cache" / "swiftkit" / "tokenizers").iterdir()
    written = kept.stat().st_mtime_ns
    other = tokenization.load(folder)
    assert kept.stat().st_mtime_ns == written
    assert one.to_str() == other.to_str()


def test_a_folder_without_a_readable_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(SwiftkitError, match="no tokenizer"):
        tokenization.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(SwiftkitError, match="cannot read the tokenizer"):
        tokenization.load(tmp_path)
