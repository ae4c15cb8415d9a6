"""`sft`, `exam` and `export` as functions: the results of the commands, and a calling program that is not disturbed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from filelock import FileLock

from support.commands import ROOT, SESSION, stdout_json, swiftkit, warm_workers
from support.rows import events_of, only_run
from swiftkit import (
    ExamConfig,
    ExamResult,
    ExportConfig,
    Run,
    SftConfig,
    SwiftkitError,
    TrainingError,
    assets,
    exam,
    export,
    sft,
)
from swiftkit.exams.folder import ExamFolder
from swiftkit.models import registry
from swiftkit.system.events import Answered, Best, Eval, Event, Finished, Phase, Saved, Started, Step
from swiftkit.training.planning import TrainingPlan

T = TypeVar("T")
MODEL = "tiny-math"
QUESTIONS, ROWS, STEPS, EVAL_STEPS, LIMIT = "math-exam#10", "math-sft#80", 4, 2, 64
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


# --- the same results as the commands ---------------------------------------------------------------------------------


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
            [
                [a["response"] for a in read_lines(Path(content["folder"]).parent / "answers.jsonl")]
                for content in exams
            ],
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
    training = ("--dataset", ROWS, "--max_steps", str(STEPS), "--eval_steps", str(EVAL_STEPS), "--json")
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
    config = SftConfig(model_type=MODEL, dataset=[ROWS], max_steps=STEPS, eval_steps=EVAL_STEPS, **place)
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
        assert [e.num_done for e in reported if isinstance(e, Answered)] == list(range(1, 11))
    reported = observers["sft"].events
    assert isinstance(reported[0], Started)
    assert reported[0].total == STEPS
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


# --- errors -----------------------------------------------------------------------------------------------------------


def test_all_problems_are_in_one_error(tmp_path: Path) -> None:
    config = SftConfig(
        model_type="no-such-model",
        dataset=["missing.jsonl", "also-missing.jsonl"],
        dtype="fp16",
        trainer="no-such-trainer",
        task="no-such-task",
        registry="no-such-folder",
        output_dir=str(tmp_path / "runs"),
    )
    with pytest.raises(SwiftkitError) as caught:
        sft(config)
    messages = [problem.message for problem in caught.value.problems]
    parts = ("no-such-model", "missing.jsonl", "also-missing.jsonl", "fp16", "no-such-trainer", "no-such-task")
    for part in (*parts, "no-such-folder"):
        assert sum(part in message for message in messages) >= 1, part
    assert len(messages) == len(parts) + 1
    assert str(caught.value) == "\n".join(messages)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: exam(ExamConfig(output_dir="nowhere")), "there is no run under"),
        (lambda: exam(ExamConfig(model_type=MODEL, engine="no-such-engine")), "no-such-engine"),
        (lambda: export(ExportConfig(merge_lora=True, output_dir="nowhere")), "there is no run under"),
        (lambda: export(ExportConfig(registry="nowhere", merge_lora=True)), "--registry"),
    ],
)
def test_problems_of_exam_and_export_are_errors(call: Callable[[], Any], part: str) -> None:
    with pytest.raises(SwiftkitError, match=part) as caught:
        call()
    assert caught.value.exit_code == 2


def test_a_training_that_fails_raises_an_error_with_its_run(tmp_path: Path) -> None:
    config = SftConfig(
        model_type=MODEL,
        dataset=[ROWS],
        learning_rate=1e30,
        warmup_ratio=0,
        max_steps=8,
        trainer_options={"max_grad_norm": 0},
        output_dir=str(tmp_path / "runs"),
    )
    with pytest.raises(TrainingError, match="diverged") as caught:
        sft(config)
    assert caught.value.run == only_run(tmp_path / "runs")
    assert (caught.value.result.state, caught.value.exit_code) == ("failed", 1)


def test_an_exception_in_a_callback_ends_the_worker(tmp_path: Path) -> None:
    pids = []

    def on_event(event: Event) -> None:
        if isinstance(event, Started):
            pids.append(event.pid)
        if isinstance(event, Step):
            raise KeyboardInterrupt  # as a notebook's stop button does

    output = tmp_path / "runs"
    config = SftConfig(model_type=MODEL, dataset=[ROWS], max_steps=100_000, output_dir=str(output))
    with pytest.raises(KeyboardInterrupt):
        sft(config, on_event=on_event)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pids[0])
    run = only_run(output)
    assert run.state() == "interrupted"
    assert run.last() is not None


# --- options ----------------------------------------------------------------------------------------------------------


class Planned(Exception):
    """Raised by `on_plan`, so that no training follows."""


def plan(config: SftConfig) -> TrainingPlan:
    """The plan that `sft` makes."""
    plans = []

    def on_plan(plan: TrainingPlan) -> None:
        plans.append(plan)
        raise Planned

    with pytest.raises(Planned):
        sft(config, on_plan=on_plan)
    return plans[0]


def test_options_in_code_are_explicit() -> None:
    """Even with the value of the default, they win over the registry's defaults, as typed flags do."""
    defaults = plan(SftConfig(model_type=MODEL, dataset=[ROWS]))
    assert (defaults.config.batch_size, defaults.config.num_train_epochs) == (16, 3)
    chosen = plan(SftConfig(model_type=MODEL, dataset=[ROWS], batch_size=1, num_train_epochs=1))
    assert (chosen.config.batch_size, chosen.config.num_train_epochs) == (1, 1)
    assert set(defaults.defaults) - set(chosen.defaults) == {"batch_size", "num_train_epochs"}
    typed = stdout_json(
        swiftkit(
            *("sft", "--model_type", MODEL, "--dataset", ROWS, "--batch_size", "1", "--num_train_epochs", "1"),
            *("--dry_run", "--json"),
        )
    )
    assert typed["config"] == chosen.config.model_dump(mode="json")


