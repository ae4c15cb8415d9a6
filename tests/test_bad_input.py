"""What newcomers type: exit 2, one readable message that names file, row or flag and the way out, no run folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import chat_rows, write_rows

from swiftkit import hardware
from swiftkit.cli import main

TINY = ("--model_type", "tiny-math")


class Refused:
    """Runs a command that must be refused, and returns what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str, command: str = "sft", code: int = 2) -> str:
        assert main([command, *words]) == code
        out, said = self.capsys.readouterr()
        assert not out
        assert "Traceback" not in said
        assert "error:" in said
        assert not Path("output").exists()
        return said


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    return Refused(capsys)


@pytest.fixture
def good(tmp_path: Path) -> str:
    return str(write_rows(tmp_path / "good.jsonl", chat_rows(40)))


@pytest.fixture
def folder(family_folder: Any, tmp_path: Path) -> Path:
    """A sound model folder of the test's own, to be spoiled."""
    return Path(shutil.copytree(family_folder("qwen2_5"), tmp_path / "model"))


def model(folder: Path) -> tuple[str, ...]:
    return ("--model_type", "qwen2_5-1_5b-instruct", "--model_id_or_path", str(folder))


def rows_with(tmp_path: Path, bad: Any, place: int = 17) -> str:
    rows: list[Any] = chat_rows(40)
    rows[place - 1] = bad
    return str(write_rows(tmp_path / "rows.jsonl", rows))


def test_misspelt_flag(refused: Refused) -> None:
    said = refused(*TINY, "--learning_rat", "1e-4")
    assert "--learning_rat" in said
    assert "did you mean `--learning_rate`" in said


def test_a_prefix_is_no_flag(refused: Refused) -> None:
    assert "unknown flag `--lora`" in refused(*TINY, "--lora", "8")


def test_misspelt_command(refused: Refused) -> None:
    assert "did you mean `sft`" in refused(command="stf")


def test_misspelt_model_type(refused: Refused) -> None:
    said = refused("--model_type", "qwen2_5-1_5b-instuct")
    assert "qwen2_5-1_5b-instuct" in said
    assert "did you mean `qwen2_5-1_5b-instruct`" in said
    assert "`qwen2_5-1_5b` or `qwen2_5-1_5b-instruct`" in refused("--model_type", "Qwen2.5-1.5B")


def test_stray_words(refused: Refused) -> None:
    assert "unexpected argument `tiny-math`" in refused("tiny-math")
    assert "--model_type takes one value, not 2" in refused(*TINY, "stray")


def test_no_model(refused: Refused) -> None:
    assert "--model_type" in refused("--dataset", "math-sft")


def test_misspelt_key_in_yaml(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: tiny-math\nlora_rnk: 4\n")
    said = refused("--config", "my.yaml")
    assert "my.yaml: unknown key `lora_rnk`" in said
    assert "did you mean `lora_rank`" in said


def test_misspelt_key_in_the_project_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "swiftkit.yaml").write_text("datasett: math-sft\n")
    assert "did you mean `dataset`" in refused(*TINY)


