"""Run folders: numbered, with a best checkpoint that survives a kill, with events; listed, found, judged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.commands import stdout_json, swiftkit
from swiftkit import files
from swiftkit.config.sft import SftConfig
from swiftkit.errors import SwiftkitError
from swiftkit.system import events
from swiftkit.system.events import Best, Event, Failed, Finished, Interrupted, Phase, Resumed, Started, Step
from swiftkit.system.supervisor import ProcessResult
from swiftkit.training.job import JobModel, TrainJob
from swiftkit.training.process import judge
from swiftkit.training.run import Run, create_run, find_run, list_runs, save_best


def save_checkpoint(run: Path, step: int, content: str) -> Path:
    folder = run / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text(content)
    (folder / "optimizer.pt").write_text("state")
    return folder


# --- folders ----------------------------------------------------------------------------------------------------------


def test_runs_are_numbered_even_when_they_start_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: create_run(tmp_path / "output", "m"), range(16)))
    assert sorted(int(run.path.name.split("-")[0][1:]) for run in runs) == list(range(16))


def test_one_broken_run_does_not_hide_the_others(tmp_path: Path) -> None:
    for content in ("config: {}\nrecord: {state: x}\n", "{", "record:\n"):
        run = create_run(tmp_path / "output", "m")
        run.config_file.write_text(content)
        run.events.write_text('[1]\n{"event": "finished", "step": 1}\n')
        (run.path / "best.json").write_text("[" if content == "{" else "{}")
    done = swiftkit("runs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 3


def test_v1_does_not_match_v10(tmp_path: Path) -> None:
    for _ in range(12):
        create_run(tmp_path / "output", "m").config_file.write_text("record: {}\n")
    assert find_run(tmp_path / "output", "v1").path.name.startswith("v1-")
    with pytest.raises(SwiftkitError, match="matches 12 runs"):
        find_run(tmp_path / "output", "m/")


def test_run_files_of_the_first_version_are_read(tmp_path: Path) -> None:
    run = create_run(tmp_path / "output", "m")
    run.config_file.write_text(
        "config: {lora_rank: 4, swift: {weight_decay: 0.1}}\n"
        "record: {state: died, tokens: {train: 90, learned: 40, longest: 9}, rows: {read: 3, train: 3}}\n"
    )
    content = run.read()
    assert content.is_valid
    assert (content.config.lora_rank, content.config.trainer_options) == (4, {"weight_decay": 0.1})
    assert (content.record.state, content.record.tokens.loss, content.record.rows.train) == ("crashed", 40, 3)
    assert [found.name for found in list_runs(tmp_path / "output")] == [run.name]


# --- the best checkpoint ----------------------------------------------------------------------------------------------


def test_best_is_replaced_and_the_former_one_deleted(tmp_path: Path) -> None:
    save_best(tmp_path, save_checkpoint(tmp_path, 1, "one"), 1, 2.0)
    save_best(tmp_path, save_checkpoint(tmp_path, 2, "two"), 2, 1.0)
    assert [p.name for p in tmp_path.glob(".best-*")] == [".best-2"]
    assert (tmp_path / "best" / "adapter_model.safetensors").read_text() == "two"
    assert not (tmp_path / "best" / "optimizer.pt").exists()
    best = Run(tmp_path).best()
    assert best is not None
    assert (best.step, best.value, best.metric) == (2, 1.0, "eval_loss")


@pytest.mark.parametrize("call", range(1, 9))
def test_a_kill_at_any_moment_leaves_a_complete_best(tmp_path: Path, call: int) -> None:
    """A real process is killed at its n-th rename, link or folder of the second `save_best`."""
    save_best(tmp_path, save_checkpoint(tmp_path, 1, "one"), 1, 2.0)
    save_checkpoint(tmp_path, 2, "two")
    code = """
import os, signal, sys
from pathlib import Path
from swiftkit.training.run import save_best
left = int(sys.argv[2])
def audit(event, arguments):
    global left
    if event in ("os.rename", "os.symlink", "os.mkdir", "shutil.copyfile", "os.remove", "shutil.rmtree"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
run = Path(sys.argv[1])
save_best(run, run / "checkpoint-2", 2, 1.0)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(call)])
    assert done.returncode in (-9, 0)
    best = Run(tmp_path).best()
    assert best is not None
    assert best.step in (1, 2)
    assert (tmp_path / "best" / "adapter_model.safetensors").read_text() in ("one", "two")
    if done.returncode == -9:  # the next attempt is not hindered by what was left behind
        save_best(tmp_path, tmp_path / "checkpoint-2", 2, 1.0)
        best = Run(tmp_path).best()
        assert best is not None
        assert best.step == 2


# --- events -----------------------------------------------------------------------------------------------------------


def test_events_truncated_by_a_crash_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events.append(file, Step(step=1, loss=1.0))
    with file.open("a") as stream:
        stream.write('{"event": "step", "ste')
    assert [(type(event), event.step) for event in events.read(file) if isinstance(event, Step)] == [(Step, 1)]
    assert len(list(events.read(file))) == 1


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    written: list[Event] = [
        Started(pid=1, pid_started=2.0, total=9, details={"model": "m"}),
        Phase(phase="trainer", steps=9),
        Step(step=1, loss=1.0, tokens=90),
        Best(step=1, value=0.5),
        Finished(step=1, memory={"cpu": 7}),
    ]
    for event in written:
        events.append(file, event)
    assert list(events.read(file)) == written


