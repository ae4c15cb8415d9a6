"""Real trainings by ms-swift: their losses, their accounting of rows, every architecture, how they end."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from support.commands import ROOT, SESSION, shared, stdout_json, swiftkit
from support.models import ARCHITECTURES
from support.rows import batches, chat_rows, events_of, only_run, rows_of, write_rows
from swiftkit.chat import template
from swiftkit.models import registry
from swiftkit.system.events import Finished, Phase, Step
from swiftkit.training.run import Run

STEPS, BATCH_SIZE, ACCUMULATION = 6, 2, 2


# --- losses and rows --------------------------------------------------------------------------------------------------


def train_on_gsm8k(folder: Path, sample: str = "") -> Run:
    """A short training on GSM8K, without dropout, in fp32; long rows are dropped, which is faster."""
    done = swiftkit(
        *("sft", "--model_type", "tiny-math", "--dataset", f"{shared('data/gsm8k_train_4000.jsonl')}{sample}"),
        *("--lora_dropout", "0", "--dtype", "fp32", "--dataset_test_ratio", "0.05"),
        *("--max_length", "256", "--max_dropped", "0.9"),
        *("--batch_size", str(BATCH_SIZE), "--gradient_accumulation_steps", str(ACCUMULATION)),
        *("--max_steps", str(STEPS), "--eval_steps", str(STEPS)),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return only_run(folder / "output")


@pytest.fixture(scope="session")
def gsm8k() -> Run:
    """A training on 400 of the 4000 rows, shared by all workers of the session."""
    folder = SESSION / "gsm8k"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            partial.mkdir()
            train_on_gsm8k(partial, "#400")
            partial.rename(folder)
    return only_run(folder / "output")


def test_losses_equal_those_of_a_plain_loop(gsm8k: Run) -> None:
    """PyTorch and PEFT alone, on the same tokens in the same order, have the same losses to 1e-4."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

    config = gsm8k.read().config
    base = ROOT / "models" / "tiny-math"
    rows = rows_of(gsm8k, "train")
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(config.seed)).tolist()
    used = [rows[i] for i in order[: STEPS * BATCH_SIZE * ACCUMULATION]]
    padded = batches(used, base, "qwen2_5", BATCH_SIZE)
    torch.manual_seed(config.seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,
        target_modules=config.lora_target_modules,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, lora)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(STEPS * config.warmup_ratio), STEPS)
    expected = []
    for step in range(STEPS):
        group = padded[step * ACCUMULATION : (step + 1) * ACCUMULATION]
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
    assert [event.loss for event in events_of(gsm8k, Step)] == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.01, "the loop itself must reduce the loss"


def assert_rows_add_up(run: Run, files: list[Path]) -> None:
    """Every row of the files is one of: not sampled, too long, trained on, validated on."""
    rows = run.read().record.rows
    num_read = sum(line.strip() != b"" for file in files for line in file.read_bytes().split(b"\n"))
    assert rows.read == num_read
    assert num_read == rows.not_sampled + rows.too_long + rows.train + rows.validation
    train, validation = rows_of(run, "train"), rows_of(run, "validation")
    assert (len(train), len(validation)) == (rows.train, rows.validation)
    sources = [row["source"] for row in train + validation]
    assert len(set(sources)) == len(sources)
    questions, held_out = (
        {json.dumps(message) for row in part for message in row["messages"] if message["role"] == "user"}
        for part in (train, validation)
    )
    assert held_out
    assert not questions & held_out


def test_rows_of_gsm8k_add_up(gsm8k: Run) -> None:
    assert_rows_add_up(gsm8k, [shared("data/gsm8k_train_4000.jsonl")])
    rows = gsm8k.read().record.rows
    assert (rows.read, rows.not_sampled) == (4000, 3600)
    assert 0 < rows.too_long < 400


@pytest.mark.slow
def test_all_rows_of_gsm8k_add_up(tmp_path: Path) -> None:
    run = train_on_gsm8k(tmp_path)
    assert_rows_add_up(run, [shared("data/gsm8k_train_4000.jsonl")])
    rows = run.read().record.rows
    assert (rows.read, rows.not_sampled) == (4000, 0)


def test_run_yaml_is_complete(gsm8k: Run) -> None:
    content = yaml.safe_load(gsm8k.config_file.read_text(encoding="utf-8"))
    assert set(content) == {"config", "record"}
    assert Path(content["config"]["dataset"][0]).is_absolute()


