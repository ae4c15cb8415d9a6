"""Every entry of the registry against the real architecture in transformers, with its real sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, shared
from support.models import FAMILIES
from swiftkit.chat import template, tokenizer
from swiftkit.data import catalog, readers
from swiftkit.exports.token_parity import turns
from swiftkit.models import lora, registry, weights
from swiftkit.models.registry import Family

ENTRIES = [(name, family.name) for name, (family, _) in registry.entries().items() if family.name in FAMILIES]


def peft_model(config: dict[str, Any], family: Family, rank: int) -> Any:
    """The real architecture with these sizes and PEFT's adapter on it, without memory for any of it."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    name = FAMILIES[family.name]["model"]
    sizes = {**config, "tie_word_embeddings": bool(config["tie_word_embeddings"]), "pad_token_id": 0}
    settings = getattr(transformers, FAMILIES[family.name].get("config", name) + "Config")(**sizes)
    with torch.device("meta"):
        model = getattr(transformers, f"{name}ForCausalLM")(settings)
        adapter = LoraConfig(r=rank, target_modules=family.lora_targets, task_type="CAUSAL_LM")
        return get_peft_model(model, adapter)


def count_parameters(config: dict[str, Any], family: Family, rank: int, depth: int) -> tuple[int, int]:
    """Parameters of the base model and of the adapter.

    Args:
        config: the model's sizes.
        family: its family.
        rank: of the adapter.
        depth: layers to create; the model's other layers are counted like the last one of these.
    """
    model = peft_model({**config, "num_hidden_layers": depth}, family, rank)
    base = adapter = 0
    for name, parameter in model.named_parameters():
        repetitions = 1 + config["num_hidden_layers"] - depth if f".layers.{depth - 1}." in name else 1
        if parameter.requires_grad:
            adapter += repetitions * parameter.numel()
        else:
            base += repetitions * parameter.numel()
    return base, adapter


# Every layer is like the one before it, apart from the first of a mixture of experts; so two layers show all of them.
@pytest.mark.parametrize("is_full_depth", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "family"), ENTRIES)
def test_parameters_and_trainable_parameters_are_those_of_the_architecture(
    name: str, family: str, is_full_depth: bool
) -> None:
    declared, entry = registry.entries()[name]
    depth = entry.config["num_hidden_layers"] if is_full_depth else 2
    parameters, trainable = count_parameters(entry.config, declared, 8, depth)
    layers = lora.layers_from_config(entry.config, declared.lora_targets)
    assert lora.count_trainable(lora.select_layers(layers, declared.lora_targets), 8) == trainable
    assert entry.parameters == pytest.approx(parameters, rel=0.001)


@pytest.mark.parametrize("name", ["qwen2_5-0_5b-instruct", "ernie4_5-21b-a3b"])
def test_two_layers_are_enough_to_count_the_parameters_of_all(name: str) -> None:
    declared, entry = registry.entries()[name]
    assert count_parameters(entry.config, declared, 8, 2) == count_parameters(
        entry.config, declared, 8, entry.config["num_hidden_layers"]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_trainable_parameters_of_a_folder_are_those_that_peft_trains(
    family: str, family_folder: Callable[[str], Path]
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    path, declared = family_folder(family), registry.families()[family]
    folder = weights.load_model_folder(path, declared, trust_remote_code=False)
    selected = lora.select_layers(lora.layers_from_tensors(folder.tensors), declared.lora_targets)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    adapter = LoraConfig(r=4, target_modules=declared.lora_targets, task_type="CAUSAL_LM")
    trained = get_peft_model(model, adapter)
    assert lora.count_trainable(selected, 4) == sum(p.numel() for p in trained.parameters() if p.requires_grad)


def test_every_family_names_an_existing_template() -> None:
    for family in registry.families().values():
        assert template.load(family.template).name == family.template


def test_every_name_of_ms_swift_2_means_the_same_hub_ids_here() -> None:
    old = json.loads(shared("facts/v2_models.json").read_text(encoding="utf-8"))["models"]
    checked = 0
    for name, (_, entry) in registry.entries().items():
        if name in old:
            checked += 1
            modelscope = str(entry.modelscope)
            assert modelscope == old[name]["ms_id_4_6"] or modelscope.lower() == old[name]["ms_id"].lower()
            assert entry.huggingface == old[name]["hf_id_4_6"]
    assert checked >= 6


def test_every_dataset_can_be_read() -> None:
    for name, entry in catalog.entries().items():
        assert readers.read(catalog.resolve_dataset(name), 0).num_read >= 100
        assert entry.exam is None or entry.exam in catalog.entries()


def test_no_question_of_the_exam_is_in_the_training_set() -> None:
    questions = []
    for name in ("math-sft", "math-exam"):
        rows = readers.read(catalog.resolve_dataset(name), 0).rows
        questions.append({row["messages"][0]["content"] for _, row in rows})
    assert len(questions[0]) == 1000
    assert not questions[0] & questions[1]


def test_transformers_uses_the_bundled_tokenizer_unchanged() -> None:
    from transformers import AutoTokenizer

    folder = ROOT / "models" / "tiny-math"
    by_transformers = AutoTokenizer.from_pretrained(folder)
    loaded = tokenizer.load(folder, use_tokenizer_json=True)
    text = "<|im_start|>user\nWhat is 12 + 30?  小丽 é\n<|im_end|>"
    ids = loaded.encode(text, add_special_tokens=False).ids
    assert by_transformers(text, add_special_tokens=False)["input_ids"] == ids


def test_transformers_renders_the_bundled_models_template_the_same() -> None:
    from transformers import AutoTokenizer

    by_transformers = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny-math")
    rendered = by_transformers.apply_chat_template(turns("a", "b"), tokenize=False)
    assert rendered == template.load("qwen2_5").render(turns("a", "b"))


@pytest.mark.parametrize("name", ["qwen3", "qwen3_thinking", "deepseek_r1", "ernie_thinking"])
def test_reasoning_is_rendered_once_however_it_is_written(name: str) -> None:
    """Servers return it with and without its opening tag, with and without white space in front."""
    loaded = template.load(name)
    texts = {
        loaded.render(turns("3 + 4?", f"{before}Three and four.\n</think>\n\n7"))
        for before in ("<think>\n", "<think>", "", "\n<think>\n")
    }
    assert len(texts) == 1
    (text,) = texts
    assert text.count("<think>") == text.count("</think>") == 1
    without = loaded.render(turns("3 + 4?", "7"))
    assert "<think>\n\n</think>\n\n" in without
