"""Every model of ms-swift 2, and every text model of ms-swift 4.6, is found by its name and by its hub ids."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, shared, swiftkit

from swiftkit import catalogue, models
from swiftkit.errors import SwiftkitError

sys.path.insert(0, str(ROOT / "tools"))

import make_catalogue
from test_token_contract import GOLDEN


def ids_of(name: str) -> set[str]:
    """Hub ids that a name stands for, in small letters, wherever it is declared."""
    if known := models.catalogued(name):
        found: tuple[str | None, ...] = (known.modelscope, known.huggingface)
    else:
        _, _, entry = models.named(name)
        found = (entry.modelscope, entry.huggingface)
    return {hub_id.lower() for hub_id in found if hub_id}


def named_by(hub_id: str) -> str:
    """What `find` makes of a hub id: the model's name, or what its refusal says."""
    try:
        return models.find(None, hub_id).name
    except SwiftkitError as error:
        return str(error)


def test_every_model_type_of_ms_swift_2_means_the_same_model() -> None:
    old = json.loads(shared("facts/v2_models.json").read_text(encoding="utf-8"))["models"]
    assert len(old) == 485
    for name, entry in old.items():
        now = {i.lower() for i in (entry["ms_id_4_6"], entry["hf_id_4_6"]) if i}
        for spelled in (name, name.upper()):
            assert ids_of(spelled) == now, name
        for hub_id in filter(None, (entry["ms_id"], entry["hf_id"], *now)):
            said = named_by(hub_id.upper())
            assert name in said or ids_of(said) == now, (name, hub_id, said)


def test_every_text_model_of_ms_swift_4_is_found_by_both_hub_ids() -> None:
    types = json.loads(shared("facts/swift46_models.json").read_text(encoding="utf-8"))
    count = 0
    for kind, entry in types.items():
        if not make_catalogue.is_text(entry):
            continue
        for group in entry["groups"]:
            for model in group["models"]:
                for hub_id in filter(None, (model["ms"], model["hf"])):
                    count += 1
                    said = named_by(hub_id)
                    assert "neither registry nor catalogue" not in said, (kind, hub_id)
                    assert said in models.entries() or any(
                        hub_id.lower() in ids_of(word) for word in said.split()[:1]
                    ), (hub_id, said)
    assert count > 1300


def test_the_index_is_what_its_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_catalogue, "OUT", tmp_path / "catalogue.json")
    make_catalogue.main(str(shared("facts/swift46_models.json")), str(shared("facts/v2_models.json")))
    assert (tmp_path / "catalogue.json").read_bytes() == catalogue.FILE.read_bytes()


def test_types_and_templates_are_those_of_the_installed_ms_swift() -> None:
    import swift.model
    import swift.template

    for known in catalogue.models().values():
        assert known.swift_type in swift.model.MODEL_MAPPING
        assert known.swift_template in swift.template.TEMPLATE_MAPPING


def test_a_model_of_a_family_belongs_to_it_whatever_name_it_has() -> None:
    assert models.find("phi-4", None).name == "phi4-14b-instruct"
    wanted = models.find("Qwen2_5-14B-Instruct", None)
    assert (wanted.name, wanted.family.name) == ("qwen2_5-14b-instruct", "qwen2_5")
    assert wanted.entry is not None
    assert wanted.entry.modelscope == "Qwen/Qwen2.5-14B-Instruct"
    assert models.find(None, "qwen/QWEN2.5-14b-instruct").hub_id == "qwen/QWEN2.5-14b-instruct"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gemma2-2b", "is a base model, which has learned no chat format"),
        ("codestral-22b", "--model_type, one of: mistral-7b-instruct (mistral), mistral-7b-instruct-v3 (mistral_v3)"),
        ("internlm-7b", "transformers lacks its architecture"),
        ("hunyuan-0_5b-instruct", "swiftkit models adopt ./model ./mine"),
        ("qwen-vl-chat", "is multimodal"),
        ("qwen2_5-7b-instruct-awq", "the same model unquantised: --model_type qwen2_5-7b-instruct"),
        ("meta-llama/Llama-3.3-70B-Instruct-FP8", "no model type is named"),
        ("qwen2_5-1_5b-instrukt", "did you mean `qwen2_5-1_5b-instruct`"),
    ],
)
def test_what_cannot_be_trained_here_is_refused_with_the_way_out(name: str, said: str) -> None:
    done = swiftkit("sft", "--model_type", name)
    assert done.returncode == 2
    assert said in done.stderr
    assert "hint:" in done.stderr


def test_levels_are_told() -> None:
    def level(name: str) -> str:
        return str(json.loads(swiftkit("models", "show", name, "--json").stdout)["level"])

    assert [level(n) for n in ("qwen2_5-7b-instruct", "kimi-dev-72b", "ernie4_5-0_3b", "internlm-7b")] == [
        "proven",
        "consistent",
        "consistent",
        "known",
    ]
    listed = json.loads(swiftkit("models", "--level", "known", "--json").stdout)["models"]
    assert len(listed) > 400
    assert {row["level"] for row in listed} == {"known"}


def test_proven_are_the_families_whose_published_prompts_are_matched() -> None:
    for family in models.families().values():
        as_in_ms_swift = not family.differs or family.differs.startswith("The published template")
        assert (family.level == "proven") == (family.name in GOLDEN.values() and as_in_ms_swift), family.name


def test_the_list_is_the_registry_and_says_what_else_there_is() -> None:
    done = swiftkit("models")
    shown: list[Any] = done.stdout.splitlines()[1:]
    assert len(shown) == len(models.entries())
    assert "more that ms-swift trains" in done.stderr
    assert "internlm2_5-7b-chat" in swiftkit("models", "internlm").stdout
    assert "Qwen/Qwen2.5-72B" in swiftkit("models", "--family", "qwen2_5").stdout