def test_the_data_of_the_course_trains_on_the_bundled_model(tmp_path: Path) -> None:
    data = shared("data/acp_train_1k.jsonl")
    options = ("--dataset", str(data), "--dataset_test_ratio", "0.01", "--max_steps", "2", "--eval_steps", "2")
    small = ("--batch_size", "2", "--gradient_accumulation_steps", "1")
    done = swiftkit("sft", "--model_type", "tiny-math", *options, *small)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "output")
    assert_rows_add_up(run, [data])
    assert all("system" not in template.load("qwen2_5").render(row["messages"]) for row in rows_of(run, "train")[:50])


def test_validation_rows_that_are_trained_on_are_reported(tmp_path: Path) -> None:
    data = str(write_rows(tmp_path / "rows.jsonl", chat_rows(40)))
    done = swiftkit("sft", "--model_type", "tiny-math", "--dataset", data, "--val_dataset", data, "--dry_run")
    assert "40 of 40 validation rows ask questions of the training data" in done.stderr


def test_datasets_of_several_formats(tmp_path: Path) -> None:
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
    datasets = (str(chats), "b.csv#20", "c.json", "d.parquet")
    done = swiftkit("sft", "--model_type", "tiny-math", "--dataset", *datasets, "--max_steps", "1", "--json")
    rows = stdout_json(done)["rows"]
    counts = {"read": 120, "not_sampled": 10, "skipped": 0, "without_loss": 0, "too_long": 0}
    assert rows == counts | {"train": 88, "validation": 22}


def test_plain_text_without_validation(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "t.jsonl", [{"text": f"Once upon a time there were {i} apples."} for i in range(20)])
    options = ("--dataset", str(data), "--format", "text", "--dataset_test_ratio", "0")
    done = swiftkit("sft", "--model_type", "tiny-math", *options)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "output")
    assert "no validation (it is turned off)" in done.stderr
    assert "best_model_checkpoint: none" in done.stdout
    assert run.best() is None
    assert run.last() is not None
    tokens = run.read().record.tokens
    assert tokens.loss == tokens.train - 20, "all but the first token of each row"


# --- models and options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [name for name in ARCHITECTURES if name != "qwen2_5"])
def test_every_architecture_trains_the_announced_parameters(
    family: str, family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    name = next(iter(registry.families()[family].models))
    data = write_rows(tmp_path / "rows.jsonl", chat_rows(10))
    model = ("--model_type", name, "--model_id_or_path", str(family_folder(family)))
    done = swiftkit("sft", *model, "--dataset", str(data), "--max_steps", "1")
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "output")
    (trainer,) = [event for event in events_of(run, Phase) if event.phase == "trainer"]
    assert trainer.trainable == run.read().record.trainable > 0
    assert f"{trainer.trainable:,} trainable parameters" in done.stderr
    assert run.best() is not None


def test_code_in_the_model_folder_does_not_run(family_folder: Callable[[str], Path], tmp_path: Path) -> None:
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
    assert "the folder contains code; transformers' built-in phi3 is used instead" in done.stderr
    assert not trace.exists()


def test_options_reach_ms_swift() -> None:
    done = swiftkit(
        *("sft", "--model_type", "tiny-math", "--dataset", "math-sft#80", "--max_steps", "1"),
        *("--swift.neftune_noise_alpha", "5", "--weight-decay=0.5", "--target_modules", "q_proj", "--json"),
    )
    result = stdout_json(done)
    arguments = json.loads((Path(result["run"]) / "args.json").read_text())
    assert arguments["neftune_noise_alpha"] == 5
    assert arguments["weight_decay"] == 0.5
    assert arguments["target_modules"] == ["q_proj"]
    assert arguments["check_model"] is False
    assert result["state"] == "finished"


# --- ends before the last step ----------------------------------------------------------------------------------------


def test_an_early_stop_of_ms_swift_is_a_regular_end(tmp_path: Path) -> None:
    done = swiftkit(
        *("sft", "--model_type", "tiny-math", "--dataset", "math-sft#80", "--learning_rate", "1e-30"),
        *("--eval_steps", "1", "--swift.early_stop_interval", "1"),
    )
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "output")
    assert run.state() == "finished"
    assert events_of(run, Finished)[0].step < run.read().record.steps


def test_a_training_that_diverges_fails(tmp_path: Path) -> None:
    done = swiftkit(
        *("sft", "--model_type", "tiny-math", "--dataset", "math-sft#80"),
        *("--learning_rate", "1e30", "--warmup_ratio", "0", "--swift.max_grad_norm", "0"),
    )
    assert done.returncode == 1
    assert "diverged" in done.stderr
    run = only_run(tmp_path / "output")
    assert "NaN" not in run.events.read_text()
    assert run.state() == "failed"
