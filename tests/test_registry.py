"""Every entry of the registry against the real architecture in transformers, with its real sizes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import FAMILIES, ROOT, shared, swiftkit

from swiftkit import chat, lora, models, sources, tokenization, weights
from swiftkit.contract import turns
from swiftkit.errors import SwiftkitError

ENTRIES = [(name, family.name) for name, (family, _) in models.entries().items() if family.name in FAMILIES]


def peft_model(config: dict[str, Any], family: models.Family, rank: int) -> Any:
    """The real architecture with these sizes and PEFT's adapter on it, without memory for any of it."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    name, settings = FAMILIES[family.name]["model"], FAMILIES[family.name].get("config", FAMILIES[family.name]["model"])
    sizes = {**config, "tie_word_embeddings": bool(config["tie_word_embeddings"]), "pad_token_id": 0}
    with torch.device("meta"):
        model = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{settings}Config")(**sizes))
        made = LoraConfig(r=rank, target_modules=family.lora_targets, task_type="CAUSAL_LM")
        return get_peft_model(model, made)


@pytest.mark.parametrize(("name", "family"), ENTRIES)
def test_parameters_and_trainable_parameters_are_those_of_the_architecture(name: str, family: str) -> None:
    found, entry = models.entries()[name]
    model = peft_model(entry.config, found, rank=8)
    expected = sum(p.numel() for p in model.parameters() if p.requires_grad)
    layers = lora.layers_of(entry.config, found.lora_targets)
    assert lora.trainable(lora.chosen(layers, found.lora_targets), 8) == expected
    total = sum(p.numel() for p in model.parameters()) - expected
    assert entry.parameters == pytest.approx(total, rel=0.001)


@pytest.mark.parametrize("family", FAMILIES)
def test_trainable_parameters_of_a_folder_are_those_that_peft_trains(family: str, family_folder: Any) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder, entry = family_folder(family), models.families()[family]
    checked = weights.inspect(folder, entry, trust_remote_code=False)
    ours = lora.trainable(lora.chosen(lora.layers(checked.tensors), entry.lora_targets), 4)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    made = LoraConfig(r=4, target_modules=entry.lora_targets, task_type="CAUSAL_LM")
    peft = get_peft_model(model, made)
    assert ours == sum(p.numel() for p in peft.parameters() if p.requires_grad)


def test_every_family_names_what_exists() -> None:
    import swift.model
    import swift.template

    for family in models.families().values():
        assert chat.load(family.template).name == family.template
        assert family.swift.model_type in swift.model.MODEL_MAPPING
        assert family.swift.template in swift.template.TEMPLATE_MAPPING


def test_every_name_of_ms_swift_2_means_the_same_hub_ids_here() -> None:
    old = json.loads(shared("facts/v2_models.json").read_text(encoding="utf-8"))["models"]
    checked = 0
    for name, (_, entry) in models.entries().items():
        if name in old:
            checked += 1
            assert entry.modelscope == old[name]["ms_id_4_6"] or entry.modelscope.lower() == old[name]["ms_id"].lower()  # type: ignore[union-attr]
            assert entry.huggingface == old[name]["hf_id_4_6"]
    assert checked >= 6


def test_every_dataset_can_be_read() -> None:
    for name, entry in sources.entries().items():
        assert sources.read(sources.find(name), 0).read >= 100
        assert entry.exam is None or entry.exam in sources.entries()


def test_no_question_of_the_exam_stands_in_the_training_set() -> None:
    asked = []
    for name in ("math-sft", "math-exam"):
        rows = sources.read(sources.find(name), 0).rows
        asked.append({row["messages"][0]["content"] for _, row in rows})
    assert len(asked[0]) == 1000
    assert not asked[0] & asked[1]


def test_the_embedded_tokenizer_is_read_unchanged_by_transformers() -> None:
    from transformers import AutoTokenizer

    folder = ROOT / "models" / "tiny-math"
    theirs = AutoTokenizer.from_pretrained(folder)
    ours = tokenization.load(folder, as_it_stands=True)
    text = "<|im_start|>user\nWhat is 12 + 30?  小丽 é\n<|im_end|>"
    assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text, add_special_tokens=False).ids


