"""Importing a model: a family from a folder's own chat template, with the same rules as those of the registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.commands import stdout_json, swiftkit
from support.models import CORPUS, build, train_tokenizer
from swiftkit.chat import template
from swiftkit.exports.token_parity import CONVERSATIONS, turns
from swiftkit.models import folder as model_folder

# What published templates do: variables that transformers sets or leaves out, a date, macros, loop controls, blanks.
PUBLISHED = """\
{{- bos_token }}{% macro turn(m) %}<|im_start|>{{ m.role }}
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
    {{- turn(m) }}
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


def import_family(folder: Path, *words: str, **environment: str) -> dict[str, Any]:
    """What `models import --json` prints: the family's name and its two files."""
    return stdout_json(swiftkit("models", "import", str(folder), *words, "--json", **environment))


def imported_template(result: dict[str, Any]) -> template.Template:
    return template.compile(Path(result["files"][1]).read_text(encoding="utf-8"), "imported")


def texts_with_loss(compiled: template.Template, *contents: str) -> list[str]:
    return [text for text, has_loss in compiled.parts(turns(*contents)) if has_loss]


def test_imported_model_can_be_trained_evaluated_and_exported(foreign: Path) -> None:
    refused = swiftkit("sft", "--model_id_or_path", str(foreign), "--dry_run")
    assert refused.returncode == 2
    assert "swiftkit models import" in refused.stderr
    result = import_family(foreign, "mine")
    assert result["family"] == "foreign-0_5b"
    declared = yaml.safe_load(Path(result["files"][0]).read_text(encoding="utf-8"))
    assert declared["swift"]["model_type"] == "qwen2"
    assert declared["special_tokens"] == ["<|im_start|>", "<|im_end|>"]
    assert set(declared["lora_targets"]) == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }
    registry = ["--registry", "mine"]
    checked = stdout_json(swiftkit("models", "check", str(foreign), *registry, "--json"))
    assert (checked["family"], checked["consistent"]) == ("foreign-0_5b", True)
    words = ["--model_id_or_path", str(foreign), "--dataset", "math-sft#40", "--max_steps", "2"]
    trained = swiftkit("sft", *registry, *words)
    assert trained.returncode == 0, trained.stderr
    evaluated = swiftkit("exam", "--dataset", "math-exam#8", "--max_new_tokens", "4")
    assert evaluated.returncode == 0, evaluated.stderr
    assert swiftkit("export", "--merge_lora").returncode == 0
    (merged,) = Path("output").glob("*/*/merged-*")
    again = swiftkit("models", "check", str(merged), *registry)
    assert again.returncode == 0, again.stdout


def test_adopt_is_an_alias_of_import(foreign: Path) -> None:
    imported = import_family(foreign, "one")
    adopted = stdout_json(swiftkit("models", "adopt", str(foreign), "two", "--json"))
    assert adopted["family"] == imported["family"]
    for one, two in zip(imported["files"], adopted["files"], strict=True):
        assert Path(one).relative_to("one") == Path(two).relative_to("two")
        assert Path(one).read_bytes() == Path(two).read_bytes()


def test_imported_template_renders_like_the_folders_own(foreign: Path) -> None:
    imported = imported_template(import_family(foreign, SWIFTKIT_HOME=str(foreign.parent / "home")))
    own = model_folder.compile_template(foreign)
    assert own
    for name, messages in CONVERSATIONS.items():
        if name == "empty system":
            continue
        assert imported.render(messages) == own.render(messages), name
        for end in range(1, len(messages)):
            if messages[end]["role"] == "assistant":
                prompt = own.render(messages[:end], add_generation_prompt=True)
                assert imported.render(messages[:end], add_generation_prompt=True) == prompt
    assert "26 Jul 2024" in imported.render(turns("a", "b"))
    assert texts_with_loss(imported, "a", "b", "c", "d") == ["b<|im_end|>\n", "d<|im_end|>\n"]
    # A blank system message counts as none, everywhere.
    assert imported.render(turns("a", "b", system=" ")) == imported.render(turns("a", "b"))


