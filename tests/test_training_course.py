"""The command lines of the classic tutorial, on its data and a model of its shape."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path

import pytest

from support.commands import shared, swiftkit
from support.rows import events_of, only_run
from swiftkit.system import hardware
from swiftkit.system.events import Eval, Finished

FIRST = (
    "sft --learning_rate 0.00005 --lora_rank 4 --num_train_epochs 1 --dataset ./resources/train_100.jsonl "
    "--batch_size 8 --max_length 512 --eval_step 1 --model_type qwen2_5-1_5b-instruct --model_id_or_path ./model"
)
SECOND = (
    "sft --learning_rate 0.00005 --lora_rank 8 --num_train_epochs 3 --dataset ./resources/train_1k.jsonl "
    "--batch_size 16 --max_length 512 --eval_step 20 --model_type qwen2_5-1_5b-instruct --model_id_or_path ./model"
)


@pytest.fixture
def course(course_model: Path, tmp_path: Path) -> Path:
    """The tutorial's working directory."""
    shutil.copytree(course_model, tmp_path / "model")
    (tmp_path / "resources").mkdir()
    for name in ("100", "1k"):
        shutil.copy(shared(f"data/acp_train_{name}.jsonl"), tmp_path / "resources" / f"train_{name}.jsonl")
    return tmp_path


def test_the_first_command_of_the_tutorial(course: Path) -> None:
    assert json.loads((course / "model" / "config.json").read_text())["dtype"] == "bfloat16"
    done = swiftkit(*FIRST.split())
    assert done.returncode == 0, done.stderr
    run = only_run(course / "output")
    assert run.path.parent.name == "qwen2_5-1_5b-instruct"
    assert run.path.name.startswith("v0-")
    assert [event.step for event in events_of(run, Eval)] == [1, 2, 3, 4, 5]
    assert f"best_model_checkpoint: output/qwen2_5-1_5b-instruct/{run.path.name}/best" in done.stdout
    config = run.read().config
    assert (config.learning_rate, config.lora_rank, config.batch_size) == (5e-5, 4, 8)
    assert config.dtype == ("bf16" if hardware.device().bf16 else "fp32")


@pytest.mark.parametrize("steps", [21, pytest.param(None, marks=pytest.mark.slow)])
def test_the_second_command_of_the_tutorial(steps: int | None, course: Path) -> None:
    """Shortened, with smaller batches, and (slow) unchanged."""
    smaller = f"--batch_size 4 --gradient_accumulation_steps 1 --dataset_test_ratio 0.01 --max_steps {steps}"
    done = swiftkit(*(SECOND.replace("--batch_size 16", smaller) if steps else SECOND).split())
    assert done.returncode == 0, done.stderr
    run = only_run(course / "output")
    expected = steps or 3 * math.ceil(run.read().record.rows.train / 16)
    assert events_of(run, Finished)[0].step == expected
    assert [event.step for event in events_of(run, Eval)] == [*range(20, expected, 20), expected]


def test_a_model_under_swiftkit_models_is_found(course: Path) -> None:
    (course / "models").mkdir()
    (course / "model").rename(course / "models" / "Qwen2.5-1.5B-Instruct")
    (course / "swiftkit.yaml").write_text("dataset: resources/train_100.jsonl\nmax_steps: 1\n")
    words = ("sft", "--model_type", "qwen2_5-1_5b-instruct", "--lora_rank", "8")
    done = swiftkit(*words, SWIFTKIT_MODELS=str(course / "models"))
    assert done.returncode == 0, done.stderr
    assert only_run(course / "output").read().record.rows.read == 100


def test_without_weights_and_network_the_refusal_is_quick_and_clear() -> None:
    start = time.monotonic()
    done = swiftkit(
        *("sft", "--model_type", "qwen2_5-1_5b-instruct", "--lora_rank", "8"),
        HF_ENDPOINT="https://192.0.2.1",
        MODELSCOPE_DOMAIN="192.0.2.1",
    )
    assert time.monotonic() - start < 5
    assert done.returncode == 2
    assert "no hub is reachable" in done.stderr
    assert "$SWIFTKIT_MODELS" in done.stderr
    assert "Traceback" not in done.stderr
