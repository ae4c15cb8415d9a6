"""Run folders, curves, plugins, estimates: pieces that need no training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, chat_rows, write_rows

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


def test_one_spoiled_run_does_not_hide_the_others(tmp_path: Path) -> None:
    for content in ("config: {}\nrecord: {state: x}\n", "{", "record:\n"):
        run = runs.create(tmp_path / "output", "m")
        run.config.write_text(content)
        run.events.write_text('[1]\n{"event": "finished", "step": 1}\n')
        (run.path / "best.json").write_text("[" if content == "{" else "{}")
    done = subprocess.run([sys.executable, "-m", "swiftkit", "runs"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 3


def test_v1_is_not_v10(tmp_path: Path) -> None:
    for _ in range(12):
        runs.create(tmp_path / "output", "m").config.write_text("record: {}\n")
    assert runs.find(tmp_path / "output", "v1").path.name.startswith("v1-")
    with pytest.raises(SwiftkitError, match="fits 12 runs"):
        runs.find(tmp_path / "output", "m/")


# --- progress ------------------------------------------------------------------------------------------------------


def test_progress_tells_pace_and_time_left(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from swiftkit import progress

    monkeypatch.setattr(progress, "EVERY", -1.0)
    shown = progress.Progress(10)
    with caplog.at_level("INFO"):
        for step in range(1, 6):
            shown.show({"event": "step", "time": 100.0 + 2 * step, "step": step, "loss": 1.0, "tokens": 300 * step})
        shown.show({"event": "eval", "time": 111.0, "step": 5, "loss": 0.5})
        shown.show({"event": "best", "time": 111.0, "step": 5, "loss": 0.5})
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "step 1/10, loss 1.0000"
    assert lines[2] == "step 3/10, loss 1.0000, 150 tokens/s"
    assert lines[4] == "step 5/10, loss 1.0000, 150 tokens/s, 10 s left"
    assert lines[5] == "step 5/10: validation loss 0.5000"


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_spans(seconds: float, said: str) -> None:
    from swiftkit import progress

    assert progress.span(seconds) == said


# --- hubs ----------------------------------------------------------------------------------------------------------


def test_a_hub_is_asked_where_its_client_would_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from swiftkit import hub

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "127.0.0.1:9")
    assert hub._address("huggingface") == ("127.0.0.1", port)
    assert hub._reachable(["modelscope", "huggingface"]) == "huggingface"
    assert hub._reachable(["modelscope"]) is None
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    assert hub._reachable(["modelscope"]) == "modelscope"
    listening.close()


# --- graphics cards, as nvidia-smi tells of them ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "visible", "expected"),
    [
        ("A100, 40000, 8.0\nA100, 40000, 8.0", None, (2, True, 40000 << 20)),
        ("A100, 40000, 8.0\nT4, 15000, 7.5", "1", (1, False, 15000 << 20)),
        ("A100, 40000, 8.0\nA100, 40000, 8.0", "0, 1", (2, True, 40000 << 20)),
        ("A100, 40000, 8.0", "GPU-1234", (1, True, 40000 << 20)),
        ("GB10, [N/A], 12.1", None, (1, True, None)),
        ("A100, 40000, 8.0", "", None),
    ],
)
def test_devices(
    lines: str,
    visible: str | None,
    expected: tuple[int, bool, int | None] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in for the tool, since there is no GPU here; its output is the real one's."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<E\n{lines}\nE\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(hardware, "_torch_is_for_cpu", lambda: False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    hardware.device.cache_clear()
    found = hardware.device()
    hardware.device.cache_clear()
    if expected is None:
        assert found.kind == "cpu"
        return
    count, bf16, memory = expected
    assert (found.kind, found.count, found.bf16) == ("cuda", count, bf16)
    assert found.memory == memory if memory else found.memory > 1 << 30


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


def test_a_broken_plugin_harms_only_those_who_ask_for_it(package: Path, tmp_path: Path) -> None:
    words = ("sft", "--model_type", "tiny-math", "--dry_run", "--format")
    assert with_package(package, *words, "messages").returncode == 0
    path = write_rows(tmp_path / "rows.jsonl", chat_rows(20))
    done = with_package(package, *words[:-1], "--dataset", str(path))
    assert done.returncode == 0
    assert "passed over: formats: `broken`" in done.stderr
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
    folder = ROOT / "models" / "tiny-math"
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


# --- how a training ended ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "saved", "code", "expected"),
    [
        (["step", "finished"], 3, 0, "finished"),
        (["step", "finished"], 3, -6, "finished"),  # it fell over while clearing up; nothing is lost
        (["step", "finished"], 2, 0, "failed"),
        (["step", "finished"], None, 0, "failed"),
        (["step", "failed"], 3, 1, "failed"),
        (["step"], 3, 0, "died"),
        (["step"], 3, -9, "died"),
        ([], None, 1, "died"),
        (["step", "interrupted"], 3, 0, "interrupted"),
    ],
)
def test_the_end_is_judged_by_events_and_checkpoints(
    told: list[str], saved: int | None, code: int, expected: str, tmp_path: Path
) -> None:
    from swiftkit.trainers import ms_swift
    from swiftkit.worker.job import Job

    for event in told:
        events.append(tmp_path / "events.jsonl", event, step=3)
    if saved:
        (tmp_path / f"checkpoint-{saved}").mkdir()
        (tmp_path / f"checkpoint-{saved}" / "trainer_state.json").write_text(json.dumps({"global_step": saved}))
    job = Job(tmp_path, [], "chatml", "chatml", "", {}, 1.0, 1, False, True, (1, 0.0))
    assert ms_swift.outcome(job, code).state == expected