def test_earlier_answer_that_is_rendered_differently_has_no_loss(foreign: Path) -> None:
    thinking = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (foreign / "chat_template.jinja").write_text(thinking, encoding="utf-8")
    imported = imported_template(import_family(foreign, "mine"))
    assert texts_with_loss(imported, "a", "b", "c", "d") == ["<think></think>d<|im_end|>"]


def build_hunyuan(folder: Path) -> Path:
    """A two-layer folder of an architecture that transformers has built in and the registry has no family for."""
    import torch
    from transformers import HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM, PreTrainedTokenizerFast

    tokenizer = train_tokenizer("bytes", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], CORPUS, 600)
    config = HunYuanDenseV1Config(
        vocab_size=tokenizer.get_vocab_size(),
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
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    wrapped.chat_template = PUBLISHED
    wrapped.save_pretrained(folder)
    return folder


def test_architecture_without_a_family_can_be_imported_and_trained(tmp_path: Path) -> None:
    folder = build_hunyuan(tmp_path / "hunyuan")
    refused = swiftkit("sft", "--model_type", "hunyuan-0_5b-instruct", "--dry_run")
    assert refused.returncode == 2
    assert "swiftkit models fetch hunyuan-0_5b-instruct ./model" in refused.stderr
    assert "swiftkit models import ./model" in refused.stderr
    home = {"SWIFTKIT_HOME": str(tmp_path / "home")}
    import_family(folder, **home)
    checked = swiftkit("models", "check", str(folder), **home)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    words = ["--model_id_or_path", str(folder), "--dataset", "math-sft#40", "--max_steps", "2"]
    done = swiftkit("sft", *words, **home)
    assert done.returncode == 0, done.stderr
    assert "HunYuanDenseV1" in (tmp_path / "home" / "registry" / "hunyuan.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no chat template to import: is it a base model?"),
        ("{% for %}", "is not valid Jinja"),
        ("{{ 'always the same' }}", "does not write the answer"),
        (
            "{% for m in messages %}[{{ m.content }}{% endfor %}{{ '[' if add_generation_prompt }}",
            "nothing ends an answer",
        ),
        ("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}{{ messages | length }}", "the answer"),
    ],
)
def test_template_that_cannot_be_imported_is_refused(text: str | None, message: str, foreign: Path) -> None:
    (foreign / "chat_template.jinja").unlink()
    if text:
        (foreign / "chat_template.jinja").write_text(text, encoding="utf-8")
    done = swiftkit("models", "import", str(foreign), "mine")
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert not Path("mine").exists()


def test_model_of_a_known_family_is_refused(family_folder: Callable[[str], Path]) -> None:
    done = swiftkit("models", "import", str(family_folder("qwen2_5")), "mine")
    assert done.returncode == 2
    assert "already named qwen2_5" in done.stderr
    renamed = shutil.copytree(family_folder("qwen2_5"), "renamed")
    done = swiftkit("models", "import", str(renamed), "mine")
    assert done.returncode == 2
    assert "renamed has the chat template of a known family: qwen2_5" in done.stderr
    assert not Path("mine").exists()


def test_second_import_into_the_same_folder_is_refused(foreign: Path) -> None:
    import_family(foreign, "mine")
    again = swiftkit("models", "import", str(foreign), "mine")
    assert again.returncode == 2
    assert "foreign-0_5b.yaml exists already" in again.stderr


@pytest.mark.parametrize(
    ("architecture", "message"),
    [("InternLM2ForCausalLM", "transformers lacks"), ("OPTForCausalLM", "knows no text model")],
)
def test_architecture_that_cannot_be_trained_is_refused(architecture: str, message: str, foreign: Path) -> None:
    config = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(json.dumps(config | {"architectures": [architecture]}))
    done = swiftkit("models", "import", str(foreign), "mine")
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("verb", ["import", "adopt"])
@pytest.mark.parametrize("words", [[], ["./model"], ["./model", "a", "b"]])
def test_import_without_its_two_folders_is_refused(verb: str, words: list[str]) -> None:
    done = swiftkit("models", verb, *words)
    assert done.returncode == 2
    assert "`swiftkit models import` takes a model folder, and the folder for the family's two files" in done.stderr