def test_broken_yaml_and_missing_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: [tiny\n")
    assert "my.yaml is not valid YAML" in refused("--config", "my.yaml")
    assert "none.yaml" in refused("--config", "none.yaml")


def test_misspelt_dataset_name(refused: Refused) -> None:
    assert "did you mean `math-sft`" in refused(*TINY, "--dataset", "math-stf")


@pytest.mark.parametrize(
    ("flag", "value"),
    [("lora_rank", "eight"), ("lora_rank", "0"), ("learning_rate", "fast"), ("dtype", "int3"), ("max_dropped", "7")],
)
def test_wrong_type_or_range(refused: Refused, flag: str, value: str) -> None:
    said = refused(*TINY, f"--{flag}", value)
    assert f"--{flag}" in said
    assert value in said


def test_wrong_type_in_yaml_names_the_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: tiny-math\nlora_rank: [1, 2]\n")
    assert "my.yaml: lora_rank" in refused("--config", "my.yaml")


def test_flag_without_its_value_hides_no_other_error(refused: Refused) -> None:
    said = refused(*TINY, "--lora_rank", "--seed", "x", "--dataset")
    assert "--lora_rank needs a value" in said
    assert "--dataset needs a value" in said
    assert "--seed" in said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--eval_steps 20 --save_steps 500", "`--eval_steps` and `--save_steps` set the same thing"),
        ("--lora_rank 4 8", "takes one value"),
        ("--num_train_epochs inf", "--num_train_epochs"),
        ("--learning_rate nan", "--learning_rate"),
        ("--seed 5000000000", "--seed"),
        ("--lora_target_modules all-linear q_proj", "stands alone"),
        ("--dataset good.jsonl#²", "no number of rows"),
        ("--output_dir good.jsonl", "is a file"),
    ],
)
def test_values_that_make_no_sense(refused: Refused, good: str, words: str, reason: str) -> None:
    assert reason in refused(*TINY, *words.split())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("dtype: [bf16]", "dtype"),
        ("system: 2024-13-45", "not valid YAML"),
        ("lora_rank: 4\nlora_rank: 16", "stands twice"),
        ("lora_rank: 4\nr: 16", "set the same thing"),
        ("lora_rank: yes", "YAML reads as true or false"),
        ("swift: {optim: null}", "has no value"),
        ("- a", "holds a list"),
    ],
)
def test_yaml_that_makes_no_sense(refused: Refused, tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "my.yaml").write_text(content + "\n")
    assert reason in refused(*TINY, "--config", "my.yaml")


def test_missing_dataset(refused: Refused, good: str) -> None:
    said = refused(*TINY, "--dataset", "./goood.jsonl")
    assert "goood.jsonl does not exist" in said
    assert "did you mean `good.jsonl`" in said


def test_missing_hub_dataset_without_a_network(refused: Refused) -> None:
    assert "no hub answers" in refused(*TINY, "--dataset", "nobody/nothing")


def test_folder_as_dataset(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    assert "is a folder" in refused(*TINY, "--dataset", "rows")


@pytest.mark.parametrize("content", ["", "\n\n"])
@pytest.mark.parametrize("name", ["e.jsonl", "e.json", "e.csv"])
def test_empty_file(refused: Refused, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert f"{name} holds no rows" in refused(*TINY, "--dataset", name)


def test_broken_json_on_row_17(refused: Refused, tmp_path: Path) -> None:
    said = refused(*TINY, "--dataset", rows_with(tmp_path, '{"messages": [}'))
    assert "rows.jsonl:17: broken JSON" in said


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, "no assistant turn"),
        ({"messages": []}, "no assistant turn"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}, "content is empty"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None}]}, "not text"),
        ({"messages": [{"role": "human", "content": "a"}, {"role": "assistant", "content": "b"}]}, "unknown role"),
        ({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}, "expected the user"),
        (
            {"messages": [{"role": r, "content": "a"} for r in ("user", "user", "assistant")]},
            "turn 2 is the user's, expected the assistant's",
        ),
        ({"messages": [{"role": r, "content": "a"} for r in ("user", "assistant", "user")]}, "no answer"),
        ({"messages": "hello"}, "not a list"),
        ({"messages": ["hello"]}, "object with role and content"),
        ({"question": "a", "answer": "b"}, "no `messages`"),
        ({**chat_rows(1)[0], "images": ["x.png"]}, "column `images`"),
        ([1, 2], "not an object"),
        (
            {"messages": [*chat_rows(1)[0]["messages"][:1], {"role": "assistant", "content": "b", "loss": False}]},
            "`loss`",
        ),
        ({**chat_rows(1)[0], "label": False}, "column `label`"),
        ({**chat_rows(1)[0], "rejected": "worse"}, "column `rejected`"),
        ({"messages": [{"role": "user", "content": "\ud800"}, {"role": "assistant", "content": "b"}]}, None),
    ],
)
def test_broken_row(refused: Refused, tmp_path: Path, bad: Any, reason: str | None) -> None:
    if reason is None:  # half a surrogate pair is valid JSON, and no text
        bad, reason = json.dumps(bad), "lone surrogate"
    said = refused(*TINY, "--dataset", rows_with(tmp_path, bad))
    assert "rows.jsonl:17: " in said
    assert reason in said