def test_events_of_the_first_version_are_read(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    lines = [
        {"event": "started", "time": 1.0, "pid": 7, "pid_started": 2.0, "steps": 9},
        {"event": "phase", "time": 2.0, "name": "model"},
        {"event": "best", "time": 3.0, "step": 4, "loss": 0.5},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(events.read(file)) == [
        Started(time=1.0, pid=7, pid_started=2.0, total=9),
        Phase(time=2.0, phase="model"),
        Best(time=3.0, step=4, value=0.5),
    ]


def test_steps_that_a_resume_repeats_do_not_count() -> None:
    logged: list[Event] = [Step(step=n, loss=float(n)) for n in (1, 2, 3)]
    logged += [Interrupted(step=3), Resumed(step=2), Step(step=3, loss=9.0)]
    effective = events.effective(logged)
    steps = [(event.step, event.loss) for event in effective if isinstance(event, Step)]
    assert steps == [(1, 1.0), (2, 2.0), (3, 9.0)]
    assert not [event for event in effective if isinstance(event, Interrupted)]


# --- how a training ended ---------------------------------------------------------------------------------------------

STEP, FINISHED = Step(step=3, loss=1.0), Finished(step=3)


def train_job(run: Path) -> TrainJob:
    model = JobModel(folder=run, name="m", family="qwen2_5", swift_model_type="qwen2", swift_template="qwen2_5")
    return TrainJob(
        run=run,
        config=SftConfig(),
        model=model,
        template_name="qwen2_5",
        template="",
        stop_token="",
        storage="fp32",
        compute="fp32",
        device="cpu",
        num_train=1,
        num_validation=0,
        steps=3,
        rows_per_step=1,
        mean_tokens=1.0,
        trainable=1,
        parent=(1, 0.0),
    )


@pytest.mark.parametrize(
    ("reported", "saved", "code", "expected"),
    [
        ([STEP, FINISHED], 3, 0, "finished"),
        ([STEP, FINISHED], 3, -6, "finished"),  # it crashed while it cleaned up; nothing is lost
        ([STEP, FINISHED], 2, 0, "failed"),
        ([STEP, FINISHED], None, 0, "failed"),
        ([STEP, Failed(step=3, error="no memory")], 3, 1, "failed"),
        ([STEP], 3, 0, "crashed"),
        ([STEP], 3, -9, "crashed"),
        ([], None, 1, "crashed"),
        ([STEP, Interrupted(step=3)], 3, 0, "interrupted"),
    ],
)
def test_the_end_is_judged_by_events_and_checkpoints(
    reported: Iterable[Event], saved: int | None, code: int, expected: str, tmp_path: Path
) -> None:
    job = train_job(tmp_path)
    for event in reported:
        events.append(job.events, event)
    if saved:
        (tmp_path / f"checkpoint-{saved}").mkdir()
        (tmp_path / f"checkpoint-{saved}" / "trainer_state.json").write_text(json.dumps({"global_step": saved}))
    result = judge(job, ProcessResult(code, None, list(events.read(job.events)), job.log))
    assert result.state == expected
    assert (result.error is None) == (expected in ("finished", "interrupted"))


# --- unreadable and changed files -------------------------------------------------------------------------------------


def test_a_run_whose_file_is_broken_is_shown_without_what_it_does_not_say(tmp_path: Path) -> None:
    run = create_run(tmp_path / "output", "m")
    run.config_file.write_text("config: [\n")
    shown = swiftkit("runs", "show", "v0")
    assert shown.returncode == 0
    assert "run.yaml cannot be read" in shown.stdout
    assert "LoRA" not in shown.stdout
    assert "--config" not in shown.stdout
    content = stdout_json(swiftkit("runs", "show", "v0", "--json"))
    assert content["config"] is content["record"] is None


@pytest.mark.parametrize("content", [b"another template", b"\xff"])
def test_a_changed_template_of_a_run_is_refused(tmp_path: Path, content: bytes) -> None:
    run = create_run(tmp_path / "output", "m")
    run.template_file.write_text("{{ messages }}")
    run.config_file.write_text(f"config: {{}}\nrecord: {{sha256: {{template: {files.sha256(run.template_file)}}}}}\n")
    assert run.template("own")
    run.template_file.write_bytes(content)
    with pytest.raises(SwiftkitError, match="was changed after the training"):
        run.template("own")


# --- how processes end ------------------------------------------------------------------------------------------------


def test_a_signal_counts_even_if_the_work_was_done(tmp_path: Path) -> None:
    done = ProcessResult(0, signal.SIGINT, [Finished()], tmp_path / "log")
    with pytest.raises(SwiftkitError, match="interrupted: 3 of 3") as caught:
        done.require_finished("the exam", interrupted="3 of 3")
    assert caught.value.exit_code == 130
    ProcessResult(0, None, [Finished()], tmp_path / "log").require_finished("the exam", interrupted="3 of 3")


def test_a_failure_keeps_its_hint(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("output")
    failed = Failed.by_error(SwiftkitError("no server", "start one"))
    assert events.from_json(failed.to_json()) == failed
    with pytest.raises(SwiftkitError, match="the exam failed: no server") as caught:
        ProcessResult(1, None, [failed], tmp_path / "log").require_finished("the exam", interrupted="")
    assert caught.value.problems[0].hint == "start one"
    assert Failed.by_error(KeyError("x")).error == "KeyError: 'x'"


def test_this_process_is_known_to_run(tmp_path: Path) -> None:
    run = create_run(tmp_path / "output", "m")
    events.append(run.events, Started.by_this_process(9))
    assert run.state() == "running"
