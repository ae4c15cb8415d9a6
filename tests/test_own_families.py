"""Families that users add: a YAML and a Jinja file; and those that are wrong, which affect nobody else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import ROOT, stdout_json, swiftkit


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own registry and templates."""
    for kind in ("registry", "templates"):
        (tmp_path / "home" / kind).mkdir(parents=True)
    monkeypatch.setenv("SWIFTKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


FAMILY = """\
template: mine
level: verified
special_tokens: ['<|im_start|>', '<|im_end|>']
architectures: [Qwen2ForCausalLM]
swift: {model_type: qwen2, template: chatml}
lora_targets: [q_proj, v_proj]
models:
  mine-1b: {huggingface: my/Model-1B, parameters: 1.0e9}
"""
TEMPLATE = """\
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + ' says:\\n' -}}
    {%- if message.role == 'assistant' -%}
        {%- generation -%}{{- message.content + '<|im_end|>' -}}{%- endgeneration -%}
    {%- else -%}
        {{- message.content + '<|im_end|>' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant says:\\n' -}}{%- endif -%}
"""


def write(home: Path, family: str = FAMILY, template: str | None = TEMPLATE) -> None:
    (home / "registry" / "mine.yaml").write_text(family)
    if template is not None:
        (home / "templates" / "mine.jinja").write_text(template)


def test_one_yaml_and_one_jinja_file_add_a_model_family(home: Path, family_folder: Callable[[str], Path]) -> None:
    """It is listed, shown, recognized, checked for token parity, trained and exported: by real commands."""
    write(home)
    assert "mine-1b" in swiftkit("models").stdout
    shown = stdout_json(swiftkit("models", "show", "My/Model-1b", "--json"))
    # `verified` is reserved for what swiftkit's own tests verify.
    assert (shown["template"], shown["level"]) == ("mine", "consistent")
    folder = Path(shutil.copytree(family_folder("qwen2_5"), "folder"))
    shutil.copy(home / "templates" / "mine.jinja", folder / "chat_template.jinja")
    checked = stdout_json(swiftkit("models", "check", "folder", "--json"))
    assert (checked["family"], checked["consistent"]) == ("mine", True)
    done = swiftkit("sft", "--model_id_or_path", "folder", "--dataset", "math-sft#40", "--max_steps", "2")
    assert done.returncode == 0, done.stderr
    assert swiftkit("export", "--merge_lora").returncode == 0
    (merged,) = Path("output").glob("*/*/merged-*")
    assert "says:" in (merged / "chat_template.jinja").read_text()


WITHOUT_TAGS = TEMPLATE.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
ANSWER = "message.content + '<|im_end|>' -}}{%- endg"
QUESTION = "        {{- message.content + '<|im_end|>' -}}\n"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for %}", "is not valid Jinja"),
        ("{# nothing #}", "renders nothing"),
        (WITHOUT_TAGS, "the answer into the prompt"),
        (TEMPLATE.replace(ANSWER, "'<|im_end|>' -}}{%- endg"), "does not write the answer"),
        (TEMPLATE.replace(QUESTION, ""), "does not write the question"),
        (TEMPLATE.replace(ANSWER, "message.content -}}{%- endg"), "would never stop"),
        (TEMPLATE.replace("assistant says:", "assistant:"), "training and serving would use different tokens"),
        (TEMPLATE.replace(QUESTION, "        {{- message.text -}}\n"), "does not write the question"),
        (
            TEMPLATE.replace("message.role + ' says", "message.role + 1 + ' says"),
            "cannot render this conversation: TypeError",
        ),
        ("{{ bos_token }}" + TEMPLATE, "uses bos_token"),
        (None, "there is no template `mine`"),
    ],
)
def test_template_that_breaks_a_rule_is_refused(
    template: str | None, message: str, home: Path, family_folder: Callable[[str], Path]
) -> None:
    assert template != TEMPLATE
    write(home, template=template)
    done = swiftkit(
        *("sft", "--model_type", "mine-1b", "--model_id_or_path", str(family_folder("qwen2_5"))),
        *("--dataset", "math-sft#40", "--dry_run"),
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "mine" in done.stderr
    assert "Traceback" not in done.stderr
    other = swiftkit("sft", "--model_type", "tiny-math", "--dataset", "math-sft#40", "--dry_run")
    assert other.returncode == 0, other.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FAMILY.replace("template: mine", "templat: mine"), "templat: unknown field"),
        (FAMILY.replace("huggingface:", "hf:"), "models.mine-1b.hf: unknown field"),
        (FAMILY.replace("lora_targets: [q_proj, v_proj]\n", ""), "lora_targets: is missing"),
        (FAMILY.replace("template: mine", "template: qwen4"), "there is no template `qwen4`"),
        (FAMILY.replace("verified", "proven"), "level: must be 'verified' or 'consistent'"),
        (FAMILY + "  qwen3-4b: {parameters: 1.0e9}\n", "model `qwen3-4b` is declared twice"),
        (FAMILY + "  mine-1b: {parameters: 2.0e9}\n", "duplicate key `mine-1b`"),
        (FAMILY.replace("1.0e9}", "1.0e9, config: {hidden_size: 8}}"), "lacks num_hidden_layers"),
        (FAMILY + "1: 2\n", "it has no fields"),
        ("differs: It is mine.\n" + FAMILY, "differs: unknown field"),
        (FAMILY.replace("1.0e9}", "1.0e9, embedded: mine}"), "models.mine-1b.embedded: unknown field"),
    ],
)
def test_invalid_registry_file_is_reported_to_users_of_its_models(text: str, message: str, home: Path) -> None:
    assert text != FAMILY
    write(home, text)
    model = "qwen3-4b" if "qwen3-4b" in message else "mine-1b"
    done = swiftkit("sft", "--model_type", model, "--dry_run")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert str(home / "registry" / "mine.yaml") in done.stderr
    listed = swiftkit("models")
    assert listed.returncode == 0
    assert "qwen2_5-7b-instruct" in listed.stdout
    assert message in listed.stderr


