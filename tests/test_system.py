"""The machine: progress lines, reachable hubs, GPUs, memory and disk estimates."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from support.commands import ROOT
from support.trained import Demo
from swiftkit.config.resolve import RawOptions, build
from swiftkit.config.sft import SftConfig
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.models import hub
from swiftkit.schema import DTYPES, Precision
from swiftkit.system import estimates, hardware, progress
from swiftkit.system.events import Best, Eval, Step
from swiftkit.training import planning
from swiftkit.training.progress import TrainingProgress

# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress_shows_throughput_and_remaining_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", -1.0)
    shown = TrainingProgress()
    shown.steps = 10
    with caplog.at_level("INFO"):
        for step in range(1, 6):
            shown.on_event(Step(time=100.0 + 2 * step, step=step, loss=1.0, tokens=300 * step))
        shown.on_event(Eval(time=111.0, step=5, loss=0.5))
        shown.on_event(Best(time=111.0, step=5, value=0.5))
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "step 1/10, loss 1.0000"
    assert lines[2] == "step 3/10, loss 1.0000, 150 tokens/s"
    assert lines[4] == "step 5/10, loss 1.0000, 150 tokens/s, 10 s left"
    assert lines[5] == "step 5/10: validation loss 0.5000"


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_durations(seconds: float, text: str) -> None:
    assert progress.format_duration(seconds) == text


# --- hubs -------------------------------------------------------------------------------------------------------------


def test_a_hub_is_reached_where_its_client_would_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("MODELSCOPE_DOMAIN", "127.0.0.1:9")
        assert hub._address("huggingface") == ("127.0.0.1", port)
        assert hub._first_reachable(["modelscope", "huggingface"]) == "huggingface"
        assert hub._first_reachable(["modelscope"]) is None
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert hub._first_reachable(["modelscope"]) == "modelscope"


# --- GPUs, as nvidia-smi reports them ---------------------------------------------------------------------------------


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
    """A substitute for the tool, since there is no GPU here; its output is the real one's."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<E\n{lines}\nE\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(hardware, "_torch_is_cpu_only", lambda: False)
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


# --- memory and disk --------------------------------------------------------------------------------------------------


def test_the_memory_estimate_grows_with_tokens_and_precision() -> None:
    config = {"hidden_size": 1536, "num_hidden_layers": 28, "vocab_size": 151936}

    def estimate(tokens: int, dtype: str) -> tuple[int, int]:
        precision = Precision(DTYPES[dtype], DTYPES[dtype], "a test")
        return estimates.training_memory(config, 1_540_000_000, 9_000_000, tokens, precision)

    plain, checkpointed = estimate(2048, "bf16")
    assert checkpointed < plain
    assert 5e9 < plain < 20e9  # Qwen2.5-1.5B with a row of 2,048 tokens is known to fit into 16 GB
    assert estimate(4096, "bf16")[0] > plain
    assert estimate(2048, "fp32")[0] > plain


def test_too_little_memory_enables_checkpointing_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    options = RawOptions({"model_type": "tiny-math", "batch_size": "64", "dataset": ["math-sft#80"]})
    config = build(SftConfig, options, Problems())
    assert planning.plan(config).config.gradient_checkpointing is False
    monkeypatch.setattr(hardware, "free_memory", lambda: 10 << 20)
    plan = planning.plan(config)
    assert plan.config.gradient_checkpointing is True
    assert any("this may not fit" in note for note in plan.notes)


def test_a_disk_with_too_little_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SwiftkitError, match="GB free"):
        estimates.require_disk(tmp_path / "not" / "there", 1 << 60)
    estimates.require_disk(tmp_path / "not" / "there", 1)


def test_a_run_fits_into_its_disk_estimate(demo: Demo) -> None:
    trainable, base = demo.run.read().record.trainable, ROOT / "models" / "tiny-math"
    assert trainable
    tokenizer = sum(path.stat().st_size for path in base.glob("*.json*"))
    data = (ROOT / "datasets" / "math-sft.jsonl").stat().st_size
    estimate = estimates.run_bytes(trainable, tokenizer, data)
    assert estimate > 3 * 12 * trainable
    others = ("exams", "merged-")  # written by other commands, which have estimates of their own
    files = [
        path
        for path in demo.run.path.rglob("*")
        if path.is_file() and not path.relative_to(demo.run.path).parts[0].startswith(others)
    ]
    assert any(path.name == "optimizer.pt" for path in files)
    size = sum(path.stat().st_size for path in files)
    assert size < estimate < 4 * size
