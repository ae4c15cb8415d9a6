"""`sft`, `exam` and `export` as functions: their errors, their options, calls in several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.commands import ROOT, stdout_json, swiftkit, warm_workers
from support.rows import only_run
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
from swiftkit.models import registry
from swiftkit.system.events import Event, Started, Step
from swiftkit.training import planning
from swiftkit.training.planning import TrainingPlan

MODEL, ROWS = "tiny-math", "math-sft#20"
SMALL: dict[str, Any] = {"dataset": [ROWS], "batch_size": 4, "gradient_accumulation_steps": 1}


@pytest.fixture(autouse=True)
def warm() -> Iterator[None]:
    """Workers of the functions are forked from the warm server."""
    with warm_workers():
        yield


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
        **SMALL,
        learning_rate=1e30,
        warmup_ratio=0,
        trainer_options={"max_grad_norm": 0},
        output_dir=str(tmp_path / "runs"),
    )
    with pytest.raises(TrainingError, match="diverged") as caught:
        sft(config)
    assert caught.value.run == only_run(tmp_path / "runs")
    assert (caught.value.result.state, caught.value.exit_code) == ("failed", 1)


def test_an_error_in_a_callback_is_recorded_as_a_failure(tmp_path: Path) -> None:
    def on_event(event: Event) -> None:
        raise ValueError("no such widget")

    with pytest.raises(ValueError, match="no such widget"):
        sft(SftConfig(model_type=MODEL, **SMALL, max_steps=1, output_dir=str(tmp_path / "runs")), on_event=on_event)
    record = only_run(tmp_path / "runs").read().record
    assert (record.state, record.error) == ("failed", "ValueError: no such widget")


def test_an_exception_in_a_callback_ends_the_worker(tmp_path: Path) -> None:
    pids = []

    def on_event(event: Event) -> None:
        if isinstance(event, Started):
            pids.append(event.pid)
        if isinstance(event, Step):
            raise KeyboardInterrupt  # as a notebook's stop button does

    output = tmp_path / "runs"
    config = SftConfig(model_type=MODEL, **SMALL, max_steps=100_000, output_dir=str(output))
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


def test_the_registry_of_a_plan_ends_with_it(tmp_path: Path) -> None:
    folder = write_registry(tmp_path, "q_proj", "a careful tutor")
    config = SftConfig(
        registry=str(folder), model_type="own-math", model_id_or_path=str(ROOT / "models" / "tiny-math"), **SMALL
    )
    with pytest.raises(SwiftkitError, match=r"own-math is not a folder .* the registry has no Hub id for it"):
        planning.plan(config.model_copy(update={"model_id_or_path": None}))
    assert planning.plan(config).context.template.name == "own"
    assert assets.added() is None
    change = folder / "templates" / "own.jinja"
    change.write_text(change.read_text(encoding="utf-8").replace("careful tutor", "patient tutor"), encoding="utf-8")
    assert "a patient tutor" in planning.plan(config).context.template.source, "it was edited between two calls"


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
            **SMALL,
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