def test_former_field_names_are_refused_with_the_present_ones(home: Path) -> None:
    write(home, "differs: It is mine.\n" + FAMILY.replace("1.0e9}", "1.0e9, embedded: mine}"))
    done = swiftkit("models", "show", "mine-1b")
    assert done.returncode == 2
    assert "hint: `differs` is now `template_notes`; `embedded` is now `bundled`" in done.stderr
    write(home, "template_notes: It is mine.\n" + FAMILY.replace("1.0e9}", "1.0e9, bundled: mine}"))
    assert "hint" not in swiftkit("models").stderr


@pytest.mark.parametrize("text", ["{{", "[]", "\xff"])
def test_unreadable_registry_file_is_reported(text: str, home: Path) -> None:
    (home / "registry" / "mine.yaml").write_bytes(text.encode("latin-1"))
    for words in (["models"], ["sft", "--model_type", "mine-1b", "--dry_run"]):
        stderr = swiftkit(*words).stderr
        assert "skipped: " in stderr
        assert "mine.yaml" in stderr
        assert "Traceback" not in stderr


def test_invalid_file_takes_no_model_from_a_valid_one(home: Path) -> None:
    write(home, FAMILY.replace("template: mine", "templat: mine") + "  tiny-math: {}\n", template=None)
    done = swiftkit("sft", "--model_type", "tiny-math", "--dataset", "math-sft#40", "--dry_run")
    assert done.returncode == 0, done.stderr


def test_invalid_template_of_another_family_blocks_no_folder(home: Path, family_folder: Callable[[str], Path]) -> None:
    write(home, template="{% for %}")
    done = swiftkit("sft", "--model_id_or_path", str(family_folder("qwen2_5")), "--dataset", "math-sft#40", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "skipped: chat template `mine` is not valid Jinja" in done.stderr


def test_editor_locks_are_ignored_and_a_folder_named_twice_is_searched_once(home: Path) -> None:
    (home / "registry" / ".#mine.yaml").symlink_to("me@nowhere")
    write(home)
    done = swiftkit("models", "show", "mine-1b", "--registry", str(home))
    assert done.returncode == 0, done.stderr


def test_own_family_takes_no_model_of_the_catalog(home: Path) -> None:
    write(home, FAMILY.replace("chatml", "qwen"))
    shown = json.loads(swiftkit("models", "show", "qwen1half-1_8b-chat", "--json").stdout)
    assert shown["family"] == "qwen2"


def test_family_that_is_declared_twice_is_refused(home: Path) -> None:
    shutil.copy(ROOT / "registry" / "qwen3.yaml", home / "registry")
    done = swiftkit("models", "show", "qwen3-4b")
    assert done.returncode == 2
    assert "registry `qwen3` is declared twice" in done.stderr
