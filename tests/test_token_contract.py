"""The tokens that training sees: our renderer against the published prompts and against ms-swift's own encoder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import FAMILIES, ROOT, shared, swiftkit

from swiftkit import chat, contract, models, tokenization
from swiftkit.contract import CONVERSATIONS, turns


@pytest.mark.parametrize("family", FAMILIES)
def test_training_export_and_ms_swift_see_the_same_tokens(family: str, family_folder: Any) -> None:
    done = swiftkit("models", "check", str(family_folder(family)), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["family"], told["kept"], told["stop"]) == (family, True, None)
    assert [row["conversation"] for row in told["conversations"]] == list(CONVERSATIONS)
    for row in told["conversations"]:
        assert row["ms_swift"] == row["export"] == "same", row
        assert 0 < row["learned"] < row["tokens"]


def test_a_contract_that_is_broken_is_told(family_folder: Any, further_family: None) -> None:
    """ChatML on a tokenizer that has no ChatML tokens: the stop token is learned in pieces."""
    words = ["models", "check", str(family_folder("tinyllama"))]
    assert swiftkit(*words).returncode == 0
    folder = Path(shutil.copytree(family_folder("tinyllama"), "mine"))
    shutil.copy(ROOT / "templates" / "chatml.jinja", folder / "chat_template.jinja")
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
    assert "system" not in blank


GOLDEN = {
    **{name: name for name in ("qwen2_5", "qwen3", "phi3", "phi4", "llama3", "zephyr")},
    "qwen3_instruct_2507": "chatml",
}


@pytest.mark.parametrize("family", GOLDEN)
def test_published_prompts_are_matched(family: str) -> None:
    golden = json.loads(shared("data/golden_prompts.json").read_text(encoding="utf-8"))
    template = chat.load(GOLDEN[family])
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
