"""Real trainings: ms-swift, PEFT, the embedded model, two-layer models of every family."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import (
    ARCHITECTURES,
    ROOT,
    SWIFTKIT,
    batches,
    chat_rows,
    rows_of,
    series,
    shared,
    swiftkit,
    the_run,
    write_rows,
)

from swiftkit import chat, hardware, models, runs

ENDED = "best_model_checkpoint:"


# --- against an oracle ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gsm8k(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    folder = tmp_path_factory.mktemp("gsm8k")
    done = swiftkit(
        "sft",
        "--model_type",
        "tiny-math",
        "--dataset",
        str(shared("data/gsm8k_train_4000.jsonl")),
        "--lora_dropout",
        "0",
        "--batch_size",
        "4",
        "--gradient_accumulation_steps",
        "2",
        "--max_steps",
        "8",
        "--eval_steps",
        "4",
        "--dtype",
        "fp32",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return the_run(folder / "output")


def test_losses_are_those_of_a_plain_loop(gsm8k: runs.Run) -> None:
    """PyTorch and PEFT alone, on the same tokens in the same order, lose the same to 1e-4."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

    config = gsm8k.declared()["config"]
    steps, micro, accumulated = 8, 4, 2
    base = ROOT / "models" / "tiny-math"
    rows = rows_of(gsm8k, "train")
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(config["seed"])).tolist()
    made = batches([rows[i] for i in order[: steps * micro * accumulated]], base, "qwen2_5", micro)
    torch.manual_seed(config["seed"])
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    lora = LoraConfig(
        r=config["lora_rank"],
        lora_alpha=config["lora_alpha"],
        lora_dropout=0.0,
        target_modules=config["lora_target_modules"],
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, lora)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config["learning_rate"], betas=(0.9, 0.95), weight_decay=0.1)
    warmup = math.ceil(steps * config["warmup_ratio"])
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, steps)
    expected = []
    for step in range(steps):
        group = made[step * accumulated : (step + 1) * accumulated]
        tokens = sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in group)
        total = 0.0
        for batch in group:
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100, reduction="sum"
            )
            (loss / tokens).backward()
            total += loss.item() / tokens
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        expected.append(total)
    told = [event["loss"] for event in series(gsm8k, "step")]
    assert told == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.01, "the loop itself must have learned"


def accounted(run: runs.Run, files: list[Path]) -> None:
    """Every row of the files is one of: not sampled, too long, trained on, validated on."""
    rows = run.declared()["record"]["rows"]
    read = sum(line.strip() != b"" for file in files for line in file.read_bytes().split(b"\n"))
    assert rows["read"] == read
    assert read == rows["not_sampled"] + rows["too_long"] + rows["train"] + rows["validation"]
    train, validation = rows_of(run, "train"), rows_of(run, "validation")
    assert (len(train), len(validation)) == (rows["train"], rows["validation"])
    sources = [row["source"] for row in train + validation]
    assert len(set(sources)) == len(sources)
    asked = [{json.dumps(m) for m in row["messages"] if m["role"] == "user"} for row in train]
    held_out = [{json.dumps(m) for m in row["messages"] if m["role"] == "user"} for row in validation]
    assert not set().union(*asked) & set().union(*held_out)


def test_accounting_of_gsm8k(gsm8k: runs.Run) -> None:
    accounted(gsm8k, [shared("data/gsm8k_train_4000.jsonl")])
    assert gsm8k.declared()["record"]["rows"]["read"] == 4000


def test_the_courses_data_trains_on_the_embedded_model(tmp_path: Path) -> None:
    data = shared("data/acp_train_1k.jsonl")
    done = swiftkit(
        "sft",
        "--model_type",
        "tiny-math",
        "--dataset",
        str(data),
        "--max_steps",
        "3",
        "--batch_size",
        "4",
        "--eval_steps",
        "3",
    )
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path / "output")
    accounted(run, [data])
    assert all("system" not in chat.load("qwen2_5").render(row["messages"]) for row in rows_of(run, "train")[:50])


