"""Which checkpoint an exam examines: from any folder, on its own base, and refused if anything of it has changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from support.commands import ROOT, swiftkit
from support.exams import exam
from support.rows import chat_rows, only_run, write_rows
from swiftkit.system import hardware

TINY = ["--model_type", "tiny-math"]


def test_commands_of_the_tutorial_work_from_another_folder_with_a_relative_model(tmp_path: Path) -> None:
    work, other = tmp_path / "project", tmp_path / "other"
    shutil.copytree(ROOT / "models" / "tiny-math", work / "model")
    other.mkdir()
    write_rows(work / "rows.jsonl", chat_rows(40))
    write_rows(work / "exam.jsonl", chat_rows(3, 100))
    words = [*TINY, "--model_id_or_path", "./model", "--dataset", "rows.jsonl"]
    assert swiftkit("sft", *words, "--max_steps", "2", "--eval_steps", "1", cwd=work).returncode == 0
    questions = ["--max_new_tokens", "1", "--dataset"]
    assert swiftkit("exam", "--ckpt", "best", *questions, "exam.jsonl", cwd=work).returncode == 0
    assert swiftkit("export", "--merge_lora", cwd=work).returncode == 0
    run = only_run(work / "output")
    assert run.read().config.model_id_or_path == str(work / "model")
    words = ["--ckpt_dir", f"{run.path}/checkpoint-2", "--merge_lora", "true", "--export_dir", "merged"]
    export = swiftkit("export", *words, cwd=other)
    assert export.returncode == 0, export.stderr
    assert (other / "merged" / "model.safetensors").is_file()
    result = exam(other, "--ckpt", str(run.path), *questions, "../project/exam.jsonl")
    assert result["run"] == str(run.path)


def test_run_without_best_is_refused_with_the_last_checkpoint_as_hint(home: Path) -> None:
    run = only_run(home / "output")
    (run.path / "best.json").unlink()
    done = swiftkit("exam", cwd=home)
    assert done.returncode == 2
    assert f"--ckpt {run.name}:last" in done.stderr
    named = swiftkit("exam", "--ckpt", f"{run.path.name}:best", cwd=home)
    assert named.returncode == 2
    assert "has no best checkpoint" in named.stderr
    assert exam(home, "--ckpt", "last", "--dataset", "ten.jsonl", "--max_new_tokens", "1")["num_questions"] == 10


def test_damaged_best_is_skipped_and_reported(home: Path) -> None:
    file = only_run(home / "output").path / "best" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    done = swiftkit("exam", cwd=home)
    assert done.returncode == 2
    assert "is damaged" in done.stderr


def test_base_that_has_changed_since_the_training_is_refused(home: Path) -> None:
    base = Path(shutil.copytree(ROOT / "models" / "tiny-math", home / "model"))
    run = only_run(home / "output")
    config = run.config_file.read_text().replace("config:\n", f"config:\n  model_id_or_path: {base}\n", 1)
    run.config_file.write_text(config)
    assert run.read().config.model_id_or_path == str(base)
    words = ["--dataset", "ten.jsonl", "--max_new_tokens", "1"]
    assert exam(home, *words)["num_questions"] == 10
    content = bytearray((base / "model.safetensors").read_bytes())
    content[-2] ^= 1
    (base / "model.safetensors").write_bytes(content)
    for command in (["exam"], ["export", "--merge_lora"]):
        done = swiftkit(*command, cwd=home)
        assert done.returncode == 2
        assert "is not the file that" in done.stderr
    shutil.rmtree(base)
    missing = swiftkit("exam", cwd=home)
    assert missing.returncode == 2
    assert "the base model of run" in missing.stderr
    assert "--model_id_or_path" in missing.stderr


def test_adapter_of_another_shape_is_refused(home: Path, family_folder: Callable[[str], Path]) -> None:
    other = str(family_folder("qwen2_5"))
    done = swiftkit("exam", "--ckpt", "best", *TINY, "--model_id_or_path", other, cwd=home)
    assert done.returncode == 2
    assert "does not fit the base model" in done.stderr


def test_fp16_of_a_gpu_becomes_the_models_own_precision_on_a_cpu(home: Path) -> None:
    run = only_run(home / "output")
    run.config_file.write_text(run.config_file.read_text().replace("dtype: fp32", "dtype: fp16", 1))
    assert run.read().config.dtype == "fp16"
    result = exam(home, "--ckpt", "best", "--dataset", "ten.jsonl", "--max_new_tokens", "1")
    assert result["dtype"] == ("fp16" if hardware.device().kind == "cuda" else "fp32"), "tiny-math's own setting"