def test_transformers_renders_the_embedded_models_template_as_we_do() -> None:
    from transformers import AutoTokenizer

    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    theirs = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny-math")
    assert theirs.apply_chat_template(messages, tokenize=False) == chat.load("qwen2_5").render(messages)  # type: ignore[arg-type]


# --- recognising folders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_is_recognised_from_its_files_alone(family: str, family_folder: Any) -> None:
    folder = family_folder(family)
    wanted = models.find(None, str(folder))
    assert (wanted.family.name, wanted.name) == (family, folder.name)


def test_a_chat_template_of_no_family_is_told(family_folder: Any, tmp_path: Path, caplog: Any) -> None:
    """An architecture that one family has, and a format of its own; with several families it would be a question."""
    folder = Path(shutil.copytree(family_folder("ernie4_5"), tmp_path / "distilled"))
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<|User|>{{ m.content }}{% endfor %}")
    with caplog.at_level("WARNING"):
        assert models.find(None, str(folder)).family.name == "ernie4_5"
    assert "is not that of family ernie4_5" in caplog.text


def test_named_chat_templates_are_read(family_folder: Any, tmp_path: Path) -> None:
    """Older folders hold a list of them."""
    folder = Path(shutil.copytree(family_folder("llama3"), tmp_path / "mine"))
    source = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": source}]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": named}))
    assert models.find(None, str(folder)).family.name == "llama3"


@pytest.mark.parametrize(("template", "family"), [("zephyr", "tinyllama"), ("phi4", "further")])
def test_two_families_of_one_architecture_are_told_apart_by_the_chat_template(
    template: str, family: str, family_folder: Any, tmp_path: Path, further_family: None
) -> None:
    folder = Path(shutil.copytree(family_folder("tinyllama"), tmp_path / "mine"))
    shutil.copy(ROOT / "templates" / f"{template}.jinja", folder / "chat_template.jinja")
    assert models.find(None, str(folder)).family.name == family
    # Older folders hold the template in tokenizer_config.json.
    source = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": source}))
    assert models.find(None, str(folder)).family.name == family


def test_a_hub_id_of_the_registry_is_recognised() -> None:
    assert models.find(None, "Qwen/Qwen2.5-1.5B-Instruct").name == "qwen2_5-1_5b-instruct"
    with pytest.raises(SwiftkitError, match="has that hub id"):
        models.find(None, "Qwen/Qwen99")


def test_the_registry_name_may_be_given_as_the_model() -> None:
    assert models.find(None, "tiny-math").name == "tiny-math"


def test_code_that_a_published_folder_brings_beside_a_built_in_architecture_is_passed_over(
    family_folder: Any, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(family_folder("phi3"), tmp_path / "phi"))
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": auto_map}))
    weights.inspect(folder, models.families()["phi3"], trust_remote_code=False)
    with pytest.raises(SwiftkitError, match="own code"):
        weights.inspect(folder, models.families()["qwen2_5"], trust_remote_code=False)


