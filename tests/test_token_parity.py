"""The tokens that training sees: our renderer against the published prompts and against ms-swift's own encoder."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import FAMILIES, ROOT, shared, swiftkit

from swiftkit import chat, contract, models, tokenization
from swiftkit.contract import CONVERSATIONS, turns


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, family_folder: Any) -> dict[str, Any]:
    """What `models check --all` says where a model of every family is on the machine."""
    home = tmp_path_factory.mktemp("models")
    for name, family in models.families().items():
        first = next(model for model, entry in family.models.items() if not entry.embedded)
        (home / first).symlink_to(family_folder(name))
    done = swiftkit("models", "check", "--all", "--json", SWIFTKIT_MODELS=str(home))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["missing"] == []
    return {one["family"]: one for one in told["models"]}


def test_every_family_file_has_its_proof() -> None:
    """A family in registry/ without a tokenizer in conftest.FAMILIES would be checked by nothing."""
    assert set(FAMILIES) == set(models.families())


@pytest.mark.parametrize("family", FAMILIES)
def test_training_export_and_ms_swift_see_the_same_tokens(family: str, checked: dict[str, Any]) -> None:
    told, differs = checked[family], models.families()[family].differs
    assert (told["kept"], told["stop"], told["failed"]) == (True, None, None)
    assert [row["conversation"] for row in told["conversations"]] == list(CONVERSATIONS)
    for row in told["conversations"]:
        assert row["export"] == "same", row
        assert 0 < row["learned"] < row["tokens"]
    parted = [row["conversation"] for row in told["conversations"] if row["ms_swift"] != "same"]
    if parted:
        assert "ms-swift" in differs, parted
    else:
        assert not differs or differs.startswith("The published template")


def test_checking_all_that_is_here_goes_on_where_a_model_is_not_whole(family_folder: Any, tmp_path: Path) -> None:
    half = Path(shutil.copytree(family_folder("phi4"), tmp_path / "models" / "phi4-14b-instruct"))
    (half / "tokenizer.json").unlink()
    done = swiftkit("models", "check", "--all", SWIFTKIT_MODELS=str(tmp_path / "models"))
    assert done.returncode == 1
    assert re.search(r"^qwen2_5 +tiny-math +proven +the same tokens$", done.stdout, re.MULTILINE)
    assert re.search(r"^phi4 +proven .* cannot read the tokenizer", done.stdout, re.MULTILINE)
    assert "is on this machine: deepseek_r1_distill_llama" in done.stderr


def test_a_contract_that_is_broken_is_told(family_folder: Any, further_family: None) -> None:
    """Phi-4's template on a tokenizer that has none of its tokens: the stop token is learned in pieces."""
    folder = Path(shutil.copytree(family_folder("tinyllama"), "mine"))
    shutil.copy(ROOT / "templates" / "phi4.jinja", folder / "chat_template.jinja")
    done = swiftkit("models", "check", "mine")
    assert done.returncode == 1
    assert "no token for `<|im_end|>`" in done.stdout
    assert "training and serving would part" in done.stdout


def test_where_tokens_part_is_said() -> None:
    tokenizer = tokenization.load(ROOT / "models" / "tiny-math", as_it_stands=True)
    one, two = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("1 + 2 = 3", "1 + 2 = 4"))
    assert contract._parts(one, one, tokenizer) == ""
    assert contract._parts(one, two, tokenizer) == f"tokens part at {len(one) - 1}: '3' here, '4' there"
    assert "'' there" in contract._parts(one, one[:-1], tokenizer)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check"], "takes one name or model folder"),
        (["check", "nope"], "no model type is named"),
        (["check", "qwen2_5-7b-instruct"], "is not on this machine"),
        (["check", "."], "no config.json"),
        (["check", "./nope"], "the model folder ./nope does not exist"),
        (["chek", "tiny-math"], "did you mean `check`"),
        (["adopt", "nope", "mine"], "the model folder nope does not exist"),
    ],
)
def test_checking_what_is_not_here_is_refused(words: list[str], said: str) -> None:
    done = swiftkit("models", *words)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_blank_system_message_is_no_system_block(family: str) -> None:
    template = chat.load(models.families()[family].template)
    blank = template.render(turns("a", "b", system=" \n"))
    assert blank == template.render(turns("a", "b", system=""))
    # Where there is a system block without any system message (Llama 3.1's has a date), it is the same block.
    assert "system" not in blank or blank == template.render(turns("a", "b"))


# What the published renderings are called, and the family whose they are.
GOLDEN = {
    **{name: name for name in ("qwen2_5", "qwen3", "phi3", "phi4", "llama3")},
    "zephyr": "tinyllama",
    "qwen3_instruct_2507": "qwen3_instruct",
    "qwen3_thinking_2507": "qwen3_thinking",
}


@pytest.mark.parametrize("family", GOLDEN)
def test_published_prompts_are_matched(family: str) -> None:
    golden = json.loads(shared("data/golden_prompts.json").read_text(encoding="utf-8"))
    assert set(golden["rendered"]) == set(GOLDEN)
    template = chat.load(models.families()[GOLDEN[family]].template)
    for name, conversation in golden["conversations"].items():
        text = template.render(conversation["messages"], add_generation_prompt=conversation["add_generation_prompt"])
        assert text == golden["rendered"][family][name], name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_prompt_is_what_stands_before_the_answer(family: str, name: str) -> None:
    """What a server sends to the model is the beginning of what training has seen, up to the learned part."""
    template = chat.load(models.families()[family].template)
    messages = CONVERSATIONS[name]
    parts = template.parts(messages)
    last = max(i for i, (_, learned) in enumerate(parts) if learned)
    prompt = template.render(messages[:-1], add_generation_prompt=True)
    assert prompt == "".join(text for text, _ in parts[:last])


def test_learned_is_the_answer_its_stop_token_and_the_suffix(family_folder: Any) -> None:
    tokenizer = tokenization.load(family_folder("qwen2_5"))
    encoded = next(chat.encode([turns("q", "a b")], chat.load("qwen2_5"), tokenizer))
    learned = [token for token in encoded.labels if token != chat.IGNORED]
    assert tokenizer.decode(learned, skip_special_tokens=False) == "a b<|im_end|>\n"
