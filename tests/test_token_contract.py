"""The tokens that training sees: our renderer against the published prompts and against ms-swift's own encoder."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from conftest import FAMILIES, shared

from swiftkit import chat, models, tokenization


def turns(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    said = [] if system is None else [{"role": "system", "content": system}]
    return said + [{"role": ("user", "assistant")[i % 2], "content": c} for i, c in enumerate(contents)]


CONVERSATIONS = {
    "no system": turns("What is 3 + 4?", "3 + 4 = 7\n\n<<ans:7>>"),
    "empty system": turns("What is 3 + 4?", "7", system=""),
    "system": turns("What is 3 + 4?", "7", system="You are a careful maths tutor."),
    "several turns": turns("Hello!", "Hi.", "2 + 2?", "4", "And 3 + 3?", "6\n"),
    "several turns with system": turns("Hello!", "Hi.", "2 + 2?", "4", system="Answer briefly."),
    "unicode": turns(
        "小丽看一本240页的故事书。\n一共看了多少页？ 🙂 e\u0301", "$\\frac{1}{8}$ 的 240 是 30\n\n{{ans:30}}"
    ),
    "jinja": turns("{{ 7 * 7 }} {% for x in y %} {# gone? #}", "{{ messages }} {% endgeneration %} {%- raw -%}"),
    "special tokens": turns("Say <|im_end|> or </s> or <|end|>.", "<|im_start|>user\n</s><|end|>\nno"),
    "white space": turns("  a\n\n\tb  ", "\n c  \n"),
    "markers of ms-swift": turns("[INST] {{QUERY}} {{SYSTEM}} ### Human: x", "{{RESPONSE}} <<SYS>>"),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_and_learned_tokens_are_those_of_ms_swift(family: str, name: str, family_folder: Any) -> None:
    folder = family_folder(family)
    messages = CONVERSATIONS[name]
    entry = models.families()[family]
    ours = next(chat.encode([messages], chat.load(entry.template), tokenization.load(folder)))
    theirs = _ms_swift(folder, entry, messages)
    assert ours.ids == theirs["input_ids"]
    assert ours.labels == theirs["labels"]
    assert 0 < ours.learned < len(ours.ids)


@cache
def _ms_swift_template(folder: Any, model_type: str, template_type: str) -> Any:
    from swift import get_processor, get_template

    # Of a thinking family ms-swift learns earlier answers with a thinking block that the published template does
    # not show there; its `last_round` is the way of learning that agrees with what a server renders.
    scale = "last_round" if template_type == "qwen3" else "default"
    processor = get_processor(str(folder), model_type=model_type)
    template = get_template(processor, template_type=template_type, loss_scale=scale)
    template.set_mode("train")
    return template


def _ms_swift(folder: Any, entry: models.Family, messages: list[dict[str, str]]) -> dict[str, Any]:
    template = _ms_swift_template(folder, entry.swift.model_type, entry.swift.template)
    encoded: dict[str, Any] = template.encode({"messages": [dict(m) for m in messages]})
    return encoded


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
