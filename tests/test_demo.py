"""`swiftkit demo`: one run of the bundled model, without a network, and everything that it leaves behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.commands import ROOT, stdout_json, swiftkit
from support.rows import batches, events_of, rows_of
from support.trained import MAX_STEPS, Demo
from swiftkit import files
from swiftkit.system import events
from swiftkit.system.events import Eval, Finished, Phase, Step
from swiftkit.training import curves
from swiftkit.training.run import Run

NUM_QUESTIONS = 200
BASE_SCORE = 35.0  # of the bundled model
FULL_SCORE = 97.5  # after three epochs with seed 42


def assert_commands(stdout: str, run: Run, *training: str) -> None:
    """The demo has printed each of its commands."""
    best = run.best()
    assert best is not None
    assert [line for line in stdout.splitlines() if line.startswith("$ ")] == [
        "$ swiftkit exam --model_type tiny-math --output_dir output",
        " ".join(["$ swiftkit sft --model_type tiny-math", *training, "--output_dir output"]),
        "$ swiftkit exam --ckpt best --output_dir output",
        "$ swiftkit export --ckpt best --merge_lora --output_dir output",
        f"$ swiftkit exam --ckpt output/{run.name}/merged-{best.step} --output_dir output",
    ]


def summary(stdout: str, folder: Path) -> dict[str, float]:
    """The three scores at the end; the two files named below them must exist."""
    *scores, curves_line, report_line = stdout.splitlines()[-5:]
    for line, name in ((curves_line, "curves.png"), (report_line, "report.html")):
        file = folder / line.split(": ")[1]
        assert file.name == name
        assert file.is_file()
    return {line.split()[0]: float(line.split()[1]) for line in scores}


# --- what it prints ---------------------------------------------------------------------------------------------------


def test_each_command_is_printed_and_runs(demo: Demo) -> None:
    assert demo.text("code") == "0\n", demo.text("stderr")
    stdout = demo.text("stdout")
    assert_commands(stdout, demo.run, "--max_steps", str(MAX_STEPS))
    assert "best_model_checkpoint:" in stdout
    assert "last_model_checkpoint:" in stdout
    assert f"finished at step {MAX_STEPS} of {MAX_STEPS}" in stdout


def test_three_scores_and_two_files_end_the_output(demo: Demo) -> None:
    scores = summary(demo.text("stdout"), demo.folder)
    assert list(scores) == ["base:", "best:", "merged:"]
    assert scores["base:"] == BASE_SCORE
    assert scores["merged:"] == scores["best:"], "the merged model answers as the checkpoint does"
    assert scores["best:"] > scores["base:"] + 10, "even a short training raises the score"


def test_no_process_connects_to_another_machine(demo: Demo) -> None:
    lines = demo.text("audit.log").splitlines()
    watched = [line for line in lines if line.startswith("watching")]
    assert any("sft" in line for line in watched)
    assert any("job.json" in line for line in watched), "the worker was not watched"
    assert [line for line in lines if not line.startswith("watching")] == []


def test_lines_of_ms_swift_are_in_the_log_only(demo: Demo) -> None:
    log = demo.run.log.read_text(encoding="utf-8")
    assert log.count("\n") > 300
    assert "[INFO:swift]" in log
    stderr = demo.text("stderr")
    assert "[INFO:swift]" not in stderr
    assert not {line for line in stderr.splitlines() if line} & set(log.splitlines())


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_best_is_the_checkpoint_with_the_lowest_validation_loss(demo: Demo) -> None:
    run = demo.run
    evaluations = events_of(run, Eval)
    assert len(evaluations) >= 8
    lowest = min(evaluations, key=lambda event: event.loss)
    best = run.best()
    assert best is not None
    assert (best.step, best.value, best.metric) == (lowest.step, lowest.loss, "eval_loss")
    assert str((run.path / "best").readlink()) == f".best-{lowest.step}"
    last = run.last()
    assert last is not None
    assert last.name == f"checkpoint-{events_of(run, Finished)[0].step}"


def test_best_shares_no_bytes_with_a_checkpoint(demo: Demo) -> None:
    run = demo.run
    best = run.best()
    assert best is not None
    inodes = {path.stat().st_ino for path in run.path.glob("checkpoint-*/*")}
    kept = [path for path in (run.path / "best").iterdir() if path.is_file()]
    assert {path.name for path in kept} == set(best.sha256)
    assert not inodes & {path.stat().st_ino for path in kept}
    assert not list((run.path / "best").glob("*.pt*")), "no pickles in what is shipped"


def test_a_changed_byte_invalidates_best(demo: Demo, tmp_path: Path) -> None:
    copied = Run(Path(shutil.copytree(demo.run.path, tmp_path / "run", symlinks=True)))
    assert copied.best() is not None
    file = copied.path / "best" / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert copied.best() is None


def test_best_in_plain_peft_has_the_recorded_validation_loss(demo: Demo) -> None:
    """The adapter alone, on the base model, gives the validation loss of best.json."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = ROOT / "models" / "tiny-math"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    padded = batches(rows_of(demo.run, "validation"), base, "qwen2_5", 16)
    before = mean_loss(model, padded)
    after = mean_loss(PeftModel.from_pretrained(model, demo.run.path / "best").eval(), padded)
    best = demo.run.best()
    assert best is not None
    assert after == pytest.approx(best.value, abs=1e-3)
    assert after < before - 1


