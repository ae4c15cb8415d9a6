"""`sft`, `exam` and `export` as functions: the results of the commands, in a calling program that is not changed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from filelock import FileLock

from support.commands import SESSION, stdout_json, swiftkit, warm_workers
from support.rows import events_of, only_run
from swiftkit import ExamConfig, ExamResult, ExportConfig, Run, SftConfig, exam, export, sft
from swiftkit.exams.folder import ExamFolder
from swiftkit.system.events import Answered, Best, Eval, Event, Finished, Phase, Saved, Started, Step

T = TypeVar("T")
MODEL = "tiny-math"
NUM_QUESTIONS, LIMIT = 6, 64
QUESTIONS, ROWS = f"math-exam#{NUM_QUESTIONS}", "math-sft#40"
TRAINING = {"max_steps": 4, "eval_steps": 2, "batch_size": 4, "gradient_accumulation_steps": 1}
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def warm() -> Iterator[None]:
    """Workers of the functions are forked from the warm server."""
    with warm_workers():
        yield


def in_thread(work: Callable[[], T]) -> T:
    """The result of `work` in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@dataclass(frozen=True)
class Results:
    """What an exam of the base model, a training, an exam, an export and an exam of the export came to."""

    scores: list[dict[str, Any]]
    responses: list[list[str]]
    losses: list[float]
    validation_losses: list[float]
    best: dict[str, Any]
    export_sha256: dict[str, str]

    @classmethod
    def of(cls, exams: list[dict[str, Any]], run: Run, folder: Path) -> Results:
        """From the results of exams, a run, and the folder of an export."""
        counts = ("score", "total", "right", "wrong", "truncated", "num_questions", "kind", "types")
        best = run.best()
        assert best is not None
        return cls(
            [{name: content[name] for name in counts} for content in exams],
            [responses(Path(content["folder"])) for content in exams],
            [event.loss for event in events_of(run, Step)],
            [event.loss for event in events_of(run, Eval)],
            best.model_dump(exclude={"sha256"}),
            json.loads((folder / "swiftkit.json").read_text(encoding="utf-8"))["files"],
        )


def responses(folder: Path) -> list[str]:
    """The responses of an exam, in the order of its questions."""
    answers = ExamFolder(folder).read_answers()
    return [answers[number].response for number in sorted(answers)]


def run_commands(folder: Path) -> Results:
    """All of it by commands."""
    questions = ("--dataset", QUESTIONS, "--max_new_tokens", str(LIMIT), "--json")
    training = ("--dataset", ROWS, *(word for name, n in TRAINING.items() for word in (f"--{name}", str(n))), "--json")
    base = stdout_json(swiftkit("exam", "--model_type", MODEL, *questions, cwd=folder))
    stdout_json(swiftkit("sft", "--model_type", MODEL, *training, cwd=folder))
    best = stdout_json(swiftkit("exam", "--ckpt", "best", *questions, cwd=folder))
    exported = Path(stdout_json(swiftkit("export", "--merge_lora", "--json", cwd=folder))["folder"])
    merged = stdout_json(swiftkit("exam", "--ckpt", str(exported), *questions, cwd=folder))
    return Results.of([base, best, merged], only_run(folder / "output"), folder / exported)


@pytest.fixture(scope="session")
def expected() -> Results:
    """The results of the commands, computed once for all workers of the session."""
    file = SESSION / "commands.json"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            folder = SESSION / "commands"
            folder.mkdir()
            file.write_text(json.dumps(asdict(run_commands(folder))))
    return Results(**json.loads(file.read_text()))


@dataclass
class Observer:
    """Events of a call, and what its callbacks see of the calling program."""

    events: list[Event] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    handlers: set[tuple[Any, ...]] = field(default_factory=set)
    environments: list[dict[str, str]] = field(default_factory=list)

    def on_event(self, event: Event) -> None:
        """The callback."""
        self.events.append(event)
        self.look()

    def look(self, *ignored: Any) -> None:
        """Note signal handlers, environment and thread."""
        self.threads.add(threading.get_ident())
        self.handlers.add(tuple(map(signal.getsignal, SIGNALS)))
        if dict(os.environ) not in self.environments:
            self.environments.append(dict(os.environ))

    def names(self) -> list[str]:
        """Names of the events, without repetitions in a row."""
        names = [event.name for event in self.events]
        return [name for name, former in zip(names, ["", *names], strict=False) if name != former]


