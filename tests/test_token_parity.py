"""The tokens of training: swiftkit's renderer against published prompts and against ms-swift's own encoder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from support.commands import ROOT, SESSION, shared, stdout_json, swiftkit, warm_workers
from support.models import FAMILIES
from swiftkit.chat import template, tokenizer
from swiftkit.chat.encode import ChatEncoder
from swiftkit.exports import token_parity
from swiftkit.exports.token_parity import CONVERSATIONS, turns
from swiftkit.models import registry
from swiftkit.models.context import ModelContext
from swiftkit.models.resolve import resolve_model
from swiftkit.schema import IGNORED


@pytest.fixture
def reports(family_folder: Callable[[str], Path]) -> dict[str, Any]:
    """`models check --all` with a model of every family on the machine, by family; done once for all workers."""
    home, file = SESSION / "models", SESSION / "parity.json"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            home.mkdir()
            for name, family in registry.families().items():
                first = next(model for model, entry in family.models.items() if not entry.bundled)
                (home / first).symlink_to(family_folder(name))
            content = stdout_json(swiftkit("models", "check", "--all", "--json", SWIFTKIT_MODELS=str(home)))
            file.write_text(json.dumps(content))
    content = json.loads(file.read_text())
    assert (content["unusable"], content["missing"]) == ({}, [])
    return {report["family"]: report for report in content["models"]}


def test_every_family_has_a_tokenizer_in_these_tests() -> None:
    """A family in registry/ that is not in support.models.FAMILIES would be checked by nothing."""
    assert set(FAMILIES) == set(registry.families())


@pytest.mark.parametrize("family", FAMILIES)
def test_training_export_and_ms_swift_use_the_same_tokens(family: str, reports: dict[str, Any]) -> None:
    report, notes = reports[family], registry.families()[family].template_notes
    assert (report["consistent"], report["stop"], report["failure"]) == (True, None, None)
    assert [row["conversation"] for row in report["conversations"]] == list(CONVERSATIONS)
    for row in report["conversations"]:
        assert row["export"] == "same", row
        assert 0 < row["num_loss_tokens"] < row["num_tokens"]
    different = [row["conversation"] for row in report["conversations"] if row["ms_swift"] != "same"]
    if different:
        assert "ms-swift" in notes, different
    else:
        assert not notes or notes.startswith("The published template")


def test_check_of_all_models_continues_after_an_incomplete_one(
    family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    incomplete = Path(shutil.copytree(family_folder("phi4"), tmp_path / "models" / "phi4-14b-instruct"))
    (incomplete / "tokenizer.json").unlink()
    done = swiftkit("models", "check", "--all", SWIFTKIT_MODELS=str(tmp_path / "models"))
    assert done.returncode == 1
    assert re.search(r"^qwen2_5 +tiny-math +verified +the same tokens$", done.stdout, re.MULTILINE)
    assert re.search(r"^phi4 +verified .* cannot read the tokenizer", done.stdout, re.MULTILINE)
    assert "no model of these families is on this machine: deepseek_r1_distill_llama" in done.stderr


def test_several_models_are_compared_in_one_process(
    family_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = [ModelContext.load(resolve_model(None, str(family_folder(name)))) for name in ("qwen3", "gemma3")]
    modules: list[str] = []
    run = subprocess.run

    def record(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        modules.append(command[-1])
        return run(command, **options)

    with warm_workers():
        for context in contexts:
            context.tokenizer  # noqa: B018 - its conversion is another process
        monkeypatch.setattr(subprocess, "run", record)
        results = token_parity.check(contexts)
    assert modules == [token_parity.WORKER]
    assert [len(result.conversations) for result in results] == [len(CONVERSATIONS)] * 2
    assert all(result.is_consistent for result in results)


def test_tokenizer_without_the_stop_token_is_reported(
    family_folder: Callable[[str], Path], further_family: None
) -> None:
    """Phi-4's template on a tokenizer that has none of its tokens: the stop token is trained in pieces."""
    folder = Path(shutil.copytree(family_folder("tinyllama"), "mine"))
    shutil.copy(ROOT / "templates" / "phi4.jinja", folder / "chat_template.jinja")
    done = swiftkit("models", "check", "mine")
    assert done.returncode == 1
    assert "no token for `<|im_end|>`" in done.stdout
    assert "training and serving would use different tokens" in done.stdout


