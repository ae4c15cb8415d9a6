"""The embedded models and the data made by this project: what they are, what they know, what they have never seen."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, chat_rows, swiftkit, write_rows
from rapidfuzz import fuzz, process

from swiftkit import exams, markers, models, runs, tokenization, weights

sys.path.insert(0, str(ROOT / "tools"))

import make_datasets
import problems
import problems_zh

TINY = ("tiny-math", "tiny-math-ernie")
NEW = {"average", "perimeter", "rest", "average_zh"}
SIZES = {"math-sft": 1000, "math-sft-100": 100, "math-exam": 200, "math-sft-zh": 300, "math-exam-zh": 100}


def rows(name: str) -> list[dict[str, Any]]:
    text = (ROOT / "datasets" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def questions(name: str) -> list[str]:
    return [row["messages"][0]["content"] for row in rows(name)]


# --- the models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_an_embedded_model_is_small_and_fit_for_quantised_formats(name: str) -> None:
    folder = ROOT / "models" / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12e6
    config = json.loads((folder / "config.json").read_text())
    family, entry = models.entries()[name]
    assert config["architectures"][0] in family.architectures
    assert config["dtype"] == "bfloat16"
    found = weights.inspect(folder, family, trust_remote_code=False)
    assert all(size % 32 == 0 for shape in found.tensors.values() for size in shape)
    assert entry.parameters == pytest.approx(found.parameters, rel=0.001)


def test_the_tokenizer_is_of_qwens_kind() -> None:
    folder = ROOT / "models" / "tiny-math"
    tokenizer = tokenization.load(folder, as_it_stands=True)
    for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|image_pad|>"):
        assert len(tokenizer.encode(token, add_special_tokens=False).ids) == 1
    assert [t.lstrip("Ġ") for t in tokenizer.encode(" 1234", add_special_tokens=False).tokens] == ["", *"1234"]
    for text in ("Naïve – 小丽 🙂\t\n  <<ans:7>> {{ans: 1/2}}", "\x00\x7f"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


@pytest.mark.parametrize("name", TINY)
def test_the_pre_training_log_is_whole(name: str) -> None:
    """It says where the weights were made, how that went, and ends with the file that ships."""
    folder = ROOT / "tools" / "pretraining"
    told = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    start, checks = told[0], [event for event in told if event["event"] == "check"]
    assert {"seed", "steps", "parameters", "cpu", "threads", "torch", "transformers"} <= set(start)
    assert checks[-1]["step"] == start["steps"]
    assert told[-1]["sha256"] == runs.sha256(ROOT / "models" / name / told[-1]["file"])
    solved = checks[-1]["solved"]
    assert all(share <= 0.3 for kind, share in solved.items() if kind in NEW), "it knows what should be new to it"
    assert (folder / f"{name}.png").is_file()


# --- what pre-training has seen --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen() -> list[list[dict[str, str]]]:
    """The first 20,000 conversations of the pre-training."""
    import pretrain_tiny

    stream = pretrain_tiny.Conversations(pretrain_tiny.SEED, pretrain_tiny.forbidden())
    return list(islice(stream, 20_000))


def test_pre_training_never_sees_a_marker(seen: list[list[dict[str, str]]]) -> None:
    for conversation in seen:
        text = "\n".join(turn["content"] for turn in conversation)
        assert not markers.find(text)
        assert "ans:" not in text
        assert "<<" not in text
        assert "{{" not in text


def test_pre_training_never_sees_a_question_of_an_exam_nor_its_new_types(seen: list[list[dict[str, str]]]) -> None:
    asked = {turn["content"] for conversation in seen for turn in conversation if turn["role"] == "user"}
    exams = {*questions("math-exam"), *questions("math-exam-zh")}
    assert not asked & exams
    assert len(asked) > 15_000
    for word in ("average", "mean", "perimeter", "rectang", "平均数", "求平均"):
        assert not [text for text in asked if re.search(rf"\b{word}", text) or (word > "z" and word in text)], word


# --- the data --------------------------------------------------------------------------------------------------------


def test_the_generators_make_the_files_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_datasets, "FOLDER", tmp_path)
    make_datasets.main()
    made = sorted(tmp_path.glob("*.jsonl"))
    assert [path.name for path in made] == [path.name for path in sorted((ROOT / "datasets").glob("*.jsonl"))]
    for path in made:
        assert path.read_bytes() == (ROOT / "datasets" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", SIZES)
def test_references_are_right(name: str) -> None:
    """Every equation holds, and the marker holds the result of the last one."""
    found = rows(name)
    assert len(found) == SIZES[name]
    for row in found:
        answer = row["messages"][1]["content"]
        equations = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", answer)
        assert equations, answer
        for a, sign, b, c in equations:
            a, b, c = int(a), int(b), int(c)
            assert {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": a == b * c}[sign], answer
        assert markers.find(answer) == [equations[-1][3]]
        assert answer.endswith(">>")


@pytest.mark.parametrize(("name", "module"), [("math-exam", problems), ("math-exam-zh", problems_zh)])
def test_an_exam_asks_every_type_as_often(name: str, module: Any) -> None:
    counts = Counter(row["type"] for row in rows(name))
    assert set(counts.values()) == {20}
    assert len(counts) == len(module.KNOWN + module.NEW)
    assert counts.keys() & NEW


@pytest.mark.parametrize("exam", ["math-exam", "math-exam-zh"])
@pytest.mark.parametrize("train", ["math-sft", "math-sft-100", "math-sft-zh"])
def test_no_question_of_an_exam_is_near_to_a_training_row(exam: str, train: str) -> None:
    asked = questions(train)
    assert len(set(questions(exam))) == SIZES[exam]
    for question in questions(exam):
        assert question not in asked
        near = process.extractOne(question, asked, scorer=fuzz.ratio, score_cutoff=90)
        assert near is None, (question, near)


def test_problems_are_said_in_many_ways() -> None:
    """Those of one phrasing differ in names, things and numbers only."""
    drawn = make_datasets.mathematics(problems, exam=200, train=1000, small=100, seed=1)
    assert len({problem.phrasing for problem in drawn["exam"]}) >= 100
    for kind in {problem.type for problem in drawn["sft"]}:
        assert len({problem.phrasing for problem in drawn["sft"] if problem.type == kind}) >= 15, kind


def test_style_and_preferences() -> None:
    style, prefs = rows("style-sft"), rows("prefs")
    assert len(style) == len(prefs) == 300
    assert not [row for row in style if markers.find(row["messages"][1]["content"])]
    assert len({row["messages"][0]["content"] for row in style}) == 300
    exam = set(questions("math-exam"))
    for row in prefs:
        assert set(row) == {"prompt", "chosen", "rejected"}
        assert row["prompt"][0]["content"] not in exam
        assert markers.find(row["chosen"][0]["content"])
        assert row["chosen"] != row["rejected"]


def test_preferences_are_refused_by_sft(tmp_path: Path) -> None:
    done = swiftkit("sft", "--model_type", "tiny-math", "--dataset", "prefs", "--dry_run")
    assert done.returncode == 2
    assert "prefs" in done.stderr
    assert "preference" in done.stderr


# --- what they know --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_the_base_knows_arithmetic_and_not_the_format(name: str, tmp_path: Path) -> None:
    told = {}
    for scorer in ("ans", "ans_strict"):
        done = swiftkit("exam", "--model_type", name, "--scorer", scorer, "--max_new_tokens", "128", "--json")
        assert done.returncode == 0, done.stderr
        told[scorer] = json.loads(done.stdout)
    assert 20 <= told["ans"]["mark"] <= 45
    assert told["ans_strict"]["mark"] < 5
    assert told["ans"]["marked"] == 0
    assert told["ans"]["stated"] == told["ans"]["half"] == told["ans_strict"]["stated"]
    by_type = told["ans"]["types"]
    assert {part["count"] for part in by_type.values()} == {20}
    assert sum(part["mark"] for part in by_type.values()) / 10 == pytest.approx(told["ans"]["mark"], abs=0.05)
    assert all(by_type[kind]["mark"] <= 15 for kind in NEW & by_type.keys())


def test_settings_of_the_registry_are_used_and_told() -> None:
    done = swiftkit("sft", "--model_type", "tiny-math", "--dry_run", "--json")
    own = models.entries()["tiny-math"][1].defaults
    assert {"learning_rate", "num_train_epochs", "batch_size"} <= own.keys()
    config = json.loads(done.stdout)["config"]
    assert {key: config[key] for key in own} == own
    said = next(line for line in done.stderr.splitlines() if "settings of tiny-math from the registry" in line)
    assert f"--learning_rate {own['learning_rate']}" in said
    typed = swiftkit("sft", "--model_type", "tiny-math", "--dry_run", "--json", "--learning_rate", "1e-5")
    assert json.loads(typed.stdout)["config"]["learning_rate"] == 1e-5
    assert "--learning_rate" not in next(line for line in typed.stderr.splitlines() if "from the registry" in line)


def test_full_fine_tuning_is_examined_like_any_other(tmp_path: Path) -> None:
    words = ["--model_type", "tiny-math", "--sft_type", "full", "--lora_rank", "4", "--learning_rate", "5e-4"]
    done = swiftkit("sft", *words, "--max_steps", "12", "--eval_steps", "6", "--json")
    assert done.returncode == 0, done.stderr
    assert "full fine-tuning: all 3," in done.stderr
    assert "this is not used: --lora_rank" in done.stderr
    told = json.loads(done.stdout)
    (run,) = runs.listed(tmp_path / "output")
    family, _ = models.entries()["tiny-math"]
    base = weights.inspect(ROOT / "models" / "tiny-math", family, trust_remote_code=False)
    assert told["trainable"] == base.parameters
    asked = ["--dataset", "math-exam#10", "--max_new_tokens", "64", "--json"]
    best = json.loads(swiftkit("exam", "--ckpt", "best", "--with_base", *asked).stdout)
    assert best["kind"] == "full"
    assert Path(best["folder"]).parent.parent == run.path
    assert best["base"]["checkpoint"] == "base"
    folder = json.loads(swiftkit("exam", "--ckpt", f"{run.path}/checkpoint-12", *asked).stdout)
    assert (folder["kind"], folder["step"]) == ("full", 12)
    shown = swiftkit("runs", "show", "v0").stdout
    assert "all weights" in shown


def test_a_model_that_was_trained_in_full_is_exported(tmp_path: Path) -> None:
    """Also when its base is gone; there is nothing then to compare with, and no licence to copy."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(shutil.copytree(ROOT / "models" / "tiny-math", tmp_path / "base"))
    (folder / "LICENSE").write_text("do what you like")
    words = ["--model_id_or_path", "base", "--sft_type", "full", "--learning_rate", "5e-4", "--dtype", "bf16"]
    done = swiftkit("sft", *words, "--max_steps", "4", "--eval_steps", "4", "--dataset", "math-sft#80")
    assert done.returncode == 0, done.stderr
    over = swiftkit("export", "--export_dir", "base", "--overwrite")
    assert over.returncode == 2
    assert "is or holds the base model" in over.stderr
    asked = ["--dataset", "math-exam#10", "--max_new_tokens", "64", "--json", "--with_base"]
    best = json.loads(swiftkit("exam", "--ckpt", "best", *asked).stdout)
    assert (best["kind"], "base" in best) == ("full", True)
    for name in ("my_model", "later"):
        exported = swiftkit("export", "--export_dir", name, "--json")
        assert exported.returncode == 0, exported.stderr
        assert json.loads(exported.stdout) == {"merged": str(Path(name)), "made": True, "dtype": "bf16"}
        if name == "my_model":
            shipped = json.loads(swiftkit("exam", "--ckpt", name, *asked).stdout)
            folder.rename(tmp_path / "elsewhere")
    assert "base" not in json.loads(swiftkit("exam", "--ckpt", "best", *asked).stdout)
    assert (shipped["kind"], shipped["mark"], shipped["new_answers"]) == ("merged", best["mark"], 10)
    assert "base" in shipped
    one, two = (exams.Folder(Path(done["folder"])).answered() for done in (best, shipped))
    assert one == two
    assert (tmp_path / "my_model" / "LICENSE").is_file()
    assert not (tmp_path / "later" / "LICENSE").exists()
    assert (tmp_path / "my_model" / "model.safetensors").read_bytes() == (
        tmp_path / "later" / "model.safetensors"
    ).read_bytes()
    assert json.loads((tmp_path / "my_model" / "config.json").read_text()).get("use_cache", True)
    model = AutoModelForCausalLM.from_pretrained("my_model")
    assert str(model.dtype) == "torch.bfloat16"
    tokenizer = AutoTokenizer.from_pretrained("my_model")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False).startswith("<|im_start|>")
    again = swiftkit("export", "--merge_lora", "--export_dir", "later")
    assert again.returncode == 0
    assert "already done" in again.stderr


