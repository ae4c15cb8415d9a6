"""Full fine-tuning: trained, evaluated, repeated and exported like an adapter."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from support.commands import ROOT, SESSION, stdout_json, swiftkit
from support.rows import only_run
from swiftkit.exams.folder import ExamFolder
from swiftkit.models import registry
from swiftkit.models.weights import load_model_folder

FULL = ("--sft_type", "full", "--learning_rate", "5e-4")
SHORT_EXAM = ("--dataset", "math-exam#10", "--max_new_tokens", "16", "--json")


@dataclass(frozen=True)
class Trained:
    """A folder with a run of two steps, and what `sft` printed."""

    folder: Path
    result: dict[str, Any]
    messages: str


@pytest.fixture(scope="session")
def shared_run() -> Trained:
    """Trained once for all workers; read only."""
    folder = SESSION / "full"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            words = ["--model_type", "tiny-math", *FULL, "--lora_rank", "4", "--dataset", "math-sft#80"]
            done = swiftkit("sft", *words, "--max_steps", "2", "--eval_steps", "1", "--json", cwd=folder)
            assert done.returncode == 0, done.stderr
            (folder / "stdout").write_text(done.stdout)
            (folder / "stderr").write_text(done.stderr)
    return Trained(folder, json.loads((folder / "stdout").read_text()), (folder / "stderr").read_text())


@pytest.fixture
def trained(shared_run: Trained, tmp_path: Path) -> Trained:
    """A copy of it in this folder."""
    shutil.copytree(shared_run.folder / "output", tmp_path / "output", symlinks=True)
    return Trained(tmp_path, shared_run.result, shared_run.messages)


def test_all_parameters_are_trained(trained: Trained) -> None:
    assert "full fine-tuning: all 3,6" in trained.messages
    assert "these options have no effect: --lora_rank" in trained.messages
    family, _ = registry.entries()["tiny-math"]
    base = load_model_folder(ROOT / "models" / "tiny-math", family, trust_remote_code=False)
    assert trained.result["trainable"] == base.parameters
    assert "all weights" in swiftkit("runs", "show", "v0").stdout


def test_it_is_evaluated_like_an_adapter(trained: Trained) -> None:
    run = only_run(trained.folder / "output")
    best = stdout_json(swiftkit("exam", "--ckpt", "best", "--with_base", *SHORT_EXAM))
    assert best["kind"] == "full"
    assert Path(best["folder"]).is_relative_to(run.path / "exams")
    assert best["base"]["checkpoint"] == "base"
    last = stdout_json(swiftkit("exam", "--ckpt", f"{run.path}/checkpoint-2", *SHORT_EXAM))
    assert (last["kind"], last["step"]) == ("full", 2)


def test_run_yaml_repeats_it(trained: Trained) -> None:
    run = only_run(trained.folder / "output")
    repeated = swiftkit("sft", "--config", str(run.config_file), "--dry_run", "--json")
    assert stdout_json(repeated)["config"]["sft_type"] == "full"
    assert "no effect" not in repeated.stderr


def test_it_is_exported(tmp_path: Path) -> None:
    """Also if its base is gone; then there is nothing to compare with, and no license to copy."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = Path(shutil.copytree(ROOT / "models" / "tiny-math", tmp_path / "base"))
    (base / "LICENSE").write_text("do what you like")
    words = ["--model_id_or_path", "base", *FULL, "--dtype", "bf16", "--dataset", "math-sft#20"]
    words += ["--batch_size", "4", "--gradient_accumulation_steps", "1", "--max_steps", "2", "--eval_steps", "2"]
    done = swiftkit("sft", *words)
    assert done.returncode == 0, done.stderr
    refused = swiftkit("export", "--export_dir", "base", "--overwrite")
    assert refused.returncode == 2
    assert "is or contains the base model" in refused.stderr
    best = stdout_json(swiftkit("exam", "--ckpt", "best", *SHORT_EXAM, "--with_base"))
    assert (best["kind"], "base" in best) == ("full", True)
    for name in ("my_model", "later"):
        exported = stdout_json(swiftkit("export", "--export_dir", name, "--json"))
        assert exported == {"folder": name, "target": "merged", "dtype": "bf16", "created": True}
        if name == "my_model":
            of_export = stdout_json(swiftkit("exam", "--ckpt", name, *SHORT_EXAM, "--with_base"))
            base.rename(tmp_path / "elsewhere")
    assert "base" not in stdout_json(swiftkit("exam", "--ckpt", "best", *SHORT_EXAM))
    assert (of_export["kind"], of_export["score"], of_export["new_answers"]) == ("merged", best["score"], 10)
    assert "base" in of_export
    answers = [ExamFolder(Path(result["folder"])).read_answers() for result in (best, of_export)]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 10
    assert (tmp_path / "my_model" / "LICENSE").is_file()
    assert not (tmp_path / "later" / "LICENSE").exists()
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("my_model", "later")]
    assert weights[0] == weights[1]
    assert json.loads((tmp_path / "my_model" / "config.json").read_text()).get("use_cache", True)
    model = AutoModelForCausalLM.from_pretrained("my_model")
    assert str(model.dtype) == "torch.bfloat16"
    tokenizer = AutoTokenizer.from_pretrained("my_model")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False).startswith("<|im_start|>")
    again = swiftkit("export", "--merge_lora", "--export_dir", "later")
    assert again.returncode == 0
    assert "exists already" in again.stderr


def test_an_output_head_that_is_stored_twice_counts_once(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(ROOT / "models" / "tiny-math", tmp_path / "base"))
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    words = ["--model_id_or_path", "base", "--sft_type", "full", "--dataset", "math-sft#40", "--max_steps", "1"]
    done = swiftkit("sft", *words)
    assert done.returncode == 0, done.stderr
    assert "not the" not in done.stderr, "ms-swift trains as many as announced"
    assert "all 3,675,648 parameters" in done.stderr