def test_first_difference_of_tokens_is_described() -> None:
    loaded = tokenizer.load(ROOT / "models" / "tiny-math", use_tokenizer_json=True)
    one, two = (loaded.encode(text, add_special_tokens=False).ids for text in ("1 + 2 = 3", "1 + 2 = 4"))
    assert token_parity.first_difference(one, one, loaded) == ""
    expected = f"tokens differ at {len(one) - 1}: '3' here, '4' there"
    assert token_parity.first_difference(one, two, loaded) == expected
    assert (
        token_parity.first_difference(one, one[:-1], loaded) == f"tokens differ at {len(one) - 1}: '3' here, '' there"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check"], "takes one name or model folder"),
        (["check", "nope"], "no model type is named"),
        (["check", "qwen2_5-7b-instruct"], "is not on this machine"),
        (["check", "."], "no config.json"),
        (["check", "./nope"], "the model folder ./nope does not exist"),
        (["chek", "tiny-math"], "did you mean `check`"),
        (["import", "nope", "mine"], "the model folder nope does not exist"),
    ],
)
def test_check_of_a_missing_model_is_refused(words: list[str], message: str) -> None:
    done = swiftkit("models", *words)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_blank_system_message_is_rendered_as_an_empty_one(family: str) -> None:
    loaded = template.load(registry.families()[family].template)
    blank = loaded.render(turns("a", "b", system=" \n"))
    assert blank == loaded.render(turns("a", "b", system=""))
    # Where there is a system block without any system message (Llama 3.1's has a date), it is the same block.
    assert "system" not in blank or blank == loaded.render(turns("a", "b"))


# Names of published renderings, each with its family.
PUBLISHED = {
    **{name: name for name in ("qwen2_5", "qwen3", "phi3", "phi4", "llama3")},
    "zephyr": "tinyllama",
    "qwen3_instruct_2507": "qwen3_instruct",
    "qwen3_thinking_2507": "qwen3_thinking",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_prompts_equal_published_renderings(name: str) -> None:
    published = json.loads(shared("data/golden_prompts.json").read_text(encoding="utf-8"))
    assert set(published["rendered"]) == set(PUBLISHED)
    loaded = template.load(registry.families()[PUBLISHED[name]].template)
    for title, conversation in published["conversations"].items():
        prompt = conversation["add_generation_prompt"]
        text = loaded.render(conversation["messages"], add_generation_prompt=prompt)
        assert text == published["rendered"][name][title], title


def test_verified_are_the_families_whose_published_prompts_are_matched() -> None:
    for family in registry.families().values():
        is_ms_swifts = not family.template_notes or family.template_notes.startswith("The published template")
        is_verified = family.name in PUBLISHED.values() and is_ms_swifts
        assert (family.level == "verified") == is_verified, family.name


@pytest.mark.parametrize("family", FAMILIES)
def test_prompt_is_the_text_before_the_answer(family: str) -> None:
    """What a server sends to the model is the beginning of what was trained, up to the text with loss."""
    loaded = template.load(registry.families()[family].template)
    for name, messages in CONVERSATIONS.items():
        parts = loaded.parts(messages)
        last = max(index for index, (_, has_loss) in enumerate(parts) if has_loss)
        prompt = loaded.render(messages[:-1], add_generation_prompt=True)
        assert prompt == "".join(text for text, _ in parts[:last]), name


def test_loss_is_on_the_answer_its_stop_token_and_the_suffix(family_folder: Callable[[str], Path]) -> None:
    loaded = tokenizer.load(family_folder("qwen2_5"))
    (encoded,) = ChatEncoder(loaded, template.load("qwen2_5")).encode([turns("q", "a b")])
    with_loss = [token for token in encoded.labels if token != IGNORED]
    assert loaded.decode(with_loss, skip_special_tokens=False) == "a b<|im_end|>\n"