def test_options_in_code_without_effect_are_noted_as_typed_ones() -> None:
    note = "all weights are trained, so these options have no effect: --lora_rank"
    assert note in plan(SftConfig(model_type=MODEL, dataset=[ROWS], sft_type="full", lora_rank=8)).notes
    assert note not in plan(SftConfig(model_type=MODEL, dataset=[ROWS], sft_type="full")).notes


def test_a_model_named_in_code_means_its_base(home: Path) -> None:
    output = str(home / "output")
    assert exam(ExamConfig(output_dir=output)).kind == "adapter"
    assert exam(ExamConfig(output_dir=output, model_type=MODEL)).kind == "base"


def test_the_project_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("max_steps: 1\n")
    assert plan(SftConfig(model_type=MODEL, dataset=[ROWS])).steps > 1


# --- several threads --------------------------------------------------------------------------------------------------


def write_registry(folder: Path, target: str, persona: str) -> Path:
    """A folder for `--registry` with a family `own` that adapts one kind of layer and has its own system prompt."""
    for kind in ("registry", "templates"):
        (folder / kind).mkdir(parents=True)
    (folder / "registry" / "own.yaml").write_text(
        "template: own\narchitectures: [Qwen2ForCausalLM]\nswift: {model_type: qwen2, template: qwen2_5}\n"
        f"lora_targets: [{target}]\nmodels: {{own-math: {{}}}}\n"
    )
    text = (ROOT / "templates" / "qwen2_5.jinja").read_text(encoding="utf-8")
    (folder / "templates" / "own.jinja").write_text(text.replace("a helpful assistant", persona), encoding="utf-8")
    return folder


def test_threads_with_different_registries_do_not_affect_each_other(tmp_path: Path) -> None:
    personas = {"q_proj": "a careful tutor", "v_proj": "a strict teacher"}
    both_planned = threading.Barrier(len(personas), timeout=120)

    def train(target: str) -> tuple[Run, list[str], ExamResult]:
        seen: list[str] = []

        def on_plan(plan: TrainingPlan) -> None:
            both_planned.wait()  # from here on, both calls are in progress
            seen.extend(registry.families()["own"].lora_targets)

        config = SftConfig(
            registry=str(write_registry(tmp_path / target, target, personas[target])),
            model_type="own-math",
            model_id_or_path=str(ROOT / "models" / "tiny-math"),
            dataset=[ROWS],
            batch_size=4,
            max_steps=2,
            output_dir=str(tmp_path / target / "runs"),
        )
        run = sft(config, on_plan=on_plan)
        result = exam(
            ExamConfig(
                dataset=["math-exam#3"], max_new_tokens=1, registry=config.registry, output_dir=config.output_dir
            )
        )
        return run, seen, result

    with ThreadPoolExecutor(len(personas)) as pool:
        outcomes = list(pool.map(train, personas))
    for (target, persona), (run, seen, result) in zip(personas.items(), outcomes, strict=True):
        assert seen == [target]
        assert run.read().config.lora_target_modules == [target]
        assert persona in run.template_file.read_text(encoding="utf-8")
        assert result.run == str(run.path.absolute())
    assert assets.added() is None
    assert "own" not in registry.families()
