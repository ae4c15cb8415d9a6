"""Flags, YAML files, defaults: one merge, every spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.commands import stdout_json, swiftkit
from swiftkit.cli import main as cli
from swiftkit.cli import parser
from swiftkit.cli.commands.models import ModelsConfig
from swiftkit.config import resolve
from swiftkit.config.fields import Config
from swiftkit.config.resolve import RawOptions
from swiftkit.config.sft import SftConfig
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.training import trainers
from swiftkit.training.trainers.ms_swift import arguments, options


def read(*words: str) -> RawOptions:
    problems = Problems()
    raw = parser.read(SftConfig, list(words), problems)
    problems.raise_any()
    return raw


def config(*words: str, defaults: dict[str, Any] | None = None) -> SftConfig:
    problems = Problems()
    built = resolve.with_defaults(resolve.build(SftConfig, read(*words), problems), defaults or {})
    problems.raise_any()
    return built


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


def to_words(values: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        words += [f"--{name}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in items)]
    return words


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(default=VALUES, file=VALUES, line=VALUES)
def test_command_line_overrides_file_overrides_default(
    default: dict[str, Any], file: dict[str, Any], line: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(file))
    merged = config("--config", str(tmp_path / "c.yaml"), *to_words(line), defaults=default)
    expected = {**SftConfig().model_dump(), **default, **file, **line}
    assert merged.model_dump() == SftConfig(**expected).model_dump()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=VALUES)
def test_a_saved_config_is_read_back(values: dict[str, Any], tmp_path: Path) -> None:
    saved = SftConfig(**values)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"config": saved.model_dump(mode="json"), "record": {"x": 1}}))
    assert dict(config("--config", str(tmp_path / "run.yaml"))) == dict(saved)


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


def test_yaml_accepts_the_same_spellings(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("per_device_train_batch_size: 4\nlearning_rate: 1e-5\ndataset: one.jsonl\n")
    from_file = config("--config", "c.yaml")
    assert (from_file.batch_size, from_file.learning_rate, from_file.dataset) == (4, 1e-5, ["one.jsonl"])


def read_project_file(command: str, *words: str) -> tuple[RawOptions, list[str]]:
    """A command's options with the swiftkit.yaml in this folder, as the command line reads them; and the problems."""
    problems = Problems()
    command_config: type[Config] = cli.load_command(command).CONFIG
    raw = parser.read(command_config, list(words), problems, cli._configs)
    return raw, [f"{problem.message} {problem.hint}" for problem in problems.found]


def test_the_project_file_is_read_unless_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("lora_rank: 3\nrow: 1\n")
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    raw, problems = read_project_file("sft")
    assert (raw.values, problems) == ({"lora_rank": 3}, [])
    raw, problems = read_project_file("sft", "--lora_rank", "5")
    assert (raw.values, problems) == ({"lora_rank": "5"}, [])
    assert resolve.build(SftConfig, raw, Problems()).lora_rank == 5
    assert config("--config", "c.yaml").lora_rank == 8


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_keys_of_other_commands_in_the_project_file_are_ignored(command: str, tmp_path: Path) -> None:
    keys = "exam: [math-exam]\nrows: 2\nrow: 1\nhtml: page.html\nfew_shot: 3\nfail_under: 20\n"
    keys += "merge_lora: true\nfamily: phi3\ncheck: true\nlora_rank: 4\n"
    (tmp_path / "swiftkit.yaml").write_text(keys)
    raw, problems = read_project_file(command)
    assert problems == []
    assert set(raw.values) <= set(cli.load_command(command).CONFIG.flags())