# --- the classic tutorial ------------------------------------------------------------------------------------------

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


def test_the_tutorials_first_line(course: Path) -> None:
    assert json.loads((course / "model" / "config.json").read_text())["dtype"] == "bfloat16"
    done = swiftkit(*FIRST.split())
    assert done.returncode == 0, done.stderr
    run = the_run(course / "output")
    assert run.path.parent.name == "qwen2_5-1_5b-instruct"
    assert run.path.name.startswith("v0-")
    assert [event["step"] for event in series(run, "eval")] == [1, 2, 3, 4, 5]
    assert f"{ENDED} output/qwen2_5-1_5b-instruct/{run.path.name}/best" in done.stdout
    config = run.declared()["config"]
    assert (config["learning_rate"], config["lora_rank"], config["batch_size"]) == (5e-5, 4, 8)
    precision = "bf16" if hardware.device().bf16 else "fp32"
    assert config["dtype"] == precision


@pytest.mark.parametrize("further", [["--max_steps", "45"], pytest.param([], marks=pytest.mark.slow)])
def test_the_tutorials_second_line(further: list[str], course: Path) -> None:
    """As it stands where there is time, else its first quarter."""
    done = swiftkit(*SECOND.split(), *further)
    assert done.returncode == 0, done.stderr
    run = the_run(course / "output")
    rows = run.declared()["record"]["rows"]
    steps = 45 if further else 3 * math.ceil(rows["train"] / 16)
    assert series(run, "finished")[0]["step"] == steps
    assert [event["step"] for event in series(run, "eval")] == [*range(20, steps, 20), steps]


def test_a_model_under_swiftkit_models(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (course / "models").mkdir()
    (course / "model").rename(course / "models" / "Qwen2.5-1.5B-Instruct")
    monkeypatch.setenv("SWIFTKIT_MODELS", str(course / "models"))
    (course / "swiftkit.yaml").write_text("dataset: resources/train_100.jsonl\n")
    done = swiftkit("sft", "--model_type", "qwen2_5-1_5b-instruct", "--lora_rank", "8")
    assert done.returncode == 0, done.stderr
    assert the_run(course / "output").declared()["record"]["rows"]["read"] == 100


def test_without_weights_and_network_the_refusal_is_quick_and_clear() -> None:
    began = time.monotonic()
    done = swiftkit(
        "sft",
        "--model_type",
        "qwen2_5-1_5b-instruct",
        "--lora_rank",
        "8",
        HF_ENDPOINT="https://192.0.2.1",
        MODELSCOPE_DOMAIN="192.0.2.1",
    )
    assert time.monotonic() - began < 5
    assert done.returncode == 2
    assert "no hub answers" in done.stderr
    assert "$SWIFTKIT_MODELS" in done.stderr
    assert "Traceback" not in done.stderr


# --- every family, and further ways to train -----------------------------------------------------------------------


@pytest.mark.parametrize("family", [name for name in ARCHITECTURES if name != "qwen2_5"])
def test_every_family_trains_what_is_announced(family: str, family_folder: Any, tmp_path: Path) -> None:
    name = next(iter(models.families()[family].models))
    data = write_rows(tmp_path / "rows.jsonl", chat_rows(40))
    folder = family_folder(family)
    done = swiftkit(
        "sft", "--model_type", name, "--model_id_or_path", str(folder), "--dataset", str(data), "--max_steps", "1"
    )
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path / "output")
    (trainer,) = [event for event in series(run, "phase") if event["name"] == "trainer"]
    assert trainer["trainable"] == run.declared()["record"]["trainable"] > 0
    assert run.best() is not None