def mean_loss(model: Any, padded: list[dict[str, Any]]) -> float:
    """Mean over the batches, weighted by their rows, as ms-swift computes it."""
    import torch

    with torch.no_grad():
        losses = [(model(**batch).loss.item(), len(batch["input_ids"])) for batch in padded]
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


# --- the record -------------------------------------------------------------------------------------------------------


def test_curves_show_exactly_the_losses_of_the_events(demo: Demo) -> None:
    run = demo.run
    figure = curves.draw(curves.from_events(events.effective(events.read(run.events))), run.name)
    drawn = {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid()}
    for gid, kind in (("train", Step), ("validation", Eval)):
        reported = events_of(run, kind)
        assert list(drawn[gid].get_xdata()) == [event.step for event in reported]
        assert list(drawn[gid].get_ydata()) == [event.loss for event in reported]
    best = run.best()
    assert best is not None
    assert (list(drawn["best"].get_xdata()), list(drawn["best"].get_ydata())) == ([best.step], [best.value])
    assert run.curves.read_bytes().startswith(b"\x89PNG")


def test_the_record_describes_the_run(demo: Demo) -> None:
    run = demo.run
    record = run.read().record
    assert record.state == "finished" == run.state()
    assert record.rows.read == 1000
    assert len(rows_of(run, "train")) == record.rows.train
    assert len(rows_of(run, "validation")) == record.rows.validation
    assert record.versions["ms-swift"].startswith("4.6")
    assert record.sha256["model.safetensors"] == files.sha256(ROOT / "models" / "tiny-math" / "model.safetensors")
    assert record.memory is not None
    assert record.memory["process"] > 100 << 20
    (trainer,) = [event for event in events_of(run, Phase) if event.phase == "trainer"]
    assert trainer.trainable == record.trainable, "what was announced is what PEFT trains"
    assert trainer.steps == record.steps == events_of(run, Finished)[0].step


def test_run_yaml_repeats_the_run(demo: Demo) -> None:
    done = swiftkit("sft", "--config", str(demo.run.config_file), "--dry_run", "--json", "--output_dir", "again")
    planned = stdout_json(done)
    content = yaml.safe_load(demo.run.config_file.read_text(encoding="utf-8"))
    repeated = {key: value for key, value in planned["config"].items() if value is not None}
    assert {**repeated, "output_dir": None} == {**content["config"], "output_dir": None}
    assert planned["rows"] == content["record"]["rows"]
    assert planned["steps"] == MAX_STEPS


def test_runs_lists_and_shows(demo: Demo) -> None:
    run = demo.run
    listed = stdout_json(swiftkit("runs", "--json", cwd=demo.folder))["runs"]
    assert [(entry["run"], entry["state"]) for entry in listed] == [(run.name, "finished")]
    shown = swiftkit("runs", "show", "v0", cwd=demo.folder)
    assert shown.returncode == 0
    assert str(run.path.relative_to(demo.folder)) in shown.stdout
    best = run.best()
    assert best is not None
    assert f"validation loss {best.value:.4f} at step {best.step}" in shown.stdout


# --- the full demo ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_scores_of_the_full_demo(tmp_path: Path) -> None:
    done = swiftkit("demo", process=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "output" / "tiny-math").glob("v0-*")
    assert_commands(done.stdout, Run(path))
    scores = summary(done.stdout, tmp_path)
    assert scores == {"base:": BASE_SCORE, "best:": FULL_SCORE, "merged:": FULL_SCORE}


@pytest.mark.slow
def test_the_full_demo_as_json_is_one_object() -> None:
    content = stdout_json(swiftkit("demo", "--json", process=True, timeout=1800))
    scores = [content[name] for name in ("base", "best", "merged")]
    assert [score["num_questions"] for score in scores] == [NUM_QUESTIONS] * 3
    assert [score["score"] for score in scores] == [BASE_SCORE, FULL_SCORE, FULL_SCORE]
    assert Path(content["report"]).is_file()