def test_caches_of_both_hubs_are_found_without_a_connection(
    family_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    source = family_folder("qwen2_5")
    snapshot = tmp_path / "hf" / "models--Qwen--Qwen2.5-1.5B-Instruct"
    shutil.copytree(source, snapshot / "snapshots" / "abc")
    (snapshot / "refs").mkdir()
    (snapshot / "refs" / "main").write_text("abc")
    wanted = models.find("qwen2_5-1_5b-instruct", None)
    assert weights.locate(wanted) == snapshot / "snapshots" / "abc"
    shutil.copytree(source, tmp_path / "ms" / "models" / "Qwen" / "Qwen2___5-1___5B-Instruct")
    assert weights.locate(wanted) == tmp_path / "ms" / "models" / "Qwen" / "Qwen2___5-1___5B-Instruct"


# --- the user's own ------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own registry and templates."""
    for kind in ("registry", "templates"):
        (tmp_path / "home" / kind).mkdir(parents=True)
    monkeypatch.setenv("SWIFTKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


MINE = """\
template: mine
level: proven
special_tokens: ['<|im_start|>', '<|im_end|>']
architectures: [Qwen2ForCausalLM]
swift: {model_type: qwen2, template: chatml}
lora_targets: [q_proj, v_proj]
models:
  mine-1b: {huggingface: my/Model-1B, parameters: 1.0e9}
"""
SPEAKS = """\
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


def test_one_yaml_and_one_jinja_file_add_a_model_family(home: Path, family_folder: Any) -> None:
    """Listed, shown, recognised, held to the contract, trained: by real commands."""
    (home / "registry" / "mine.yaml").write_text(MINE)
    (home / "templates" / "mine.jinja").write_text(SPEAKS)
    assert "mine-1b" in swiftkit("models").stdout
    shown = json.loads(swiftkit("models", "show", "My/Model-1b", "--json").stdout)
    assert (shown["template"], shown["level"]) == ("mine", "consistent")  # `proven` is for what swiftkit's tests prove
    folder = Path(shutil.copytree(family_folder("qwen2_5"), "folder"))
    shutil.copy(home / "templates" / "mine.jinja", folder / "chat_template.jinja")
    checked = swiftkit("models", "check", "folder", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["family"] == "mine"
    done = swiftkit("sft", "--model_id_or_path", "folder", "--dataset", "math-sft#40", "--max_steps", "2")
    assert done.returncode == 0, done.stderr
    assert swiftkit("export", "--merge_lora").returncode == 0
    (merged,) = Path("output").glob("*/*/merged-*")
    assert "says:" in (merged / "chat_template.jinja").read_text()


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for %}", "is no valid Jinja"),
        ("{# nothing #}", "renders nothing"),
        (SPEAKS.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", ""), "the answer into the prompt"),
        (SPEAKS.replace("message.content + '<|im_end|>' -}}{%- endg", "'<|im_end|>' -}}{%- endg"), "write the answer"),
        (SPEAKS.replace("        {{- message.content + '<|im_end|>' -}}\n", ""), "does not write the question"),
        (SPEAKS.replace("message.content + '<|im_end|>' -}}{%- endg", "message.content -}}{%- endg"), "never stop"),
        (SPEAKS.replace("assistant says:", "assistant:"), "what is served would not be what was trained"),
        (SPEAKS.replace("message.content + '<|im_end|>' -}}\n", "message.text -}}\n"), "does not write the question"),
        (
            SPEAKS.replace("message.role + ' says", "message.role + 1 + ' says"),
            "cannot render this conversation: TypeError",
        ),
        ("{{ bos_token }}" + SPEAKS, "asks for bos_token"),
        (None, "there is no template `mine`"),
    ],
)
def test_a_template_that_breaks_a_rule_is_named(
    template: str | None, said: str, home: Path, family_folder: Any
) -> None:
    (home / "registry" / "mine.yaml").write_text(MINE)
    if template is not None:
        (home / "templates" / "mine.jinja").write_text(template)
    done = swiftkit(
        *("sft", "--model_type", "mine-1b", "--model_id_or_path", str(family_folder("qwen2_5"))),
        *("--dataset", "math-sft#40", "--dry_run"),
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "mine" in done.stderr
    assert "Traceback" not in done.stderr
    # It harms nobody else.
    assert swiftkit("sft", "--model_type", "tiny-math", "--dry_run").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINE.replace("template:", "templat:"), "templat: extra inputs are not permitted"),
        (MINE.replace("huggingface:", "hf:"), "models.mine-1b.hf: extra inputs"),
        (MINE.replace("lora_targets: [q_proj, v_proj]\n", ""), "lora_targets: field required"),
        (MINE.replace("template: mine", "template: qwen4"), "there is no template `qwen4`"),
        (MINE + "  qwen3-4b: {parameters: 1.0e9}\n", "model `qwen3-4b` is declared twice"),
        (MINE + "  mine-1b: {parameters: 2.0e9}\n", "the key `mine-1b` stands twice"),
        (MINE.replace("1.0e9}", "1.0e9, config: {hidden_size: 8}}"), "lacks num_hidden_layers"),
        (MINE + "1: 2\n", "it holds no fields"),
    ],
)
def test_a_registry_file_that_is_not_sound_is_named_to_those_who_ask(text: str, said: str, home: Path) -> None:
    (home / "registry" / "mine.yaml").write_text(text)
    (home / "templates" / "mine.jinja").write_text(SPEAKS)
    asked = "qwen3-4b" if "qwen3-4b" in said else "mine-1b"
    done = swiftkit("sft", "--model_type", asked, "--dry_run")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert str(home / "registry" / "mine.yaml") in done.stderr
    listed = swiftkit("models")
    assert listed.returncode == 0
    assert "qwen2_5-7b-instruct" in listed.stdout
    assert said in listed.stderr


@pytest.mark.parametrize("text", ["{{", "[]", "\xff"])
def test_a_registry_file_that_cannot_be_read_is_told(text: str, home: Path) -> None:
    (home / "registry" / "mine.yaml").write_bytes(text.encode("latin-1"))
    for words in (["models"], ["sft", "--model_type", "mine-1b", "--dry_run"]):
        said = swiftkit(*words).stderr
        assert "left out" in said
        assert "mine.yaml" in said
        assert "Traceback" not in said


def test_a_broken_file_takes_no_model_from_a_sound_one(home: Path) -> None:
    (home / "registry" / "mine.yaml").write_text(MINE.replace("template:", "templat:") + "  tiny-math: {}\n")
    assert swiftkit("sft", "--model_type", "tiny-math", "--dry_run").returncode == 0


def test_a_broken_template_of_somebody_else_blocks_no_folder(home: Path, family_folder: Any) -> None:
    (home / "registry" / "mine.yaml").write_text(MINE)
    (home / "templates" / "mine.jinja").write_text("{% for %}")
    done = swiftkit("sft", "--model_id_or_path", str(family_folder("qwen2_5")), "--dataset", "math-sft#40", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "left out: chat template `mine` is no valid Jinja" in done.stderr


def test_an_editors_lock_is_no_family_and_a_folder_that_is_named_twice_is_one(home: Path) -> None:
    (home / "registry" / ".#mine.yaml").symlink_to("me@nowhere")
    (home / "registry" / "mine.yaml").write_text(MINE)
    (home / "templates" / "mine.jinja").write_text(SPEAKS)
    done = swiftkit("models", "show", "mine-1b", "--registry", str(home))
    assert done.returncode == 0, done.stderr


def test_a_family_of_ones_own_takes_no_model_of_the_catalogue(home: Path) -> None:
    (home / "registry" / "mine.yaml").write_text(MINE.replace("chatml", "qwen"))
    (home / "templates" / "mine.jinja").write_text(SPEAKS)
    shown = json.loads(swiftkit("models", "show", "qwen1half-1_8b-chat", "--json").stdout)
    assert shown["family"] == "qwen2"


@pytest.mark.parametrize("template", ["qwen3", "qwen3_thinking", "deepseek_r1", "ernie_thinking"])
def test_reasoning_is_learned_once_however_it_is_written(template: str) -> None:
    """Servers give it back with and without its opening, with and without blanks in front."""
    made = chat.load(template)
    texts = {
        made.render(turns("3 + 4?", f"{before}Three and four.\n</think>\n\n7"))
        for before in ("<think>\n", "<think>", "", "\n<think>\n")
    }
    assert len(texts) == 1
    (text,) = texts
    assert text.count("<think>") == text.count("</think>") == 1
    without = made.render(turns("3 + 4?", "7"))
    assert "<think>\n\n</think>\n\n" in without


def test_a_family_that_is_declared_twice_is_named(home: Path) -> None:
    shutil.copy(ROOT / "registry" / "qwen3.yaml", home / "registry")
    done = swiftkit("models", "show", "qwen3-4b")
    assert done.returncode == 2
    assert "registry `qwen3` is declared twice" in done.stderr


def test_a_tokenizer_without_a_special_token_of_the_template_is_refused(home: Path, family_folder: Any) -> None:
    """It would train on pieces of the token."""
    words = ["--model_type", "tinyllama-1_1b-chat", "--model_id_or_path", str(family_folder("llama3"))]
    for command in (["sft", "--dry_run"], ["exam", "--dataset", "math-exam", "--ckpt", "base"]):
        done = swiftkit(*command, *words)
        assert done.returncode == 2, done.stderr
        assert "the tokenizer has no token for </s>, which the chat template writes" in done.stderr
