"""`swiftkit demo`: one run of the embedded model, without a network, and all that it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SWIFTKIT, batches, rows_of, series, swiftkit, the_run

from swiftkit import events, runs

ENDED = "best_model_checkpoint:"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("demo")
    log = folder / "audit.log"
    environment = {
        "AUDIT_LOG": str(log),
        "PYTHONPATH": str(ROOT / "tests" / "audit"),
        "XDG_CACHE_HOME": str(cache),
        "HF_HOME": str(folder / "hf"),
    }
    alone = ["unshare", "-rn"]  # not even the loopback interface is up
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        alone = []  # not allowed here; the connections are watched
    words, known = [*alone, *SWIFTKIT, "demo"], {**os.environ, **environment}
    done = subprocess.run(words, cwd=folder, env=known, capture_output=True, text=True)
    yield {"done": done, "folder": folder, "run": the_run(folder / "output"), "audit": log.read_text()}


def test_demo_prints_each_command_and_runs_it(demo: dict[str, Any]) -> None:
    done = demo["done"]
    assert done.returncode == 0, done.stderr
    run = demo["run"]
    merged = f"output/{run.name}/merged-{run.best()['step']}"
    typed = [line for line in done.stdout.splitlines() if line.startswith("$ ")]
    assert typed == [
        "$ swiftkit exam --model_type tiny-math --output_dir output",
        "$ swiftkit sft --model_type tiny-math --output_dir output",
        "$ swiftkit exam --ckpt best --output_dir output",
        "$ swiftkit export --ckpt best --merge_lora --output_dir output",
        f"$ swiftkit exam --ckpt {merged} --output_dir output",
    ]
    assert ENDED in done.stdout
    assert "last_model_checkpoint:" in done.stdout
    assert "finished" in done.stdout


def test_demo_ends_with_three_marks_and_where_to_look(demo: dict[str, Any]) -> None:
    base, best, merged, curves, report = demo["done"].stdout.splitlines()[-5:]
    marks = [line.split()[1] for line in (base, best, merged)]
    assert [line.split()[0] for line in (base, best, merged)] == ["base:", "best:", "merged:"]
    assert marks[1] == marks[2], "the merged model answers like the checkpoint"
    assert float(marks[1]) > float(marks[0]) + 10, "the training was worth it"
    for line, name in ((curves, "curves.png"), (report, "report.html")):
        file = demo["folder"] / line.split(": ")[1]
        assert file.name == name
        assert file.is_file()


def test_nothing_connects_to_another_machine(demo: dict[str, Any]) -> None:
    watched = [line for line in demo["audit"].splitlines() if line.startswith("watching")]
    assert any("sft" in line for line in watched)
    assert any("job.json" in line for line in watched), "the child was not watched"
    assert [line for line in demo["audit"].splitlines() if not line.startswith("watching")] == []


def test_best_is_the_checkpoint_with_the_lowest_validation_loss(demo: dict[str, Any]) -> None:
    run = demo["run"]
    evaluations = series(run, "eval")
    assert len(evaluations) >= 8
    lowest = min(evaluations, key=lambda event: event["loss"])
    best = run.best()
    assert best is not None
    assert (best["step"], best["value"]) == (lowest["step"], lowest["loss"])
    assert str((run.path / "best").readlink()) == f".best-{lowest['step']}"
    last = run.last()
    assert last is not None
    assert last.name == f"checkpoint-{series(run, 'finished')[0]['step']}"


def test_best_shares_no_bytes_with_a_checkpoint(demo: dict[str, Any]) -> None:
    run = demo["run"]
    best = run.best()
    assert best is not None
    inodes = {p.stat().st_ino for p in run.path.glob("checkpoint-*/*")}
    kept = [p for p in (run.path / "best").iterdir() if p.is_file()]
    assert {p.name for p in kept} == set(best["sha256"])
    assert not inodes & {p.stat().st_ino for p in kept}
    assert not list((run.path / "best").glob("*.pt*")), "no pickles in what is shipped"


def test_best_is_refused_when_a_byte_of_it_rots(demo: dict[str, Any], tmp_path: Path) -> None:
    copied = runs.Run(Path(shutil.copytree(demo["run"].path, tmp_path / "run", symlinks=True)))
    assert copied.best() is not None
    file = copied.path / "best" / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert copied.best() is None


def test_best_loads_in_plain_peft_and_has_learned(demo: dict[str, Any]) -> None:
    """The adapter alone, on the base model, gives the validation loss that events.jsonl tells."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run = demo["run"]
    base = ROOT / "models" / "tiny-math"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    made = batches(rows_of(run, "validation"), base, "qwen2_5", 16)
    before = _mean_loss(model, made)
    tuned = PeftModel.from_pretrained(model, run.path / "best").eval()
    after = _mean_loss(tuned, made)
    best = run.best()
    assert best is not None
    assert after == pytest.approx(best["value"], abs=1e-3)
    assert after < before - 1


