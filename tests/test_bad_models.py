"""Model folders as newcomers have them: exit code 2, messages that name the folder and the fix, no run folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.refused import refused


@pytest.fixture
def folder(family_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A valid model folder of the test's own, to be damaged."""
    return Path(shutil.copytree(family_folder("qwen2_5"), tmp_path / "model"))


def model(folder: Path) -> tuple[str, ...]:
    return ("--model_type", "qwen2_5-1_5b-instruct", "--model_id_or_path", str(folder))


# --- which model ------------------------------------------------------------------------------------------------------


def test_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is not a model folder" in refused("--model_id_or_path", "./empty")
    assert "does not exist" in refused(*model(tmp_path / "nowhere"))


def test_folder_of_another_family(family_folder: Callable[[str], Path]) -> None:
    message = refused(*model(family_folder("phi3")))
    assert "Phi3ForCausalLM" in message
    assert "phi3" in message


@pytest.mark.parametrize(
    ("template", "reason"), [(None, "is it a base model?"), ("{{ messages }}", "does not identify its family")]
)
def test_folder_that_fits_several_families(
    template: str | None, reason: str, family_folder: Callable[[str], Path], further_family: None, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(family_folder("tinyllama"), tmp_path / "llama"))
    (copied / "chat_template.jinja").unlink()
    if template:
        (copied / "chat_template.jinja").write_text(template)
    message = refused("--model_id_or_path", str(copied))
    assert reason in message
    for name in ("further-1b", "tinyllama-1_1b-chat", "llama3-8b-instruct", "--model_type"):
        assert name in message


def test_base_model_without_a_chat_template_needs_a_chat_format(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    message = refused("--model_id_or_path", str(folder))
    assert "is it a base model?" in message
    assert "choose a chat format with --model_type, one of:" in message
    for name in ("qwen2_5-0_5b-instruct (qwen2_5)", "qwen2_5-0_5b (qwen2_5_base)"):
        assert name in message


def test_a_typed_folder_is_not_replaced_by_one_that_is_named_like_the_model(
    family_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(family_folder("qwen2_5"), tmp_path / "all" / "qwen2_5-1_5b-instruct")
    monkeypatch.setenv("SWIFTKIT_MODELS", str(tmp_path / "all"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "127.0.0.1:9")
    message = refused("--model_type", "qwen2_5-1_5b-instruct", "--model_id_or_path", "models/my-finetune")
    assert "models/my-finetune is not a folder" in message


# --- what is in the folder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reason"), [("{% for %}", "is not valid Jinja"), ("\xff", "chat_template.jinja is broken")]
)
def test_invalid_chat_template(source: str, reason: str, folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(source.encode("latin-1"))
    message = refused("--model_id_or_path", str(folder))
    assert reason in message
    assert str(folder) in message


def test_pickle_weights_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert "pickle weights only (pytorch_model.bin)" in refused(*model(folder))


def test_truncated_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "is not a complete safetensors file" in refused(*model(folder))


def test_weights_that_transformers_would_not_load(folder: Path) -> None:
    """It would load the pickle next to them."""
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert "pickle weights only" in refused(*model(folder))


WITHOUT_SHAPE = '{"a": {"data_offsets": [0, 0]}}'
HEADER = chr(len(WITHOUT_SHAPE)) + "\0" * 7 + WITHOUT_SHAPE  # its length in 8 bytes, little-endian


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", '{"architectures": [1]}', "architectures is not a list of names"),
        (
            "config.json",
            '{"architectures": ["Qwen2ForCausalLM"], "max_position_embeddings": "lots"}',
            "max_position_embeddings is not a number",
        ),
        ("config.json", "[]", "does not hold a JSON object"),
        ("config.json", "{", "is broken"),
        ("tokenizer_config.json", "{", "is broken"),
        ("tokenizer_config.json", '{"auto_map": ["evil.Tokenizer", null]}', "requests to run its own code"),
        ("model.safetensors.index.json", "[]", "does not hold a JSON object"),
        ("model.safetensors.index.json", "{}", "has no weight_map"),
        ("model.safetensors", "12345678[]", "is not a complete safetensors file"),
        ("model.safetensors", HEADER, "is not a safetensors file: a tensor has no 'shape'"),
    ],
)
def test_broken_files_of_a_model_folder(folder: Path, name: str, content: str, reason: str) -> None:
    (folder / name).write_text(content)
    assert reason in refused(*model(folder))


def test_quantized_weights(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"load_in_4bit": True}}))
    assert "quantized weights" in refused(*model(folder))


def test_missing_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-2.safetensors" in refused(*model(folder))


def test_folder_that_requests_remote_code(folder: Path, tmp_path: Path) -> None:
    executed = tmp_path / "executed"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "evil.Config"}}))
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(executed)!r}).touch()\n")
    message = refused(*model(folder))
    assert "evil.Config" in message
    assert "--trust_remote_code true" in message
    assert not executed.exists()


# --- which layers -----------------------------------------------------------------------------------------------------


def test_target_that_matches_no_layer(family_folder: Callable[[str], Path]) -> None:
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    folder = ("--model_type", "phi3-4b-4k-instruct", "--model_id_or_path", str(family_folder("phi3")))
    message = refused(*folder, "--lora_target_modules", *targets)
    for name in ("q_proj", "k_proj", "v_proj"):
        assert f"no layer `{name}`" in message
    assert "qkv_proj" in message


@pytest.mark.parametrize("target", ["gate_proj", "all-linear"])
def test_target_that_reaches_fused_experts(family_folder: Callable[[str], Path], target: str) -> None:
    folder = ("--model_type", "ernie4_5-21b-a3b", "--model_id_or_path", str(family_folder("ernie4_5_moe")))
    message = refused(*folder, "--lora_target_modules", target)
    assert f"`{target}` reaches the experts" in message
    assert "k_proj o_proj q_proj v_proj" in message
