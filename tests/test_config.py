"""Flags, YAML files, defaults: one merge, every spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swiftkit import flags, passthrough
from swiftkit.config import ModelsConfig, SftConfig
from swiftkit.errors import Problems, SwiftkitError


def read(*words: str) -> flags.Given:
    problems = Problems()
    made = flags.read(SftConfig, list(words), problems)
    problems.raise_any()
    return made


def config(*words: str, defaults: dict[str, Any] | None = None) -> SftConfig:
    return flags.build(SftConfig, read(*words), defaults)


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "lora_rank": st.integers(1, 512),
        "learning_rate": st.floats(1e-8, 1, allow_nan=False),
        "num_train_epochs": st.floats(0.1, 50, allow_nan=False),
        "max_length": st.integers(8, 10**6),
        "dataset": st.lists(st.sampled_from(["a.jsonl", "b.csv#5", "org/x"]), min_size=1, max_size=3),
        "trust_remote_code": st.booleans(),
        "dtype": st.sampled_from(["auto", "bf16", "fp16", "fp32"]),
        "seed": st.integers(0, 2**31),
    },
)


def typed(values: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in values.items():
        listed = value if isinstance(value, list) else [value]
        words += [f"--{name}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in listed)]
    return words


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(default=VALUES, file=VALUES, line=VALUES)
def test_typed_beats_file_beats_default(
    default: dict[str, Any], file: dict[str, Any], line: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(file))
    made = config("--config", str(tmp_path / "c.yaml"), *typed(line), defaults=default)
    expected = {**SftConfig().model_dump(), **default, **file, **line}
    assert made.model_dump() == SftConfig(**expected).model_dump()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=VALUES)
def test_what_is_saved_is_read_back(values: dict[str, Any], tmp_path: Path) -> None:
    made = SftConfig(**values)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"config": made.model_dump(mode="json"), "record": {"x": 1}}))
    assert config("--config", str(tmp_path / "run.yaml")) == made


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--eval_step 5", "eval_steps", 5),
        ("--save_steps 5", "eval_steps", 5),
        ("--per_device_train_batch_size 4", "batch_size", 4),
        ("--per-device-train-batch-size=4", "batch_size", 4),
        ("--model ./m", "model_id_or_path", "./m"),
        ("--torch_dtype bfloat16", "dtype", "bf16"),
        ("--dtype AUTO", "dtype", "auto"),
        ("--max_seq_length 99", "max_length", 99),
        ("--r 4", "lora_rank", 4),
        ("--lora-rank 4", "lora_rank", 4),
        ("--target_modules q_proj v_proj", "lora_target_modules", ["q_proj", "v_proj"]),
        ("--split_dataset_ratio 0.1", "dataset_test_ratio", 0.1),
        ("--custom_train_dataset_path a.jsonl b.jsonl", "dataset", ["a.jsonl", "b.jsonl"]),
        ("--sft_type lora", "sft_type", "lora"),
        ("--tuner_type lora", "sft_type", "lora"),
        ("--trust_remote_code", "trust_remote_code", True),
        ("--trust_remote_code true", "trust_remote_code", True),
        ("--trust_remote_code false", "trust_remote_code", False),
        ("--gradient_checkpointing", "gradient_checkpointing", True),
        ("--learning_rate 1e-4", "learning_rate", 1e-4),
        ("--system=", "system", ""),
        ("--dataset a.jsonl --dataset b.jsonl", "dataset", ["a.jsonl", "b.jsonl"]),
        ("--lora_target_modules ALL", "lora_target_modules", ["all-linear"]),
        ("--lora_target_modules DEFAULT", "lora_target_modules", []),
        ("--lora_rank 4 --lora_rank 4", "lora_rank", 4),
        ("--learning_rate -1e-4 --learning_rate=1e-4", "learning_rate", None),
    ],
)
def test_spellings(words: str, name: str, value: Any) -> None:
    if value is None:
        with pytest.raises(SwiftkitError, match="different values"):
            config(*words.split())
    else:
        assert getattr(config(*words.split()), name) == value


def test_yaml_knows_the_same_spellings(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("per_device_train_batch_size: 4\nlearning_rate: 1e-5\ndataset: one.jsonl\n")
    made = config("--config", "c.yaml")
    assert (made.batch_size, made.learning_rate, made.dataset) == (4, 1e-5, ["one.jsonl"])


def test_the_project_file_is_read_unless_another_is_named(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("lora_rank: 3\nwords: [x]\n")
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    assert config().lora_rank == 3
    assert config("--lora_rank", "5").lora_rank == 5
    assert config("--config", "c.yaml").lora_rank == 8


def test_options_of_ms_swift_by_flag_and_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("swift: {neftune_noise_alpha: 5, weight_decay: 0.2}\nswift.lora_bias: all\n")
    made = config("--config", "c.yaml", "--swift.weight_decay", "0.1", "--adam_beta2", "0.99")
    assert made.swift == {"neftune_noise_alpha": 5.0, "weight_decay": 0.1, "lora_bias": "all", "adam_beta2": 0.99}
    assert passthrough.argv(made.swift)[:2] == ["--neftune_noise_alpha", "5.0"]


def test_bare_options_of_ms_swift_2_work_in_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("weight_decay: 0.05\nneftune_noise_alpha: 5\n")
    assert config("--config", "c.yaml").swift == {"weight_decay": 0.05, "neftune_noise_alpha": 5.0}


def test_what_old_scripts_say_and_what_is_so_anyway(caplog: pytest.LogCaptureFixture) -> None:
    words = "--template_type AUTO --train_dataset_sample -1 --check_dataset_strategy warning --save_total_limit 2"
    words += " --logging_steps 10 --use_flash_attn false --push_to_hub false --eval_batch_size 1 --disable_tqdm"
    with caplog.at_level("INFO"):
        assert config(*words.split()).swift == {}
    assert caplog.text.count("is not needed") == 9


def test_the_project_file_may_speak_of_training_to_other_commands(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text(
        "swift: {weight_decay: 0.1}\nswift.lora_bias: all\nadam_beta2: 0.9\nbatch_size: 4\n"
    )
    problems = Problems()
    assert flags.read(ModelsConfig, ["show", "tiny-math"], problems).values == {"words": ["show", "tiny-math"]}
    assert not problems.found


def test_a_word_behind_a_switch_is_not_its_value() -> None:
    for words in (["--json", "show", "tiny-math"], ["show", "--json", "tiny-math"], ["show", "tiny-math", "--json"]):
        given = flags.read(ModelsConfig, words, Problems())
        assert given.values == {"json": "true", "words": ["show", "tiny-math"]}


def test_every_alias_means_one_flag_only() -> None:
    spellings = [s for name, flag in SftConfig.flags().items() for s in (name, *flag.aliases)]
    assert len(spellings) == len(set(spellings))


def test_values_of_options_are_checked_by_type() -> None:
    assert passthrough.check("use_dora", "true") is True
    assert passthrough.check("lr_scheduler_kwargs", '{"min_lr": 1}') == '{"min_lr": 1}'
    assert passthrough.check("lr_scheduler_kwargs", {"min_lr": 1}) == '{"min_lr": 1}'
    assert passthrough.check("modules_to_save", "embed_tokens") == ["embed_tokens"]
    with pytest.raises(SwiftkitError, match="is none of"):
        passthrough.check("acc_strategy", "magic")
    with pytest.raises(SwiftkitError, match="takes one value"):
        passthrough.check("weight_decay", ["1", "2"])
