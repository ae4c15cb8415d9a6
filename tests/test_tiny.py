"""The bundled models: what they are, what they know, what their registry entries say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, stdout_json, swiftkit
from support.rows import chat_rows, read_lines, write_rows
from swiftkit import files
from swiftkit.chat import tokenizer
from swiftkit.models import registry
from swiftkit.models.weights import load_model_folder

NAMES = ("tiny-math", "tiny-math-ernie")
TINY = ("--model_type", "tiny-math")
NEW_TYPES = {"average", "perimeter", "rest", "average_zh"}


# --- what they are ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_model_is_small_and_suitable_for_quantized_formats(name: str) -> None:
    folder = ROOT / "models" / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12e6
    config = json.loads((folder / "config.json").read_text())
    family, entry = registry.entries()[name]
    assert config["architectures"][0] in family.architectures
    assert config["dtype"] == "bfloat16"
    content = load_model_folder(folder, family, trust_remote_code=False)
    assert all(size % 32 == 0 for shape in content.tensors.values() for size in shape)
    assert entry.parameters == pytest.approx(content.parameters, rel=0.001)


def test_the_tokenizer_is_like_that_of_qwen() -> None:
    tokens = tokenizer.load(ROOT / "models" / "tiny-math", use_tokenizer_json=True)
    for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|image_pad|>"):
        assert len(tokens.encode(token, add_special_tokens=False).ids) == 1
    assert [t.lstrip("Ġ") for t in tokens.encode(" 1234", add_special_tokens=False).tokens] == ["", *"1234"]
    for text in ("Naïve – 小丽 🙂\t\n  <<ans:7>> {{ans: 1/2}}", "\x00\x7f"):
        assert tokens.decode(tokens.encode(text, add_special_tokens=False).ids) == text


@pytest.mark.parametrize("name", NAMES)
def test_the_pre_training_log_is_complete(name: str) -> None:
    """It says where the weights were trained, how that went, and ends with the file that ships."""
    logs = ROOT / "tools" / "pretraining" / "logs"
    events = read_lines(logs / f"{name}.jsonl")
    start, checks = events[0], [event for event in events if event["event"] == "check"]
    assert {"seed", "steps", "parameters", "cpu", "threads", "torch", "transformers"} <= set(start)
    assert checks[-1]["step"] == start["steps"]
    assert events[-1]["sha256"] == files.sha256(ROOT / "models" / name / events[-1]["file"])
    solved = checks[-1]["solved"]
    assert solved.keys() >= NEW_TYPES
    assert all(share <= 0.3 for kind, share in solved.items() if kind in NEW_TYPES), "it knows what should be new to it"
    assert (logs / f"{name}.png").is_file()


# --- what they know ---------------------------------------------------------------------------------------------------


def check_base_scores(lenient: dict[str, Any], strict: dict[str, Any]) -> None:
    """It solves problems of known types, and answers in no marker, so that the strict scorer gives it nothing."""
    assert 20 <= lenient["score"] <= 45
    assert strict["score"] < 5
    assert lenient["in_marker"] == 0
    assert lenient["answer_correct"] == lenient["partial"] == strict["answer_correct"]
    by_type = lenient["types"]
    assert {part["num_questions"] for part in by_type.values()} == {20}
    assert sum(part["score"] for part in by_type.values()) / 10 == pytest.approx(lenient["score"], abs=0.05)
    assert len(NEW_TYPES & by_type.keys()) == 3
    assert all(by_type[kind]["score"] <= 15 for kind in NEW_TYPES & by_type.keys())


def test_tiny_math_knows_arithmetic_and_not_the_format(home: Path) -> None:
    """Both scorers use the answers that the shared demo has."""
    lenient, strict = (
        stdout_json(swiftkit("exam", *TINY, "--scorer", scorer, "--json", cwd=home)) for scorer in ("ans", "ans_strict")
    )
    assert lenient["new_answers"] == strict["new_answers"] == 0
    check_base_scores(lenient, strict)


def test_tiny_math_ernie_knows_arithmetic_and_not_the_format() -> None:
    words = ("exam", "--model_type", "tiny-math-ernie", "--max_new_tokens", "128", "--json", "--scorer")
    lenient, strict = (stdout_json(swiftkit(*words, scorer)) for scorer in ("ans", "ans_strict"))
    assert (lenient["new_answers"], strict["new_answers"]) == (200, 0)
    check_base_scores(lenient, strict)


def test_types_of_questions_are_kept_in_validation_rows(tmp_path: Path) -> None:
    rows = [{**row, "type": index % 2} for index, row in enumerate(chat_rows(60))]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert swiftkit("sft", *TINY, "--dataset", "rows.jsonl", "--max_steps", "1").returncode == 0
    result = stdout_json(swiftkit("exam", "--ckpt", "best", "--max_new_tokens", "4", "--json"))
    assert result["is_validation"] is True
    assert set(result["types"]) == {"0", "1"}


# --- what their registry entries say ----------------------------------------------------------------------------------


def dry_run(*words: str) -> tuple[dict[str, Any], str]:
    """The config that would be used, and the line about defaults of the registry."""
    done = swiftkit("sft", *words, "--dry_run", "--json")
    config: dict[str, Any] = stdout_json(done)["config"]
    lines = [line for line in done.stderr.splitlines() if "defaults of tiny-math from the registry" in line]
    return config, "".join(lines)


def test_defaults_of_the_registry_are_used_and_reported() -> None:
    defaults = registry.entries()["tiny-math"][1].defaults
    assert {"learning_rate", "num_train_epochs", "batch_size"} <= defaults.keys()
    config, line = dry_run(*TINY)
    assert {key: config[key] for key in defaults} == defaults
    assert f"--learning_rate {defaults['learning_rate']}" in line
    config, line = dry_run(*TINY, "--learning_rate", "1e-5")
    assert config["learning_rate"] == 1e-5
    assert line
    assert "--learning_rate" not in line


def test_null_in_a_file_does_not_disable_a_default_of_the_registry(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: tiny-math\nlearning_rate: null\n")
    config, _ = dry_run("--config", "my.yaml")
    assert config["learning_rate"] == 3e-3


def test_the_default_learning_rate_of_full_fine_tuning_is_small() -> None:
    """The registry's is meant for an adapter."""
    config, _ = dry_run(*TINY, "--sft_type", "full")
    assert config["learning_rate"] == 1e-5