def test_words_have_no_key(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("words: [show, v0]\n")
    _, problems = read_project_file("runs")
    assert problems == ["swiftkit.yaml: unknown key `words` `--help` lists all flags"]
    _, problems = read_project_file("runs", "--words", "v0")
    assert problems[0] == "unknown flag `--words` `--help` lists all flags"


def test_keys_of_other_commands_do_not_make_sft_refuse(tmp_path: Path) -> None:
    keys = "exam: [math-exam]\nrows: 2\nrow: 1\nhtml: page.html\nfew_shot: 3\nfail_under: 20\nlora_rank: 4\n"
    (tmp_path / "swiftkit.yaml").write_text(keys)
    words = ("sft", "--model_type", "tiny-math", "--dry_run", "--json")
    assert stdout_json(swiftkit(*words))["config"]["lora_rank"] == 4
    (tmp_path / "swiftkit.yaml").write_text(keys + "fail_undr: 20\n")
    done = swiftkit(*words)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "swiftkit.yaml: unknown key `fail_undr`" in done.stderr


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_key_of_no_command_in_the_project_file_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("jsn: true\nfail_under: 20\n")
    _, problems = read_project_file(command)
    (problem,) = problems
    assert problem.startswith("swiftkit.yaml: unknown key `jsn`")
    assert "did you mean `json`" in problem


def test_keys_of_other_commands_are_refused_in_a_named_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("fail_under: 20\n")
    with pytest.raises(SwiftkitError, match=r"c\.yaml: unknown key `fail_under`"):
        read("--config", "c.yaml")


# --- options of a trainer ---------------------------------------------------------------------------------------------


def test_options_of_ms_swift_by_flag_and_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("swift: {neftune_noise_alpha: 5, weight_decay: 0.2}\nswift.lora_bias: all\n")
    merged = config("--config", "c.yaml", "--swift.weight_decay", "0.1", "--adam_beta2", "0.99")
    checked = trainers.check_options(merged.trainer, merged.trainer_options)
    assert checked == {"neftune_noise_alpha": 5.0, "weight_decay": 0.1, "lora_bias": "all", "adam_beta2": 0.99}
    assert arguments.to_argv(checked)[:2] == ["--neftune_noise_alpha", "5.0"]


def test_bare_options_of_ms_swift_2_work_in_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("weight_decay: 0.05\nneftune_noise_alpha: 5\n")
    assert config("--config", "c.yaml").trainer_options == {"weight_decay": 0.05, "neftune_noise_alpha": 5.0}


def test_options_without_effect_are_reported_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    words = "--template_type AUTO --train_dataset_sample -1 --check_dataset_strategy warning --save_total_limit 2"
    words += " --logging_steps 10 --use_flash_attn false --push_to_hub false --eval_batch_size 1 --disable_tqdm"
    with caplog.at_level("INFO"):
        assert config(*words.split()).trainer_options == {}
    assert caplog.text.count("is not needed") == 9


def test_training_options_in_the_project_file_do_not_affect_other_commands(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text(
        "swift: {weight_decay: 0.1}\nswift.lora_bias: all\nadam_beta2: 0.9\nbatch_size: 4\n"
    )
    problems = Problems()
    raw = parser.read(ModelsConfig, ["show", "tiny-math"], problems, cli._configs)
    assert raw.values == {"words": ["show", "tiny-math"]}
    assert not problems.found


def test_values_of_options_are_checked_by_type() -> None:
    assert options.check_option("use_dora", "true") is True
    assert options.check_option("lr_scheduler_kwargs", '{"min_lr": 1}') == '{"min_lr": 1}'
    assert options.check_option("lr_scheduler_kwargs", {"min_lr": 1}) == '{"min_lr": 1}'
    assert options.check_option("modules_to_save", "embed_tokens") == ["embed_tokens"]
    with pytest.raises(SwiftkitError, match="is not one of"):
        options.check_option("acc_strategy", "magic")
    with pytest.raises(SwiftkitError, match="takes one value"):
        options.check_option("weight_decay", ["1", "2"])


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_word_after_a_switch_is_not_its_value() -> None:
    for words in (["--json", "show", "tiny-math"], ["show", "--json", "tiny-math"], ["show", "tiny-math", "--json"]):
        raw = parser.read(ModelsConfig, words, Problems())
        assert raw.values == {"json": "true", "words": ["show", "tiny-math"]}


def test_every_alias_means_one_flag_only() -> None:
    spellings = [s for name, flag in SftConfig.flags().items() for s in (name, *flag.aliases)]
    assert len(spellings) == len(set(spellings))


def test_every_problem_of_a_list_is_reported_with_those_of_other_options(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("dataset: [1, 2]\nlora_rank: 0\ntrainer_options: yes\n")
    done = swiftkit("sft", "--config", "train.yaml")
    assert done.returncode == 2
    for place, got in (("dataset", "(got 1)"), ("dataset", "(got 2)"), ("lora_rank", "(got 0)")):
        assert [line for line in done.stderr.splitlines() if f"{place}: must be" in line and line.endswith(got)]
    assert "train.yaml: trainer_options is not a list of options\n  hint: write `NAME: VALUE` lines" in done.stderr
    kept = resolve.best_effort(SftConfig, {"lora_target_modules": [1, 2], "lora_rank": 16, "unknown": 1})
    assert (kept.lora_target_modules, kept.lora_rank) == ([], 16)


def test_an_option_of_a_trainer_has_one_value() -> None:
    done = swiftkit("sft", "--neftune_noise_alpha", "5", "--swift.neftune_noise_alpha", "6")
    assert "`--neftune_noise_alpha` and `--swift.neftune_noise_alpha` set the same option to different" in done.stderr


def test_the_hint_of_a_broken_file_names_config_only_if_it_was_used(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text(": :")
    refused = swiftkit("runs").stderr
    assert "swiftkit.yaml is not valid YAML" in refused
    assert "--config" not in refused
    assert "hint: --config takes a YAML file" in swiftkit("runs", "--config", "swiftkit.yaml").stderr


# --- where values come from -------------------------------------------------------------------------------------------


def test_values_of_python_are_typed_except_for_none() -> None:
    config = SftConfig(lora_rank=4, model_type=None)
    assert config.is_typed("lora_rank")
    assert config.is_explicit("lora_rank")
    assert not config.is_typed("model_type")
    assert not config.is_explicit("model_type")
    assert not config.is_typed("lora_alpha")


def test_defaults_of_the_registry_are_not_typed() -> None:
    filled = resolve.with_defaults(SftConfig(sft_type="full"), {"lora_rank": 4})
    assert filled.lora_rank == 4
    assert not filled.is_typed("lora_rank")
    assert filled.is_typed("sft_type")


@pytest.mark.parametrize("targets", ["ALL", ["ALL"]])
def test_words_for_targets_may_be_one_text(targets: Any) -> None:
    assert SftConfig(lora_target_modules=targets).lora_target_modules == ["all-linear"]
