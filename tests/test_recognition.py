"""Model folders: which family a folder belongs to by its files, which code it may have, where downloads are found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import ROOT, swiftkit
from support.models import FAMILIES
from swiftkit.errors import SwiftkitError
from swiftkit.models import registry, weights
from swiftkit.models.resolve import resolve_model


def copy_of(folder: Path, name: str = "mine") -> Path:
    return Path(shutil.copytree(folder, name)).resolve()


def move_template(folder: Path, template: object = None) -> None:
    """Put the chat template into tokenizer_config.json, where older folders have it; or another content there."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    content = template or file.read_text()
    file.unlink()
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": content}))


@pytest.mark.parametrize("family", FAMILIES)
def test_folder_is_recognized_from_its_files_alone(family: str, family_folder: Callable[[str], Path]) -> None:
    folder = family_folder(family)
    model = resolve_model(None, str(folder))
    assert (model.family.name, model.name) == (family, folder.name)


def test_chat_template_of_no_family_is_reported(
    family_folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    """An architecture that one family has, and a format of its own; several families would make it ambiguous."""
    folder = copy_of(family_folder("ernie4_5"))
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<|User|>{{ m.content }}{% endfor %}")
    with caplog.at_level("WARNING"):
        assert resolve_model(None, str(folder)).family.name == "ernie4_5"
    assert "is not that of family ernie4_5" in caplog.text
    assert f"swiftkit models import {folder} ./mine" in caplog.text


def test_named_chat_templates_are_read(family_folder: Callable[[str], Path]) -> None:
    """Older folders have a list of them."""
    folder = copy_of(family_folder("llama3"))
    source = (folder / "chat_template.jinja").read_text()
    move_template(folder, [{"name": "tool_use", "template": "no"}, {"name": "default", "template": source}])
    assert resolve_model(None, str(folder)).family.name == "llama3"


@pytest.mark.parametrize(("template", "family"), [("zephyr", "tinyllama"), ("phi4", "further")])
def test_chat_template_decides_between_families_of_one_architecture(
    template: str, family: str, family_folder: Callable[[str], Path], further_family: None
) -> None:
    folder = copy_of(family_folder("tinyllama"))
    shutil.copy(ROOT / "templates" / f"{template}.jinja", folder / "chat_template.jinja")
    assert resolve_model(None, str(folder)).family.name == family
    move_template(folder)
    assert resolve_model(None, str(folder)).family.name == family


def test_hub_id_of_the_registry_is_recognized() -> None:
    assert resolve_model(None, "Qwen/Qwen2.5-1.5B-Instruct").name == "qwen2_5-1_5b-instruct"
    with pytest.raises(SwiftkitError, match="neither registry nor catalog has that hub id"):
        resolve_model(None, "Qwen/Qwen99")


def test_name_of_the_registry_is_accepted_as_the_model() -> None:
    assert resolve_model(None, "tiny-math").name == "tiny-math"


def test_code_next_to_a_built_in_architecture_is_ignored(family_folder: Callable[[str], Path]) -> None:
    folder = copy_of(family_folder("phi3"))
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": auto_map}))
    weights.load_model_folder(folder, registry.families()["phi3"], trust_remote_code=False)
    with pytest.raises(SwiftkitError, match="requests to run its own code"):
        weights.load_model_folder(folder, registry.families()["qwen2_5"], trust_remote_code=False)


def test_caches_of_both_hubs_are_found_without_a_connection(
    family_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    source = family_folder("qwen2_5")
    snapshot = tmp_path / "hf" / "models--Qwen--Qwen2.5-1.5B-Instruct"
    shutil.copytree(source, snapshot / "snapshots" / "abc")
    (snapshot / "refs").mkdir()
    (snapshot / "refs" / "main").write_text("abc")
    model = resolve_model("qwen2_5-1_5b-instruct", None)
    assert weights.resolve_folder(model, download=False) == snapshot / "snapshots" / "abc"
    shutil.copytree(source, tmp_path / "ms" / "models" / "Qwen" / "Qwen2___5-1___5B-Instruct")
    folder = tmp_path / "ms" / "models" / "Qwen" / "Qwen2___5-1___5B-Instruct"
    assert weights.resolve_folder(model, download=False) == folder


def test_tokenizer_without_a_special_token_of_the_template_is_refused(family_folder: Callable[[str], Path]) -> None:
    """The model would be trained on pieces of the token."""
    words = ["--model_type", "tinyllama-1_1b-chat", "--model_id_or_path", str(family_folder("llama3"))]
    for command in (["sft", "--dry_run"], ["exam", "--dataset", "math-exam", "--ckpt", "base"]):
        done = swiftkit(*command, *words)
        assert done.returncode == 2, done.stderr
        assert "the tokenizer has no token for </s>, which the chat template writes" in done.stderr