def test_many_broken_rows_are_counted(refused: Refused, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [*chat_rows(1), *["{"] * 50])
    assert "and 30 more rows like these" in refused(*TINY, "--dataset", str(path))


def test_too_many_rows_too_long(refused: Refused, tmp_path: Path) -> None:
    rows = chat_rows(40)
    for row in rows[:3]:
        row["messages"][1]["content"] *= 50
    path = write_rows(tmp_path / "long.jsonl", rows)
    said = refused(*TINY, "--dataset", str(path), "--max_length", "100")
    assert "3 of 40 rows are longer than --max_length 100" in said
    assert "long.jsonl:" in said
    assert "--max_dropped 0.08" in said


def test_columns_of_no_known_format(refused: Refused, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "odd.jsonl", [{"frage": "a", "antwort": "b"}] * 9)
    said = refused(*TINY, "--dataset", str(path))
    assert "`frage`, `antwort`" in said
    for name in ("messages", "sharegpt", "alpaca", "query_response", "question_answer", "prompt_completion"):
        assert name in said


def test_plain_text_needs_to_be_asked_for(refused: Refused, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "text.jsonl", [{"text": f"Once upon a time {i}"} for i in range(9)])
    assert "--format text" in refused(*TINY, "--dataset", str(path))


def test_rendered_chat_is_never_learned_whole(refused: Refused, tmp_path: Path) -> None:
    rendered = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nho<|im_end|>\n"
    path = write_rows(tmp_path / "text.jsonl", [{"text": rendered}] * 9)
    assert "rendered chat" in refused(*TINY, "--dataset", str(path), "--format", "text")
    other = write_rows(tmp_path / "inst.jsonl", [{"text": "<s>[INST] hi [/INST] ho</s>"}] * 9)
    assert "not understood" in refused(*TINY, "--dataset", str(other))


@pytest.mark.parametrize("name", ["latin.jsonl", "latin.csv"])
def test_not_utf8(refused: Refused, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'question,answer\n{"question": "a", "answer": "b"}\nGr\xfc\xdfe,b\n')
    said = refused(*TINY, "--dataset", name)
    assert f"{name}:3: not UTF-8 (byte 0xfc" in said
    assert "iconv" in said


def test_ragged_csv(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("question,answer\na,b\na\n")
    assert "r.csv:2" in refused(*TINY, "--dataset", "r.csv")


def test_json_of_other_shapes(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"data": chat_rows(3), "version": 1}, indent=1))
    assert "is it what stands under 'data'?" in refused(*TINY, "--dataset", "one.json")
    (tmp_path / "array.jsonl").write_text(json.dumps(chat_rows(3)))
    assert "rename it to .json" in refused(*TINY, "--dataset", "array.jsonl")
    (tmp_path / "deep.jsonl").write_text("{" + '"a":[' * 5000)
    assert "deep.jsonl:1: broken JSON" in refused(*TINY, "--dataset", "deep.jsonl")
    (tmp_path / "digits.jsonl").write_text('{"messages": ' + "1" * 5000 + "}")
    assert "digits.jsonl:1: broken JSON" in refused(*TINY, "--dataset", "digits.jsonl")


def test_names_that_no_file_can_have(refused: Refused) -> None:
    assert "no name of a file" in refused(*TINY, "--dataset", "x" * 300 + ".jsonl")


