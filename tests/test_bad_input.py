"""Options as newcomers type them: exit code 2, messages that name file or flag and the fix, no run folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.refused import refused
from support.rows import chat_rows, write_rows
from swiftkit.system import hardware

TINY = ("--model_type", "tiny-math")
HEAVY = {"torch", "transformers", "peft", "swift", "evalscope", "accelerate", "datasets", "modelscope"}


@pytest.fixture
def valid_rows(tmp_path: Path) -> str:
    return str(write_rows(tmp_path / "valid.jsonl", chat_rows(40)))


# --- flags ------------------------------------------------------------------------------------------------------------


def test_misspelt_flag() -> None:
    message = refused(*TINY, "--learning_rat", "1e-4")
    assert "--learning_rat" in message
    assert "did you mean `--learning_rate`" in message


def test_a_prefix_is_not_a_flag() -> None:
    assert "unknown flag `--lora`" in refused(*TINY, "--lora", "8")


def test_misspelt_command() -> None:
    assert "did you mean `sft`" in refused(command="stf")


def test_stray_words() -> None:
    assert "unexpected argument `tiny-math`" in refused("tiny-math")
    assert "--model_type takes one value, not 2" in refused(*TINY, "stray")


@pytest.mark.parametrize(
    ("flag", "value"),
    [("lora_rank", "eight"), ("lora_rank", "0"), ("learning_rate", "fast"), ("dtype", "int3"), ("max_dropped", "7")],
)
def test_wrong_type_or_range(flag: str, value: str) -> None:
    message = refused(*TINY, f"--{flag}", value)
    assert f"--{flag}" in message
    assert value in message


def test_a_flag_without_its_value_hides_no_other_error() -> None:
    message = refused(*TINY, "--lora_rank", "--seed", "x", "--dataset")
    assert "--lora_rank needs a value" in message
    assert "--dataset needs a value" in message
    assert "--seed" in message


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--eval_steps 20 --save_steps 500", "`--eval_steps` and `--save_steps` set the same option"),
        ("--lora_rank 4 8", "takes one value"),
        ("--num_train_epochs inf", "--num_train_epochs"),
        ("--learning_rate nan", "--learning_rate"),
        ("--seed 5000000000", "--seed"),
        ("--lora_target_modules all-linear q_proj", "cannot be combined"),
        ("--dataset valid.jsonl#²", "is not a number of rows"),
        ("--output_dir valid.jsonl", "is a file"),
    ],
)
def test_senseless_values(valid_rows: str, words: str, reason: str) -> None:
    assert reason in refused(*TINY, *words.split())


def test_several_errors_at_once(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [*chat_rows(16), "{", *chat_rows(23)])
    message = refused(
        *("--model_type", "tiny-mth", "--lora_rank", "x", "--sede", "1", "--dataset", "none.jsonl", str(rows))
    )
    assert message.count("error:") == 5
    for part in ("tiny-mth", "--lora_rank", "--sede", "none.jsonl", "rows.jsonl:17"):
        assert part in message


def test_an_invalid_flag_does_not_hide_what_depends_on_the_others(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "text.jsonl", [{"text": f"Once upon a time {i}"} for i in range(9)])
    message = refused(*TINY, "--dataset", str(path), "--format", "text", "--lora_rank", "x")
    assert message.count("error:") == 1


# --- names ------------------------------------------------------------------------------------------------------------


def test_misspelt_model_type() -> None:
    message = refused("--model_type", "qwen2_5-1_5b-instuct")
    assert "qwen2_5-1_5b-instuct" in message
    assert "did you mean `qwen2_5-1_5b-instruct`" in message
    assert "`qwen2_5-1_5b` or `qwen2_5-1_5b-instruct`" in refused("--model_type", "Qwen2.5-1.5B")


def test_no_model() -> None:
    assert "--model_type" in refused("--dataset", "math-sft")


def test_misspelt_dataset_name() -> None:
    assert "did you mean `math-sft`" in refused(*TINY, "--dataset", "math-stf")


def test_unknown_format(valid_rows: str) -> None:
    message = refused(*TINY, "--dataset", valid_rows, "--format", "mesages")
    assert "no format is named `mesages`" in message
    assert "did you mean `messages`" in message


@pytest.mark.parametrize(
    ("command", "words", "reason", "hint"),
    [
        ("sft", ["--trainer", "nope"], "no trainer is named `nope`", "known: ms_swift"),
        ("sft", ["--trainer", "ms-swift"], "no trainer is named `ms-swift`", "did you mean `ms_swift`?"),
        ("sft", ["--task", "nope"], "no task is named `nope`", "known: sft"),
        ("sft", ["--task", "stf"], "no task is named `stf`", "did you mean `sft`?"),
        ("data", ["check", "math-sft", "--task", "nope"], "no task is named `nope`", "known: sft"),
        ("exam", ["--engine", "nope"], "no exam engine is named `nope`", "known: transformers"),
        ("exam", ["--engine", "transformer"], "no exam engine is named `transformer`", "did you mean `transformers`?"),
        ("exam", ["--scorer", "nope"], "no scorer is named `nope`", "known: ans,"),
    ],
)
def test_unknown_plugin(command: str, words: list[str], reason: str, hint: str) -> None:
    message = refused(*words, *TINY, command=command)
    assert f"error: {reason}\n  hint: {hint}" in message
    assert message.count("error:") == 1


@pytest.mark.parametrize(
    "words",
    [["sft", "--trainer", "nope"], ["sft", "--task", "nope"], ["exam", "--engine", "nope"]],
)
def test_unknown_plugin_is_refused_before_anything_heavy_is_imported(words: list[str]) -> None:
    """Neither here nor in a worker process."""
    code = (
        "import sys; started = [];"
        "sys.addaudithook(lambda event, arguments: started.append(arguments[1])"
        "  if event == 'subprocess.Popen' and 'swiftkit' in str(arguments[1]) else None);"
        "from swiftkit.cli.main import main; code = main(sys.argv[1:]);"
        f"print(code, started, sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words, *TINY], capture_output=True, text=True)
    assert done.stdout == "2 [] []\n", done.stderr
    assert "is named `nope`" in done.stderr


def test_unknown_names_to_show() -> None:
    assert "did you mean `tiny-math`" in refused("show", "tiny-mth", command="models")
    assert "no model has" in refused("nosuch", command="models")
    assert "no run is named" in refused("show", "v9", command="runs")


# --- options of a trainer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("swift.neftune_noise_alfa", "5", "did you mean `neftune_noise_alpha`"),
        ("swift.neftune_noise_alpha", "much", "is not a float"),
        ("swift.output_dir", "x", "use `--output_dir`"),
        ("swift.save_steps", "x", "use `--eval_steps`"),
        ("swift.callbacks", "x", "set by swiftkit"),
        ("swift.template", "x", "docs/tokens.md"),
        ("load_in_4bit", "true", "not supported yet"),
        ("use_flash_attn", "true", "--swift.attn_impl"),
        ("neftune_backend", "x", "dropped this option"),
        ("template_type", "x", "docs/tokens.md"),
        ("target_regex", ".*q_proj", "--lora_target_modules"),
        ("safe_serialization", "false", "checkpoints are always safetensors"),
        ("quantization_bit", "4", "not supported yet"),
    ],
)
def test_options_of_ms_swift(option: str, value: str, reason: str) -> None:
    assert reason in refused(*TINY, f"--{option}", value)


def test_options_of_a_trainer_that_is_not_chosen(tmp_path: Path) -> None:
    reason = "is an option of the trainer ms_swift, but --trainer is other"
    assert f"--swift.weight_decay {reason}" in refused(*TINY, "--trainer", "other", "--swift.weight_decay", "0.1")
    assert f"--weight_decay {reason}" in refused(*TINY, "--trainer", "other", "--weight_decay", "0.1")
    (tmp_path / "my.yaml").write_text("trainer: other\nswift: {weight_decay: 0.1}\n")
    assert f"my.yaml: swift.weight_decay {reason}" in refused(*TINY, "--config", "my.yaml")


# --- YAML files -------------------------------------------------------------------------------------------------------


def test_misspelt_key_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: tiny-math\nlora_rnk: 4\n")
    message = refused("--config", "my.yaml")
    assert "my.yaml: unknown key `lora_rnk`" in message
    assert "did you mean `lora_rank`" in message


def test_misspelt_key_in_the_project_file(tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("datasett: math-sft\n")
    message = refused(*TINY)
    assert "swiftkit.yaml: unknown key `datasett`" in message
    assert "did you mean `dataset`" in message


def test_broken_yaml_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: [tiny\n")
    message = refused("--config", "my.yaml")
    assert "my.yaml is not valid YAML" in message
    assert 'in "my.yaml", line 1' in message
    assert "none.yaml cannot be read" in refused("--config", "none.yaml")


def test_a_wrong_type_in_yaml_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: tiny-math\nlora_rank: [1, 2]\n")
    assert "my.yaml: lora_rank" in refused("--config", "my.yaml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("dtype: [bf16]", "dtype"),
        ("system: 2024-13-45", "not valid YAML"),
        ("lora_rank: 4\nlora_rank: 16", "duplicate key `lora_rank`"),
        ("lora_rank: 4\nr: 16", "set the same option"),
        ("lora_rank: yes", "YAML reads as true or false"),
        ("swift: {optim: null}", "has no value"),
        ("- a", "holds a list"),
    ],
)
def test_senseless_yaml(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "my.yaml").write_text(content + "\n")
    assert reason in refused(*TINY, "--config", "my.yaml")


# --- the machine ------------------------------------------------------------------------------------------------------


def test_fp16_without_a_gpu() -> None:
    if hardware.device().kind == "cpu":
        assert "--dtype fp16 needs a GPU" in refused(*TINY, "--dtype", "fp16")


def test_full_disk(valid_rows: str) -> None:
    """More adapter than any disk has room for: no mock, the estimate meets the real disk."""
    message = refused(*TINY, "--dataset", valid_rows, "--lora_rank", "1000000000")
    assert "GB free" in message
    assert "--output_dir" in message


def test_wrong_log_level() -> None:
    assert "LOG_LEVEL: `LOUD` is not a log level" in refused(*TINY, LOG_LEVEL="loud")


def test_punctuation_of_a_model_type_does_not_matter() -> None:
    assert "did you mean `ernie4_5-0_3b` or" in refused("--model_type", "ernie-4_5-0_3b")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--packing", "unknown flag `--packing`"),
        ("--swift.packing", "`--swift.packing` is not supported"),
        ("--swift.padding_free", "`--swift.padding_free` is not supported"),
        ("--swift.columns", "`--swift.columns` is set by swiftkit\n  hint: use `--columns`"),
    ],
)
def test_options_that_cannot_work_are_refused_before_the_model_is_loaded(option: str, message: str) -> None:
    assert message in refused("--model_type", "tiny-math", option, "true")