def test_no_code_from_the_folder_runs(family_folder: Any, tmp_path: Path) -> None:
    """The configs name code that transformers has built in; the files are there, and would leave a trace."""
    folder = Path(shutil.copytree(family_folder("phi3"), tmp_path / "phi"))
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": auto_map}))
    trace = tmp_path / "trace"
    for name, built_in in (("configuration_phi3", "Phi3Config"), ("modeling_phi3", "Phi3ForCausalLM")):
        code = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\nfrom transformers import {built_in}\n"
        (folder / f"{name}.py").write_text(code)
    data = write_rows(tmp_path / "rows.jsonl", chat_rows(40))
    words = ("sft", "--model_type", "phi3-4b-4k-instruct", "--model_id_or_path", str(folder), "--dataset", str(data))
    done = swiftkit(*words, "--max_steps", "1")
    assert done.returncode == 0, done.stderr
    assert "brings code of its own" in done.stderr
    assert not trace.exists()


def test_an_early_stop_is_an_end_like_any_other(tmp_path: Path) -> None:
    done = swiftkit(
        "sft",
        "--model_type",
        "tiny-math",
        "--learning_rate",
        "0.00000001",
        "--eval_steps",
        "1",
        "--swift.early_stop_interval",
        "1",
    )
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path / "output")
    assert runs.state(run) == "finished"
    assert series(run, "finished")[0]["step"] < run.declared()["record"]["steps"]


def test_validation_rows_that_are_trained_on_are_told(tmp_path: Path) -> None:
    data = str(write_rows(tmp_path / "rows.jsonl", chat_rows(40)))
    words = ("sft", "--model_type", "tiny-math", "--dataset", data, "--val_dataset", data, "--dry_run")
    done = swiftkit(*words)
    assert "40 of 40 validation rows ask what is also trained on" in done.stderr


def test_several_datasets_of_different_formats(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    chats = write_rows(tmp_path / "a.jsonl", chat_rows(30))
    (tmp_path / "b.csv").write_text(
        "instruction,input,output\n" + "".join(f"Add,{i} and 1,{i + 1}\n" for i in range(30))
    )
    (tmp_path / "c.json").write_text(
        json.dumps(
            [{"conversations": [{"from": "human", "value": f"q{i}"}, {"from": "gpt", "value": "a"}]} for i in range(30)]
        )
    )
    pyarrow.parquet.write_table(
        pyarrow.table({"prompt": [f"p{i}" for i in range(30)], "completion": ["c"] * 30}), tmp_path / "d.parquet"
    )
    done = swiftkit(
        "sft",
        "--model_type",
        "tiny-math",
        "--dataset",
        str(chats),
        "b.csv#20",
        "c.json",
        "d.parquet",
        "--max_steps",
        "1",
    )
    assert done.returncode == 0, done.stderr
    rows = the_run(tmp_path / "output").declared()["record"]["rows"]
    assert rows == {"read": 120, "not_sampled": 10, "too_long": 0, "train": 88, "validation": 22}


def test_plain_text_without_validation(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "t.jsonl", [{"text": f"Once upon a time there were {i} apples."} for i in range(20)])
    done = swiftkit(
        "sft", "--model_type", "tiny-math", "--dataset", str(data), "--format", "text", "--dataset_test_ratio", "0"
    )
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path / "output")
    assert "no validation (it is turned off)" in done.stderr
    assert "best_model_checkpoint: none" in done.stdout
    assert run.best() is None
    assert run.last() is not None
    tokens = run.declared()["record"]["tokens"]
    assert tokens["learned"] == tokens["train"] - 20, "all but the first token of each row"


def test_options_reach_ms_swift(tmp_path: Path) -> None:
    done = swiftkit(
        "sft",
        "--model_type",
        "tiny-math",
        "--max_steps",
        "1",
        "--swift.neftune_noise_alpha",
        "5",
        "--weight-decay=0.5",
        "--target_modules",
        "q_proj",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    arguments = json.loads((Path(told["run"]) / "args.json").read_text())
    assert arguments["neftune_noise_alpha"] == 5
    assert arguments["weight_decay"] == 0.5
    assert arguments["target_modules"] == ["q_proj"]
    assert arguments["check_model"] is False
    assert told["state"] == "finished"


# --- ends that nobody wants ----------------------------------------------------------------------------------------


def start(*words: str, **env: str) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*SWIFTKIT, *words], env={**os.environ, **env}, **pipes)