def test_run_yaml_repeats_a_full_run(tmp_path: Path) -> None:
    words = ["--model_type", "tiny-math", "--sft_type", "full", "--dataset", "math-sft#80", "--max_steps", "1"]
    assert swiftkit("sft", *words).returncode == 0
    (run,) = runs.listed(tmp_path / "output")
    again = swiftkit("sft", "--config", str(run.config), "--dry_run", "--json")
    assert again.returncode == 0, again.stderr
    assert "not used" not in again.stderr
    assert json.loads(again.stdout)["config"]["sft_type"] == "full"


def test_a_setting_of_the_registry_is_not_undone_by_null(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model_type: tiny-math\nlearning_rate: null\n")
    done = swiftkit("sft", "--config", "my.yaml", "--dry_run", "--json")
    assert json.loads(done.stdout)["config"]["learning_rate"] == 3e-3


def test_an_output_head_that_is_stored_twice_counts_once(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(ROOT / "models" / "tiny-math", tmp_path / "base"))
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    words = ["--model_id_or_path", "base", "--sft_type", "full", "--dataset", "math-sft#80", "--max_steps", "1"]
    done = swiftkit("sft", *words)
    assert done.returncode == 0, done.stderr
    assert "not the" not in done.stderr, "ms-swift trains as many as announced"
    assert "all 3,675,648 parameters" in done.stderr


def test_types_of_questions_survive_in_validation_rows(tmp_path: Path) -> None:
    made = [{**row, "type": index % 2} for index, row in enumerate(chat_rows(60))]
    write_rows(tmp_path / "rows.jsonl", made)
    assert swiftkit("sft", "--model_type", "tiny-math", "--dataset", "rows.jsonl", "--max_steps", "1").returncode == 0
    told = json.loads(swiftkit("exam", "--ckpt", "best", "--max_new_tokens", "4", "--json").stdout)
    assert told["dev"]
    assert set(told["types"]) == {"0", "1"}


def test_without_a_learning_rate_full_fine_tuning_takes_a_small_one() -> None:
    """The registry's suits an adapter."""
    done = swiftkit("sft", "--model_type", "tiny-math", "--sft_type", "full", "--dry_run", "--json")
    assert json.loads(done.stdout)["config"]["learning_rate"] == 1e-5
