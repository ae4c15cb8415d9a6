"""The merged folder: plain transformers loads it, it answers like the adapter, and it is whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from conftest import ARCHITECTURES, ROOT, SWIFTKIT, lora, plain_answers, swiftkit

from swiftkit import chat, companions, models, runs, tokenization

TURNS = [
    [{"role": "user", "content": "What is 3 + 4?"}],
    [{"role": "system", "content": " "}, {"role": "user", "content": "How many apples are left?"}],
    [
        {"role": "system", "content": "You are a careful maths tutor."},
        {"role": "user", "content": "小丽看一本240页的书"},
    ],
    [
        {"role": "user", "content": "Hello! Hi"},
        {"role": "assistant", "content": "12 - 5 = 7"},
        {"role": "user", "content": "And the answer is?"},
    ],
]


@pytest.fixture(scope="module")
def merged(family_folder: Any, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Any:
    """Family to base, adapter and merged folder, by the command line."""
    made: dict[str, tuple[Path, Path, Path]] = {}

    def get(family: str) -> tuple[Path, Path, Path]:
        if family not in made:
            home = tmp_path_factory.mktemp(f"merged-{family}")
            base = family_folder(family)
            adapter = lora(base, home / "adapter", targets=models.families()[family].lora_targets)
            name = next(iter(models.families()[family].models))
            words = ["--ckpt", str(adapter), "--model_type", name, "--model_id_or_path", str(base)]
            done = swiftkit("export", *words, "--merge_lora", "--dtype", "fp32", XDG_CACHE_HOME=str(cache), cwd=home)
            assert done.returncode == 0, done.stderr
            folder = home / done.stdout.strip().splitlines()[-1]
            made[family] = (base, adapter, folder)
        return made[family]

    return get


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_merged_answers_like_the_adapter_in_fp32(family: str, merged: Any) -> None:
    base, adapter, folder = merged(family)
    tokenizer = tokenization.load(base)
    template = chat.load(models.families()[family].template)
    prompts = list(chat.prompts(TURNS, template, tokenizer))
    stops = _generation(folder)["eos_token_id"]
    stops = stops if isinstance(stops, list) else [stops]
    with_adapter = plain_answers(base, adapter, prompts, 40, stops)
    assert with_adapter != plain_answers(base, None, prompts, 40, stops), "the adapter must do something"
    assert plain_answers(folder, None, prompts, 40, stops) == with_adapter


def _generation(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_merged_weights_are_those_of_peft(family: str, merged: Any) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base, adapter, folder = merged(family)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    ours = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype == torch.float32
        assert torch.allclose(ours[name], tensor, atol=1e-6), name


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_merged_template_prompts_as_training_did(family: str, merged: Any) -> None:
    """transformers' own tokenizer and template, as a server uses them, give the tokens of training."""
    from transformers import AutoTokenizer

    base, _, folder = merged(family)
    template = chat.load(models.families()[family].template)
    theirs = AutoTokenizer.from_pretrained(folder)
    for turns in TURNS[:3]:
        (ours,) = chat.prompts([turns], template, tokenization.load(base))
        assert theirs.apply_chat_template(turns, add_generation_prompt=True, return_dict=False) == ours
    several = theirs.apply_chat_template(TURNS[3], add_generation_prompt=True, tokenize=False)
    assert several == template.render(TURNS[3], add_generation_prompt=True)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_merged_stops_at_the_learned_token(family: str, merged: Any) -> None:
    base, _, folder = merged(family)
    learned = chat.stop_text(chat.load(models.families()[family].template))
    token = tokenization.load(base).token_to_id(learned)
    stops = _generation(folder)["eos_token_id"]
    assert token in (stops if isinstance(stops, list) else [stops])