def wait_for(run: Any, kind: str, seconds: float = 120) -> runs.Run:
    """The run under `output`, as soon as it has an event of that kind."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for found in runs.listed(Path("output")):
            if series(found, kind):
                return found
        time.sleep(0.1)
    raise AssertionError(f"no event `{kind}` within {seconds} s")


def test_two_processes_train_together_and_stop_together() -> None:
    """torchrun and gloo on CPU: what several GPUs do, without the GPUs."""
    done = swiftkit("sft", "--model_type", "tiny-math", "--max_steps", "4", "--batch_size", "4", NPROC_PER_NODE="2")
    assert done.returncode == 0, done.stderr
    run = the_run(Path("output"))
    assert [event["step"] for event in series(run, "step")] == [1, 2, 3, 4]
    assert len(series(run, "started")) == len(series(run, "finished")) == 1
    record = run.declared()
    assert record["config"]["gradient_accumulation_steps"] == 2, "2 processes * 4 rows * 2 = 16"
    assert run.best() is not None
    shutil.rmtree("output")
    process = start("sft", "--model_type", "tiny-math", "--num_train_epochs", "50", NPROC_PER_NODE="2")
    run = wait_for(process, "step")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert runs.state(run) == "interrupted"
    assert run.last() is not None
    assert not _runs(series(run, "started")[0]["pid"])


def test_a_second_signal_ends_it_at_once() -> None:
    process = start("sft", "--model_type", "tiny-math", "--num_train_epochs", "100")
    run = wait_for(process, "started")
    child = series(run, "started")[0]["pid"]
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not _runs(child)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_the_child_too(number: int, code: int) -> None:
    process = start("sft", "--model_type", "tiny-math", "--num_train_epochs", "100")
    run = wait_for(process, "step")
    child = series(run, "started")[0]["pid"]
    assert runs.state(run) == "running"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted at step" in err
    assert "Traceback" not in err
    assert runs.state(run) == "interrupted"
    last = run.last()
    assert last is not None
    assert (last / "adapter_model.safetensors").is_file()
    assert not _runs(child)


def test_a_signal_while_the_model_is_loading() -> None:
    process = start("sft", "--model_type", "tiny-math")
    run = wait_for(process, "started")
    child = series(run, "started")[0]["pid"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert runs.state(run) == "interrupted"
    assert not _runs(child)


def test_a_killed_child_is_told() -> None:
    process = start("sft", "--model_type", "tiny-math", "--num_train_epochs", "100")
    run = wait_for(process, "step")
    os.kill(series(run, "started")[0]["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ended by signal 9" in err
    assert "swift.log" in err
    assert runs.state(run) == "died"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_killed_parent_leaves_no_orphan(processes: str) -> None:
    """With two processes torchrun stands between the parent and those that train."""
    process = start("sft", "--model_type", "tiny-math", "--num_train_epochs", "100", NPROC_PER_NODE=processes)
    run = wait_for(process, "step")
    child = series(run, "started")[0]["pid"]
    process.kill()
    process.communicate()
    until = time.monotonic() + 60
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.2)
    assert not _runs(child)
    assert runs.state(run) == "interrupted"


def _runs(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_training_that_diverges_fails(tmp_path: Path) -> None:
    done = swiftkit(
        "sft",
        "--model_type",
        "tiny-math",
        "--learning_rate",
        "1e30",
        "--warmup_ratio",
        "0",
        "--swift.max_grad_norm",
        "0",
    )
    assert done.returncode == 1
    assert "diverged" in done.stderr
    assert "NaN" not in the_run(tmp_path / "output").events.read_text()
    assert runs.state(the_run(tmp_path / "output")) == "failed"
    assert sys.stdin is not None


def test_the_config_of_a_run_is_valid_yaml_and_complete(gsm8k: runs.Run) -> None:
    content = yaml.safe_load(gsm8k.config.read_text(encoding="utf-8"))
    assert set(content) == {"config", "record"}
    assert Path(content["config"]["dataset"][0]).is_absolute()