def test_text_with_half_a_character(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a \\ud800 b"}\n')
    assert "lone surrogate" in refused(*TINY, "--dataset", "t.jsonl", "--format", "text")


def test_unknown_format(refused: Refused, good: str) -> None:
    assert "no format is named `mesages`" in refused(*TINY, "--dataset", good, "--format", "mesages")


def test_sample_of_nothing(refused: Refused, good: str) -> None:
    assert "#0" in refused(*TINY, "--dataset", f"{good}#0")


def test_folder_that_is_no_model(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no model folder" in refused("--model_id_or_path", "./empty")
    assert "does not exist" in refused(*model(tmp_path / "nowhere"))


def test_folder_of_another_family(refused: Refused, family_folder: Any) -> None:
    said = refused(*model(family_folder("phi3")))
    assert "Phi3ForCausalLM" in said
    assert "phi3" in said


@pytest.mark.parametrize(
    ("template", "reason"), [(None, "is it a base model?"), ("{{ messages }}", "does not tell its family")]
)
def test_folder_that_fits_several_families(
    template: str | None, reason: str, refused: Refused, family_folder: Any, further_family: None, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(family_folder("tinyllama"), tmp_path / "llama"))
    (copied / "chat_template.jinja").unlink()
    if template:
        (copied / "chat_template.jinja").write_text(template)
    said = refused("--model_id_or_path", str(copied))
    assert reason in said
    for name in ("further-1b", "tinyllama-1_1b-chat", "llama3-8b-instruct", "--model_type"):
        assert name in said


def test_base_model_without_a_chat_template_is_asked_about(refused: Refused, folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    said = refused("--model_id_or_path", str(folder))
    assert "is it a base model?" in said
    assert "--model_type, one of the family whose chat format it shall learn:" in said
    for name in ("qwen2_5-0_5b-instruct (qwen2_5)", "qwen2_5-0_5b (qwen2_5_base)"):
        assert name in said


@pytest.mark.parametrize("source", ["{% for %}", "\xff"])
def test_chat_template_that_is_none(source: str, refused: Refused, folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(source.encode("latin-1"))
    said = refused("--model_id_or_path", str(folder))
    assert "chat_template.jinja" in said or "no valid Jinja" in said
    assert str(folder) in said


def test_pickle_weights_only(refused: Refused, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert "pickle weights only (pytorch_model.bin)" in refused(*model(folder))


def test_weights_cut_off(refused: Refused, folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "no whole safetensors file" in refused(*model(folder))


def test_weights_that_transformers_would_not_take(refused: Refused, folder: Path) -> None:
    """Beside a pickle, it would load the pickle."""
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert "pickle weights only" in refused(*model(folder))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", '{"architectures": [1]}', "architectures is no list of names"),
        ("config.json", '{"architectures": ["Qwen2ForCausalLM"], "max_position_embeddings": "lots"}', "no number"),
        ("config.json", "[]", "holds no JSON object"),
        ("config.json", "{", "is broken"),
        ("tokenizer_config.json", "{", "is broken"),
        ("tokenizer_config.json", '{"auto_map": ["evil.Tokenizer", null]}', "wants to run its own code"),
        ("model.safetensors.index.json", "[]", "holds no JSON object"),
        ("model.safetensors.index.json", "{}", "no weight_map"),
        ("model.safetensors", "12345678[]", "no whole safetensors"),
    ],
)
def test_broken_files_of_a_model_folder(refused: Refused, folder: Path, name: str, content: str, reason: str) -> None:
    (folder / name).write_text(content)
    assert reason in refused(*model(folder))


def test_quantised_weights(refused: Refused, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"load_in_4bit": True}}))
    assert "quantised weights" in refused(*model(folder))


def test_a_typed_folder_is_not_replaced_by_one_that_is_named_like_the_model(
    refused: Refused, family_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(family_folder("qwen2_5"), tmp_path / "all" / "qwen2_5-1_5b-instruct")
    monkeypatch.setenv("SWIFTKIT_MODELS", str(tmp_path / "all"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "127.0.0.1")
    said = refused("--model_type", "qwen2_5-1_5b-instruct", "--model_id_or_path", "models/my-finetune")
    assert "models/my-finetune is no folder" in said


def test_missing_shard(refused: Refused, folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-2.safetensors" in refused(*model(folder))


def test_folder_that_wants_remote_code(refused: Refused, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "evil.Config"}}))
    (folder / "evil.py").write_text("import pathlib\npathlib.Path('/tmp/swiftkit-was-here').touch()\n")
    said = refused(*model(folder))
    assert "evil.Config" in said
    assert "--trust_remote_code true" in said


def test_target_that_matches_no_module(refused: Refused, family_folder: Any) -> None:
    said = refused(
        "--model_type",
        "phi3-4b-4k-instruct",
        "--model_id_or_path",
        str(family_folder("phi3")),
        "--lora_target_modules",
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
    )
    for name in ("q_proj", "k_proj", "v_proj"):
        assert f"no layer `{name}`" in said
    assert "qkv_proj" in said


@pytest.mark.parametrize("target", ["gate_proj", "all-linear"])
def test_target_that_reaches_fused_experts(refused: Refused, family_folder: Any, target: str) -> None:
    said = refused(
        "--model_type",
        "ernie4_5-21b-a3b",
        "--model_id_or_path",
        str(family_folder("ernie4_5_moe")),
        "--lora_target_modules",
        target,
    )
    assert f"`{target}` reaches the experts" in said
    assert "k_proj o_proj q_proj v_proj" in said


def test_fp16_without_a_gpu(refused: Refused) -> None:
    if hardware.device().kind == "cpu":
        assert "--dtype fp16 needs a GPU" in refused(*TINY, "--dtype", "fp16")


def test_full_disk(refused: Refused, good: str) -> None:
    """More adapter than any disk has room for: no mock, the estimate meets the real disk."""
    said = refused(*TINY, "--dataset", good, "--lora_rank", "1000000000")
    assert "GB free" in said
    assert "--output_dir" in said


def test_several_errors_at_once(refused: Refused, tmp_path: Path) -> None:
    said = refused(
        "--model_type",
        "tiny-mth",
        "--lora_rank",
        "x",
        "--sede",
        "1",
        "--dataset",
        "none.jsonl",
        rows_with(tmp_path, "{"),
    )
    assert said.count("error:") == 5
    for part in ("tiny-mth", "--lora_rank", "--sede", "none.jsonl", "rows.jsonl:17"):
        assert part in said


def test_an_error_does_not_hide_what_hangs_on_the_other_flags(refused: Refused, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "text.jsonl", [{"text": f"Once upon a time {i}"} for i in range(9)])
    said = refused(*TINY, "--dataset", str(path), "--format", "text", "--lora_rank", "x")
    assert said.count("error:") == 1


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("swift.neftune_noise_alfa", "5", "did you mean `neftune_noise_alpha`"),
        ("swift.neftune_noise_alpha", "much", "is no float"),
        ("swift.output_dir", "x", "use `--output_dir`"),
        ("swift.save_steps", "x", "use `--eval_steps`"),
        ("swift.callbacks", "x", "set by swiftkit"),
        ("swift.template", "x", "docs/tokens.md"),
        ("load_in_4bit", "true", "not offered yet"),
        ("use_flash_attn", "true", "--swift.attn_impl"),
        ("neftune_backend", "x", "dropped this option"),
        ("template_type", "x", "docs/tokens.md"),
        ("target_regex", ".*q_proj", "--lora_target_modules"),
        ("safe_serialization", "false", "checkpoints are safetensors"),
        ("quantization_bit", "4", "not offered yet"),
    ],
)
def test_options_of_ms_swift(refused: Refused, option: str, value: str, reason: str) -> None:
    assert reason in refused(*TINY, f"--{option}", value)


def test_wrong_log_level(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    assert "LOG_LEVEL" in refused(*TINY)


def test_unknown_names_to_show(refused: Refused) -> None:
    assert "did you mean `tiny-math`" in refused("show", "tiny-mth", command="models")
    assert "no model has" in refused("nosuch", command="models")
    assert "no run is named" in refused("show", "v9", command="runs")
