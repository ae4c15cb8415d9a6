"""Trainings as processes: signals, kills, orphans, several processes of torchrun.

The command is always a process of its own. So is its worker's start, except where the test begins at the first step:
there a warm worker takes the signal or the kill.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import warm
from support.commands import PYTHON, SESSION, SESSION_PROCESS, SWIFTKIT, swiftkit
from support.rows import events_of, only_run
from swiftkit.system.events import Best, Event, Finished, Interrupted, Started, Step
from swiftkit.training.run import Run, list_runs

# The command with another `sys.executable`: the client of the warm workers.
WITH_WARM_WORKERS = "import sys; sys.executable = sys.argv.pop(1); from swiftkit.cli.main import main; sys.exit(main())"
ENDLESS = ("sft", "--model_type", "tiny-math", "--dataset", "math-sft#80", "--max_steps", "100000")


def start(*words: str, is_warm: bool = False, **environment: str) -> subprocess.Popen[str]:
    """A command in a process of its own; with `is_warm`, its worker is forked from the server of `support.warm`."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [PYTHON, "-c", WITH_WARM_WORKERS, str(warm.client(SESSION, SESSION_PROCESS))] if is_warm else SWIFTKIT
    return subprocess.Popen([*command, *words], env={**os.environ, **environment}, **pipes)


def wait_for(kind: type[Event], timeout: float = 120) -> Run:
    """The run under `output`, as soon as it has an event of that class."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for run in list_runs(Path("output")):
            if events_of(run, kind):
                return run
        time.sleep(0.1)
    raise AssertionError(f"no event {kind.__name__} within {timeout} s")


def worker_of(run: Run) -> int:
    """Process id of the worker that trains."""
    return int(events_of(run, Started)[0].pid)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_two_processes_train_together() -> None:
    """torchrun and gloo on CPU: what several GPUs do, without the GPUs."""
    short = ("sft", "--model_type", "tiny-math", "--dataset", "math-sft#80", "--max_steps", "3", "--batch_size", "4")
    done = swiftkit(*short, NPROC_PER_NODE="2", process=True)
    assert done.returncode == 0, done.stderr
    run = only_run(Path("output"))
    assert [event.step for event in events_of(run, Step)] == [1, 2, 3]
    assert len(events_of(run, Started)) == len(events_of(run, Finished)) == 1
    assert run.read().config.gradient_accumulation_steps == 2, "2 processes * 4 rows * 2 = 16"
    assert run.best() is not None


def test_two_processes_train_and_stop_together() -> None:
    """torchrun and gloo on CPU; both processes end at the same step, with what they have trained so far."""
    process = start(*ENDLESS, "--batch_size", "4", "--eval_steps", "1", NPROC_PER_NODE="2")
    run = wait_for(Best)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130, stderr
    steps = [event.step for event in events_of(run, Step)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(events_of(run, Started)) == len(events_of(run, Interrupted)) == 1
    assert run.read().config.gradient_accumulation_steps == 2, "2 processes * 4 rows * 2 = 16"
    assert run.best() is not None
    last = run.last()
    assert last is not None
    assert last.name == f"checkpoint-{steps[-1]}"
    assert run.state() == "interrupted"
    assert not is_alive(worker_of(run))


def test_a_second_signal_ends_it_at_once() -> None:
    process = start(*ENDLESS)
    run = wait_for(Started)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not is_alive(worker_of(run))


@pytest.mark.parametrize(
    ("number", "code", "is_warm"),
    [
        pytest.param(signal.SIGINT, 130, True, id="SIGINT"),
        pytest.param(signal.SIGTERM, 143, True, id="SIGTERM"),
        pytest.param(signal.SIGINT, 130, False, id="SIGINT, real start", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_ends_the_worker(number: int, code: int, is_warm: bool) -> None:
    process = start(*ENDLESS, is_warm=is_warm)
    run = wait_for(Step)
    assert run.state() == "running"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted at step" in stderr
    assert "Traceback" not in stderr
    assert run.state() == "interrupted"
    last = run.last()
    assert last is not None
    assert (last / "adapter_model.safetensors").is_file()
    assert not is_alive(worker_of(run))


def test_a_signal_while_libraries_are_loading() -> None:
    process = start(*ENDLESS)
    run = wait_for(Started)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert run.state() == "interrupted"
    assert not is_alive(worker_of(run))


def test_a_killed_worker_is_reported() -> None:
    process = start(*ENDLESS, is_warm=True)
    run = wait_for(Step)
    os.kill(worker_of(run), signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "was killed by signal 9" in stderr
    assert "swift.log" in stderr
    assert run.state() == "crashed"


@pytest.mark.parametrize("num_processes", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_killed_command_leaves_no_orphan(num_processes: str) -> None:
    """With two processes, torchrun is between the command and those that train."""
    process = start(*ENDLESS, is_warm=num_processes == "1", NPROC_PER_NODE=num_processes)
    run = wait_for(Step)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while is_alive(worker_of(run)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not is_alive(worker_of(run))
    assert run.state() == "interrupted"