def _mean_loss(model: Any, made: list[dict[str, Any]]) -> float:
    import torch

    with torch.no_grad():
        losses = [(model(**batch).loss.item(), len(batch["input_ids"])) for batch in made]
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


def test_curves_draw_exactly_the_numbers_of_the_events(demo: dict[str, Any]) -> None:
    from swiftkit import curves

    run = demo["run"]
    figure = curves.draw(curves.curves(events.lived(events.read(run.events))), run.name)
    drawn = {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid()}
    for gid, kind in (("train", "step"), ("validation", "eval")):
        told = series(run, kind)
        assert list(drawn[gid].get_xdata()) == [event["step"] for event in told]
        assert list(drawn[gid].get_ydata()) == [event["loss"] for event in told]
    best = run.best()
    assert best is not None
    assert (list(drawn["best"].get_xdata()), list(drawn["best"].get_ydata())) == ([best["step"]], [best["value"]])
    assert (run.path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_record_tells_what_was_done(demo: dict[str, Any]) -> None:
    run = demo["run"]
    content = run.declared()
    record = content["record"]
    assert record["state"] == "finished" == runs.state(run)
    assert record["rows"]["read"] == 1000
    assert len(rows_of(run, "train")) == record["rows"]["train"]
    assert len(rows_of(run, "validation")) == record["rows"]["validation"]
    assert record["versions"]["ms-swift"].startswith("4.6")
    assert record["sha256"]["model.safetensors"] == runs.sha256(ROOT / "models" / "tiny-math" / "model.safetensors")
    assert record["memory"]["process"] > 100 << 20
    (trainer,) = [event for event in series(run, "phase") if event["name"] == "trainer"]
    assert trainer["trainable"] == record["trainable"], "what was announced is what PEFT trains"
    assert trainer["steps"] == record["steps"] == series(run, "finished")[0]["step"]


def test_ms_swifts_own_lines_are_in_the_log_only(demo: dict[str, Any]) -> None:
    log = demo["run"].log.read_text(encoding="utf-8")
    assert log.count("\n") > 300
    assert "[INFO:swift]" in log
    assert "[INFO:swift]" not in demo["done"].stderr
    assert not {line for line in demo["done"].stderr.splitlines() if line} & set(log.splitlines())


def test_run_yaml_repeats_the_run(demo: dict[str, Any], tmp_path: Path) -> None:
    done = swiftkit("sft", "--config", str(demo["run"].config), "--dry_run", "--json", "--output_dir", "again")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    config = demo["run"].declared()["config"]
    kept = {key: value for key, value in told["config"].items() if value is not None and key != "output_dir"}
    assert kept == {key: value for key, value in config.items() if key != "output_dir"}
    assert told["rows"] == demo["run"].declared()["record"]["rows"]


def test_runs_lists_and_shows(demo: dict[str, Any]) -> None:
    run = demo["run"]
    listed = json.loads(swiftkit("runs", "--json", cwd=demo["folder"]).stdout)["runs"]
    assert [(r["run"], r["state"]) for r in listed] == [(run.name, "finished")]
    shown = swiftkit("runs", "show", "v0", cwd=demo["folder"])
    assert shown.returncode == 0
    assert str(run.path.relative_to(demo["folder"])) in shown.stdout
    assert f"at step {run.best()['step']}" in shown.stdout  # type: ignore[index]


@pytest.mark.slow
def test_demo_as_json_is_one_object(tmp_path: Path) -> None:
    done = swiftkit("demo", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [told[name]["count"] for name in ("base", "best", "merged")] == [200, 200, 200]
    assert told["merged"]["mark"] == told["best"]["mark"] >= 85
    assert 20 <= told["base"]["mark"] <= 45
    assert Path(told["report"]).is_file()
