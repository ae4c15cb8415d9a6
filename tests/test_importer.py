"""Adopting a model: a family from a folder's own chat template, held to the same contract as those of the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CORPUS, build, swiftkit, tokenizer

from swiftkit import chat, model_folder
from swiftkit.contract import CONVERSATIONS, turns

# What published templates do: variables that transformers sets or leaves out, a date, macros, loop controls, blanks.
PUBLISHED = """\
{{- bos_token }}{% macro said(m) %}<|im_start|>{{ m.role }}
{{ m['content'] }}<|im_end|>
{% endmacro %}
{%- if tools is not none and tools %}{{ raise_exception('no tools') }}{% endif %}
{%- if not date is defined %}{% set date = strftime_now('%d %b %Y') %}{% endif %}
{%- set ns = namespace(first=true) %}
{%- for m in messages %}
    {%- if loop.index0 > 40 %}{% break %}{% endif %}
    {%- if ns.first %}<|im_start|>date
{{ date | tojson }}<|im_end|>
{% set ns.first = false %}{% endif %}
    {{- said(m) }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>' }}{% endif %}
{%- endif %}
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A Qwen2 folder whose chat template is that of no family."""
    folder = build(tmp_path / "Foreign-0.5B", "qwen2_5")
    (folder / "chat_template.jinja").write_text(PUBLISHED, encoding="utf-8")
    return folder


def adopt(folder: Path, *words: str, **env: str) -> dict[str, Any]:
    done = swiftkit("models", "adopt", str(folder), *words, "--json", **env)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_an_adopted_model_is_trained_examined_and_exported(foreign: Path) -> None:
    refused = swiftkit("sft", "--model_id_or_path", str(foreign), "--dry_run")
    assert refused.returncode == 2
    assert "swiftkit models adopt" in refused.stderr
    told = adopt(foreign, "mine")
    assert told["family"] == "foreign-0_5b"
    declared = yaml.safe_load(Path(told["files"][0]).read_text(encoding="utf-8"))
    assert declared["swift"]["model_type"] == "qwen2"
    assert declared["special_tokens"] == ["<|im_start|>", "<|im_end|>"]
    assert set(declared["lora_targets"]) == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }
    mine = ["--registry", "mine"]
    checked = swiftkit("models", "check", str(foreign), *mine, "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["family"] == "foreign-0_5b"
    words = ["--model_id_or_path", str(foreign), "--dataset", "math-sft#40", "--max_steps", "2"]
    assert swiftkit("sft", *mine, *words).returncode == 0
    examined = swiftkit("exam", "--dataset", "math-exam#8", "--max_new_tokens", "4")
    assert examined.returncode == 0, examined.stderr
    assert swiftkit("export", "--merge_lora").returncode == 0
    (merged,) = Path("output").glob("*/*/merged-*")
    again = swiftkit("models", "check", str(merged), *mine)
    assert again.returncode == 0, again.stdout


def test_an_adopted_template_renders_as_the_folders_own_and_learns_every_answer(foreign: Path) -> None:
    told = adopt(foreign, SWIFTKIT_HOME=str(foreign.parent / "home"))
    mine = chat.compile(Path(told["files"][1]).read_text(encoding="utf-8"), "mine")
    theirs = model_folder.template(foreign)
    assert theirs
    for name, messages in CONVERSATIONS.items():
        if name == "empty system":
            continue
        assert mine.render(messages) == theirs.render(messages), name
        for end in range(1, len(messages)):
            if messages[end]["role"] == "assistant":
                asked = messages[:end]
                expected = theirs.render(asked, add_generation_prompt=True)
                assert mine.render(asked, add_generation_prompt=True) == expected
    assert "26 Jul 2024" in mine.render(turns("a", "b"))
    learned = [text for text, learned in mine.parts(turns("a", "b", "c", "d")) if learned]
    assert learned == ["b<|im_end|>\n", "d<|im_end|>\n"]
    # A blank system message counts as none, everywhere.
    assert mine.render(turns("a", "b", system=" ")) == mine.render(turns("a", "b"))


def test_an_earlier_answer_that_is_shown_otherwise_is_not_learned(foreign: Path) -> None:
    thinking = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (foreign / "chat_template.jinja").write_text(thinking, encoding="utf-8")
    told = adopt(foreign, "mine")
    mine = chat.compile(Path(told["files"][1]).read_text(encoding="utf-8"), "mine")
    learned = [text for text, learned in mine.parts(turns("a", "b", "c", "d")) if learned]
    assert learned == ["<think></think>d<|im_end|>"]


def test_an_architecture_without_a_family_is_adopted(tmp_path: Path) -> None:
    """HunYuan: ms-swift knows it, transformers has it built in, the registry has no family for it."""
    import torch
    from transformers import HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path / "hunyuan"
    made = tokenizer("bytes", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], CORPUS, 600)
    config = HunYuanDenseV1Config(
        vocab_size=made.get_vocab_size(),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=2,
    )
    HunYuanDenseV1ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    wrapped.chat_template = PUBLISHED
    wrapped.save_pretrained(folder)
    known = swiftkit("sft", "--model_type", "hunyuan-0_5b-instruct", "--dry_run")
    assert known.returncode == 2
    assert "swiftkit models fetch hunyuan-0_5b-instruct ./model" in known.stderr
    assert "swiftkit models adopt ./model" in known.stderr
    home = {"SWIFTKIT_HOME": str(tmp_path / "home")}
    adopt(folder, **home)
    checked = swiftkit("models", "check", str(folder), **home)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    words = ["--model_id_or_path", str(folder), "--dataset", "math-sft#40", "--max_steps", "2"]
    done = swiftkit("sft", *words, **home)
    assert done.returncode == 0, done.stderr
    assert "HunYuanDenseV1" in (tmp_path / "home" / "registry" / "hunyuan.yaml").read_text()


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "has no chat template to adopt: is it a base model?"),
        ("{% for %}", "is no valid Jinja"),
        ("{{ 'always the same' }}", "does not write the answer"),
        (
            "{% for m in messages %}[{{ m.content }}{% endfor %}{{ '[' if add_generation_prompt }}",
            "nothing ends an answer",
        ),
        ("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}{{ messages | length }}", "the answer"),
    ],
)
def test_a_template_that_cannot_be_adopted_is_refused(template: str | None, said: str, foreign: Path) -> None:
    (foreign / "chat_template.jinja").unlink()
    if template:
        (foreign / "chat_template.jinja").write_text(template, encoding="utf-8")
    done = swiftkit("models", "adopt", str(foreign), "mine")
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert not Path("mine").exists()


def test_what_needs_no_adoption_is_refused(foreign: Path, family_folder: Any) -> None:
    done = swiftkit("models", "adopt", str(family_folder("qwen2_5")), "mine")
    assert done.returncode == 2
    assert "has the chat template of a family already: qwen2_5" in done.stderr
    adopt(foreign, "mine")
    again = swiftkit("models", "adopt", str(foreign), "mine")
    assert again.returncode == 2
    assert "foreign-0_5b.yaml is there already" in again.stderr


def test_what_cannot_be_adopted_is_refused(foreign: Path) -> None:
    config = json.loads((foreign / "config.json").read_text())
    for architecture, said in (
        ("InternLM2ForCausalLM", "transformers lacks"),
        ("OPTForCausalLM", "knows no text model"),
    ):
        (foreign / "config.json").write_text(json.dumps(config | {"architectures": [architecture]}))
        done = swiftkit("models", "adopt", str(foreign), "mine")
        assert done.returncode == 2
        assert said in done.stderr
    for words in ([], [str(foreign)], [str(foreign), "a", "b"]):
        done = swiftkit("models", "adopt", *words)
        assert done.returncode == 2
        assert "takes a model folder, and the folder that its two files are put into" in done.stderr