def run_functions(output: Path, observers: dict[str, Observer]) -> Results:
    """All of it by functions, whose options are those of `run_commands`; an export has no callback."""
    place: dict[str, Any] = {"output_dir": str(output)}
    questions: dict[str, Any] = {"dataset": [QUESTIONS], "max_new_tokens": LIMIT, **place}
    base = exam(ExamConfig(model_type=MODEL, **questions), on_event=observers["base"].on_event)
    config = SftConfig(model_type=MODEL, dataset=[ROWS], **TRAINING, **place)
    run = sft(config, on_plan=observers["plan"].look, on_event=observers["sft"].on_event)
    best = exam(ExamConfig(ckpt="best", **questions), on_event=observers["best"].on_event)
    folder = export(ExportConfig(merge_lora=True, **place))
    merged = exam(ExamConfig(ckpt=str(folder), **questions), on_event=observers["merged"].on_event)
    assert isinstance(run, Run)
    assert isinstance(best, ExamResult)
    assert best.base is not None
    assert best.base.score == base.score
    assert (run.read().record.command, best.command) == (None, None), "there is no command line to record"
    return Results.of([{**r.model_dump(), "folder": r.folder} for r in (base, best, merged)], run, folder)


@pytest.fixture
def own_handlers() -> Iterator[tuple[Any, ...]]:
    """Signal handlers of the calling program."""
    previous = {number: signal.signal(number, lambda number, frame: None) for number in SIGNALS}
    yield tuple(map(signal.getsignal, SIGNALS))
    for number, handler in previous.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("where", ["main thread", "thread"])
def test_functions_give_the_results_of_the_commands_and_change_nothing(
    where: str, expected: Results, own_handlers: tuple[Any, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    observers = {name: Observer() for name in ("base", "plan", "sft", "best", "merged")}
    environment, directory = dict(os.environ), Path.cwd()
    capfd.readouterr()

    def work() -> tuple[Results, int]:
        return run_functions(tmp_path / "runs", observers), threading.get_ident()

    results, thread = work() if where == "main thread" else in_thread(work)
    assert results == expected
    for observer in observers.values():
        assert observer.threads == {thread}, "callbacks run in the thread of the call"
        assert observer.handlers == {own_handlers}
        assert observer.environments == [environment]
    assert tuple(map(signal.getsignal, SIGNALS)) == own_handlers
    assert dict(os.environ) == environment
    assert Path.cwd() == directory
    assert capfd.readouterr().out == ""
    assert_events_are_complete(observers)


def assert_events_are_complete(observers: dict[str, Observer]) -> None:
    """Callbacks have received every event, in order."""
    for name in ("base", "best", "merged"):
        assert observers[name].names() == ["started", "phase", "answered", "finished"]
        reported = observers[name].events
        assert [e.phase for e in reported if isinstance(e, Phase)] == ["imports", "model"]
        assert [e.num_done for e in reported if isinstance(e, Answered)] == list(range(1, NUM_QUESTIONS + 1))
    reported = observers["sft"].events
    assert isinstance(reported[0], Started)
    assert reported[0].total == 4
    assert [e.phase for e in reported if isinstance(e, Phase)] == ["imports", "model", "trainer"]
    assert [e.step for e in reported if isinstance(e, Step)] == [1, 2, 3, 4]
    assert [e.step for e in reported if isinstance(e, Eval)] == [e.step for e in reported if isinstance(e, Saved)]
    assert [e.step for e in reported if isinstance(e, Eval)] == [2, 4]
    assert any(isinstance(e, Best) for e in reported)
    assert isinstance(reported[-1], Finished)


def test_an_export_installs_no_signal_handlers(
    own_handlers: tuple[Any, ...], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An export has no callback: another thread looks while it runs in the main thread."""
    observer, is_done = Observer(), threading.Event()

    def watch() -> None:
        while not is_done.wait(0.005):
            observer.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    environment = dict(os.environ)
    try:
        folder = export(
            ExportConfig(
                ckpt="best", merge_lora=True, output_dir=str(home / "output"), export_dir=str(home / "shipped")
            )
        )
    finally:
        is_done.set()
        watcher.join()
    assert (folder / "model.safetensors").is_file()
    assert observer.handlers == {own_handlers}
    assert observer.environments == [environment]
    assert capfd.readouterr().out == ""
