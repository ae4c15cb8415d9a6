"""Every model of ms-swift 2, and every text model of ms-swift 4.6, is found by its name and by its hub ids."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support.commands import ROOT, shared, stdout_json, swiftkit
from swiftkit.errors import SwiftkitError
from swiftkit.models import catalog, registry
from swiftkit.models.resolve import catalog_entry, get_model, resolve_model

sys.path.insert(0, str(ROOT / "tools"))

import make_catalog


def ids_of(name: str) -> set[str]:
    """Hub ids that a name means, in lower case, wherever it is declared."""
    if model := catalog_entry(name):
        found: tuple[str | None, ...] = (model.modelscope, model.huggingface)
    else:
        _, _, entry = get_model(name)
        found = (entry.modelscope, entry.huggingface)
    return {hub_id.lower() for hub_id in found if hub_id}


def resolve_hub_id(hub_id: str) -> str:
    """The name of the model with a hub id, or the message that refuses it."""
    try:
        return resolve_model(None, hub_id).name
    except SwiftkitError as error:
        return str(error)


def test_every_model_type_of_ms_swift_2_means_the_same_model() -> None:
    old = json.loads(shared("facts/v2_models.json").read_text(encoding="utf-8"))["models"]
    assert len(old) == 485
    for name, entry in old.items():
        current = {i.lower() for i in (entry["ms_id_4_6"], entry["hf_id_4_6"]) if i}
        for spelling in (name, name.upper()):
            assert ids_of(spelling) == current, name
        for hub_id in filter(None, (entry["ms_id"], entry["hf_id"], *current)):
            result = resolve_hub_id(hub_id.upper())
            assert name in result or ids_of(result) == current, (name, hub_id, result)


def test_every_text_model_of_ms_swift_4_is_found_by_both_hub_ids() -> None:
    types = json.loads(shared("facts/swift46_models.json").read_text(encoding="utf-8"))
    models = [
        (kind, model)
        for kind, entry in types.items()
        if make_catalog.is_text(entry)
        for group in entry["groups"]
        for model in group["models"]
    ]
    count = 0
    for kind, model in models:
        for hub_id in filter(None, (model["ms"], model["hf"])):
            count += 1
            result = resolve_hub_id(hub_id)
            assert "neither registry nor catalog" not in result, (kind, hub_id)
            is_entry = result in registry.entries()
            assert is_entry or any(hub_id.lower() in ids_of(word) for word in result.split()[:1]), (hub_id, result)
    assert count > 1300


def test_catalog_is_what_its_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_catalog, "OUT", tmp_path / "catalog.json")
    make_catalog.main(str(shared("facts/swift46_models.json")), str(shared("facts/v2_models.json")))
    assert (tmp_path / "catalog.json").read_bytes() == catalog.FILE.read_bytes()


def test_types_and_templates_are_those_of_the_installed_ms_swift() -> None:
    import swift.model
    import swift.template

    names = [(model.swift_type, model.swift_template) for model in catalog.models().values()]
    names += [(family.swift.model_type, family.swift.template) for family in registry.families().values()]
    for model_type, template in names:
        assert model_type in swift.model.MODEL_MAPPING
        assert template in swift.template.TEMPLATE_MAPPING


def test_model_of_a_family_belongs_to_it_under_every_name() -> None:
    assert resolve_model("phi-4", None).name == "phi4-14b-instruct"
    model = resolve_model("Qwen2_5-14B-Instruct", None)
    assert (model.name, model.family.name) == ("qwen2_5-14b-instruct", "qwen2_5")
    assert model.entry is not None
    assert model.entry.modelscope == "Qwen/Qwen2.5-14B-Instruct"
    assert resolve_model(None, "qwen/QWEN2.5-14b-instruct").hub_id == "qwen/QWEN2.5-14b-instruct"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gemma2-2b", "is a base model without a chat format"),
        ("codestral-22b", "--model_type, one of: mistral-7b-instruct (mistral), mistral-7b-instruct-v3 (mistral_v3)"),
        ("internlm-7b", "transformers lacks its architecture"),
        ("hunyuan-0_5b-instruct", "swiftkit models import ./model ./mine"),
        ("qwen-vl-chat", "is multimodal"),
        ("qwen2_5-7b-instruct-awq", "use the unquantized model: --model_type qwen2_5-7b-instruct"),
        ("meta-llama/Llama-3.3-70B-Instruct-FP8", "no model type is named"),
        ("qwen2_5-1_5b-instrukt", "did you mean `qwen2_5-1_5b-instruct`"),
    ],
)
def test_model_that_cannot_be_trained_is_refused_with_an_alternative(name: str, message: str) -> None:
    done = swiftkit("sft", "--model_type", name)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hint:" in done.stderr


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("qwen2_5-7b-instruct", "verified"),
        ("kimi-dev-72b", "consistent"),
        ("ernie4_5-0_3b", "consistent"),
        ("internlm-7b", "catalog"),
    ],
)
def test_level_of_a_model_is_shown(name: str, level: str) -> None:
    assert stdout_json(swiftkit("models", "show", name, "--json"))["level"] == level


def test_list_can_be_limited_to_a_level() -> None:
    listed = stdout_json(swiftkit("models", "--level", "catalog", "--json"))["models"]
    assert len(listed) > 400
    assert {row["level"] for row in listed} == {"catalog"}


def test_list_shows_the_registry_and_mentions_the_catalog() -> None:
    done = swiftkit("models")
    assert len(done.stdout.splitlines()[1:]) == len(registry.entries())
    assert "more that ms-swift trains" in done.stderr
    assert "internlm2_5-7b-chat" in swiftkit("models", "internlm").stdout
    assert "Qwen/Qwen2.5-72B" in swiftkit("models", "--family", "qwen2_5").stdout