def test_merged_needs_no_code_and_keeps_the_tokenizer(merged: Any) -> None:
    base, _, folder = merged("phi3")
    assert (folder / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert "auto_map" not in (folder / "config.json").read_text(encoding="utf-8")
    assert not list(folder.glob("*.py"))
    assert {p.stat().st_mode & 0o444 for p in folder.iterdir()} == {0o444}, "a server is another user"


@pytest.mark.parametrize("options", [{"use_rslora": True}, {"use_dora": True}])
def test_scaled_and_weight_decomposed_adapters_merge(
    options: dict[str, Any], family_folder: Any, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = family_folder("qwen2_5")
    adapter = lora(base, tmp_path / "adapter", **options)
    done = export(base, adapter, "--export_dir", "merged", "--dtype", "fp32")
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    ours = AutoModelForCausalLM.from_pretrained("merged").state_dict()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)


def export(base: Path, adapter: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    named = ["--model_type", "qwen2_5-0_5b-instruct", "--model_id_or_path", str(base)]
    return swiftkit("export", "--ckpt", str(adapter), *named, "--merge_lora", *words, **env)


@pytest.fixture(scope="module")
def adapter(family_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lora(family_folder("qwen2_5"), tmp_path_factory.mktemp("adapter") / "adapter")


def test_in_bf16_merged_differs_at_near_ties_only(family_folder: Any, adapter: Path) -> None:
    """Where the answers part, both tokens have, in fp32, nearly the probability of the likeliest one."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = family_folder("qwen2_5")
    assert export(base, adapter, "--export_dir", "merged", "--dtype", "bf16").returncode == 0
    template, tokenizer = chat.load("qwen2_5"), tokenization.load(base)
    turns = [[{"role": "user", "content": f"What is {i} + {i * 7}? How many apples?"}] for i in range(24)]
    prompts = list(chat.prompts(turns, template, tokenizer))
    ours = plain_answers(Path("merged"), None, prompts, 32, [2], "bfloat16")
    theirs = plain_answers(base, adapter, prompts, 32, [2], "bfloat16")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    exact = PeftModel.from_pretrained(model, adapter).eval()
    apart = [(p, a, b) for p, a, b in zip(prompts, ours, theirs, strict=True) if a != b]
    for prompt, merged_said, adapter_said in apart:
        pairs = enumerate(zip([*merged_said, 2], [*adapter_said, 2], strict=False))
        at = next(i for i, (one, other) in pairs if one != other)
        with torch.no_grad():
            logits = exact(torch.tensor([prompt + adapter_said[:at]])).logits[0, -1]
        probabilities = logits.softmax(-1)
        for token in ([*merged_said, 2][at], [*adapter_said, 2][at]):
            assert probabilities[token] > 0.95 * probabilities.max(), "not a near-tie: a real difference"
    pairs = list(zip(ours, theirs, strict=True))
    shared = sum(len(list(takewhile(lambda both: both[0] == both[1], zip(*pair, strict=False)))) for pair in pairs)
    assert shared > sum(map(len, theirs)) / 4, "random weights make near-ties, but not from the first token on"


def test_second_export_is_already_done(family_folder: Any, adapter: Path) -> None:
    base = family_folder("qwen2_5")
    first = export(base, adapter, "--export_dir", "merged")
    before = {p.name: p.stat().st_mtime_ns for p in Path("merged").iterdir()}
    nothing = swiftkit("export", "--ckpt", str(adapter), "--model_id_or_path", str(base))
    assert nothing.returncode == 2
    assert "--merge_lora merges it" in nothing.stderr
    again = export(base, adapter, "--export_dir", "merged")
    assert (first.returncode, again.returncode) == (0, 0)
    assert "already done" in again.stderr
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1] == "merged"
    assert {p.name: p.stat().st_mtime_ns for p in Path("merged").iterdir()} == before


def test_other_content_is_refused_and_overwritten_on_demand(family_folder: Any, adapter: Path) -> None:
    base = family_folder("qwen2_5")
    assert export(base, adapter, "--export_dir", "merged", "--dtype", "bf16").returncode == 0
    Path("merged/notes.txt").write_text("mine")
    other = export(base, adapter, "--export_dir", "merged", "--dtype", "fp32")
    assert other.returncode == 2
    assert "exists and holds something else" in other.stderr
    assert "--overwrite" in other.stderr
    assert Path("merged/notes.txt").is_file()
    assert export(base, adapter, "--export_dir", "merged", "--dtype", "fp32", "--overwrite").returncode == 0
    assert not Path("merged/notes.txt").exists(), "replaced whole"
    assert json.loads(Path("merged/swiftkit.json").read_text())["dtype"] == "fp32"


def test_damaged_export_is_not_already_done(family_folder: Any, adapter: Path) -> None:
    base = family_folder("qwen2_5")
    assert export(base, adapter, "--export_dir", "merged").returncode == 0
    weights = Path("merged/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    again = export(base, adapter, "--export_dir", "merged")
    assert again.returncode == 2
    assert "missing or changed" in again.stderr
    assert export(base, adapter, "--export_dir", "merged", "--overwrite").returncode == 0


@pytest.mark.parametrize("what", ["folder", "file"])
def test_target_that_exists_is_refused(what: str, family_folder: Any, adapter: Path) -> None:
    path = Path("merged") if what == "file" else Path("merged/mine.txt")
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    done = export(family_folder("qwen2_5"), adapter, "--export_dir", "merged")
    assert done.returncode == 2
    assert "merged exists" in done.stderr
    assert "Traceback" not in done.stderr
    assert export(family_folder("qwen2_5"), adapter, "--export_dir", "merged", "--overwrite").returncode == 2
    assert Path("merged").exists(), "what is no export is never replaced"


def test_empty_folder_is_filled(family_folder: Any, adapter: Path) -> None:
    Path("merged").mkdir()
    done = export(family_folder("qwen2_5"), adapter, "--export_dir", "merged")
    assert done.returncode == 0, done.stderr
    assert Path("merged/model.safetensors").is_file()
    assert {p.name for p in Path().iterdir()} == {"merged"}, "nothing is left beside it"


def test_inputs_are_never_overwritten(family_folder: Any, tmp_path: Path) -> None:
    base = Path(shutil.copytree(family_folder("qwen2_5"), tmp_path / "all" / "base"))
    made = lora(base, tmp_path / "all" / "adapter")
    for folder in (base, made):
        (folder / "swiftkit.json").write_text("{}")  # as if it were an earlier export
    for target in ("all/base", "all/adapter", "all", ".", "all/../all/base"):
        done = export(base, made, "--export_dir", target, "--overwrite")
        assert done.returncode == 2, target
        assert "is or holds" in done.stderr
    assert (base / "model.safetensors").is_file()
    assert (made / "adapter_model.safetensors").is_file()


def test_changed_stop_tokens_of_the_base_are_another_export(family_folder: Any, tmp_path: Path) -> None:
    base = Path(shutil.copytree(family_folder("qwen2_5"), tmp_path / "base"))
    made = lora(base, tmp_path / "adapter")
    assert export(base, made, "--export_dir", "merged").returncode == 0
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    again = export(base, made, "--export_dir", "merged")
    assert again.returncode == 2
    assert export(base, made, "--export_dir", "merged", "--overwrite").returncode == 0
    assert _generation(Path("merged"))["eos_token_id"] == [2, 7]


# Points in the making at which command and child are killed, as Python's audit hooks see them: event, path, mode.
POINTS = {
    "when the child begins": ("open", "/.job.json", "r"),
    "when the tokenizer is copied": ("open", "/tokenizer.json", "w"),
    "when the config is written": ("open", "/config.json", "w"),
    "when the origin is written": ("open", "/swiftkit.json", "w"),
    "when it is renamed": ("os.rename", "", ""),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_export_leaves_nothing_under_the_final_name(point: str, family_folder: Any, adapter: Path) -> None:
    base = family_folder("qwen2_5")
    words = ["--ckpt", str(adapter), "--model_type", "qwen2_5-0_5b-instruct", "--model_id_or_path", str(base)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests" / "kill"),
        "KILL_AT": "|".join(POINTS[point]),
    }
    killed = subprocess.run(
        [*SWIFTKIT, "export", *words, "--merge_lora", "--export_dir", "merged"], env=environment, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not Path("merged").exists()
    again = export(base, adapter, "--export_dir", "merged")
    assert again.returncode == 0, again.stderr
    assert {p.name for p in Path().iterdir() if "partial" in p.name or "former" in p.name} == set()
    origin = json.loads(Path("merged/swiftkit.json").read_text())
    assert all(runs.sha256(Path("merged") / name) == digest for name, digest in origin["files"].items())


def test_sharded_base_merges_file_by_file(family_folder: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole = family_folder("qwen2_5")
    base = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32).save_pretrained(base, max_shard_size="60KB")
    AutoTokenizer.from_pretrained(whole).save_pretrained(base)
    assert len(list(base.glob("model-*.safetensors"))) > 2
    adapter = lora(base, tmp_path / "adapter")
    assert export(base, adapter, "--export_dir", "merged", "--dtype", "fp32").returncode == 0
    assert sorted(p.name for p in Path("merged").glob("model*")) == sorted(p.name for p in base.glob("model*"))
    prompts = list(chat.prompts(TURNS, chat.load("qwen2_5"), tokenization.load(base)))
    assert plain_answers(Path("merged"), None, prompts, 20, [2]) == plain_answers(base, adapter, prompts, 20, [2])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
    ],
)
def test_adapters_that_are_more_than_two_factors_are_refused(
    options: dict[str, Any], named: str, family_folder: Any, tmp_path: Path
) -> None:
    base = family_folder("qwen2_5")
    made = lora(base, tmp_path / "adapter", targets=["q_proj", "v_proj"], **options)
    done = export(base, made, "--export_dir", "merged")
    assert done.returncode == 2
    assert named in done.stderr
    assert not Path("merged").exists()


def test_adapter_of_another_shape_is_refused(family_folder: Any, adapter: Path, tmp_path: Path) -> None:
    from conftest import build

    other = build(tmp_path / "other", "qwen2_5", hidden_size=32, intermediate_size=48)
    done = export(other, adapter, "--export_dir", "merged")
    assert done.returncode == 2
    assert "does not fit the base model" in done.stderr
    assert "32 in the base" in done.stderr


def test_adapter_of_another_architecture_is_refused(family_folder: Any, adapter: Path) -> None:
    named = ["--model_type", "phi3-4b-4k-instruct", "--model_id_or_path", str(family_folder("phi3"))]
    done = swiftkit("export", "--ckpt", str(adapter), *named, "--merge_lora")
    assert done.returncode == 2
    assert "the base has no such layer" in done.stderr


def test_adapter_whose_base_is_gone_is_refused(family_folder: Any, tmp_path: Path) -> None:
    base = Path(shutil.copytree(family_folder("qwen2_5"), tmp_path / "base"))
    adapter = lora(base, tmp_path / "adapter")
    shutil.rmtree(base)
    done = swiftkit("export", "--ckpt", str(adapter), "--merge_lora")
    assert done.returncode == 2
    assert f"is gone: {base}" in done.stderr
    assert "--model_id_or_path" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no run"),
        (["--merge_lora"], "there is no run"),
        (["--merge_lora", "--ckpt", "v0"], "no run is named `v0`"),
        (["--merge_lora", "--ckpt", "output/nothing/v0-x/checkpoint-9"], "does not exist"),
        (["--merge_lora", "--ckpt", "base"], "there is no run"),
        (["--merge_lora", "--model_type", "tiny-math"], "there is no run"),
        (["--merge_lora", "--ckpt", "."], "holds neither an adapter"),
        (["--merge_lora", "--ckpt", str(ROOT / "models" / "tiny-math")], "without an adapter"),
        (["--merge_lora", "--to"], "--to needs a value"),
        (["--merge_lora", "--ckpt", ""], "--ckpt needs a value"),
        (["--merge_lora", "--ckpt", "~nobody-of-this-name/x"], "is no usable path"),
        (["--merge_lora", "--ckpt", "a" * 300], "is no usable path"),
        (["--merge_lora", "--quant_bits", "4"], "not offered"),
        (["--merge_lora", "--batch_size", "4"], "it is a flag of `swiftkit sft`"),
    ],
)
def test_bad_words_are_refused(words: list[str], said: str) -> None:
    done = swiftkit("export", *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_shipped_template_has_no_tags_of_ours_and_the_system_prompt_of_the_training() -> None:
    for name in ("qwen2_5", "qwen3", "chatml", "ernie", "phi3", "zephyr"):
        shipped = chat.compile(companions.chat_template(name, 'Answer in steps, with {{ braces }} and "quotes".'), name)
        assert "generation" not in companions.chat_template(name, None).replace("add_generation_prompt", "")
        told = [{"role": "system", "content": 'Answer in steps, with {{ braces }} and "quotes".'}, *TURNS[0]]
        assert shipped.render(TURNS[0], add_generation_prompt=True) == chat.load(name).render(
            told, add_generation_prompt=True
        )
        assert shipped.render(TURNS[1], add_generation_prompt=True) == chat.load(name).render(
            TURNS[1], add_generation_prompt=True
        )
