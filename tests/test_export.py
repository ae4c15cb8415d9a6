"""The content of an exported folder: plain transformers loads it, and it answers like the adapter on its base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from support.commands import SESSION, swiftkit
from support.models import ARCHITECTURES, lora, plain_answers
from swiftkit.chat import template as templates
from swiftkit.chat import tokenizer
from swiftkit.chat.encode import ChatEncoder
from swiftkit.chat.stops import stop_text
from swiftkit.exports import artifacts
from swiftkit.models import registry
from swiftkit.schema import Message

TURNS: list[list[Message]] = [
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


@dataclass(frozen=True)
class Exported:
    """A base model, an adapter for it, and the folder into which `export` has merged them."""

    family: str
    base: Path
    adapter: Path
    folder: Path

    @property
    def encoder(self) -> ChatEncoder:
        """Text to tokens as in training."""
        return ChatEncoder(tokenizer.load(self.base), templates.load(registry.families()[self.family].template))

    @property
    def stops(self) -> list[int]:
        """The tokens that generation_config.json ends answers at."""
        return stop_ids(self.folder)


@pytest.fixture
def exported(family_folder: Callable[[str], Path]) -> Callable[[str], Exported]:
    """Name of a family to its exported model in fp32, exported once for all workers."""

    def get(family: str) -> Exported:
        home = SESSION / "exported" / family
        base = family_folder(family)
        result = Exported(family, base, home / "adapter", home / "merged")
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{home}.lock"):
            if not result.folder.exists():
                declared = registry.families()[family]
                lora(base, result.adapter, targets=declared.lora_targets)
                export(base, result.adapter, "--dtype", "fp32", name=next(iter(declared.models)), cwd=home)
        return result

    return get


def export(
    base: Path, adapter: Path, *words: str, name: str = "qwen2_5-0_5b-instruct", cwd: Path | None = None
) -> Path:
    """Merge an adapter into `./merged`, of the model type `name`."""
    model = ["--model_type", name, "--model_id_or_path", str(base)]
    command = ["export", "--ckpt", str(adapter), *model, "--merge_lora", "--export_dir", "merged", *words]
    done = swiftkit(*command, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return Path("merged")


def stop_ids(folder: Path) -> list[int]:
    """`eos_token_id` of generation_config.json, as a list."""
    stops = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    return stops if isinstance(stops, list) else [stops]


def merged_by_peft(base: Path, adapter: Path) -> dict[str, Any]:
    """The weights that PEFT's own merge gives, in fp32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    weights: dict[str, Any] = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    return weights


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_answers_equal_those_of_the_adapter_in_fp32(family: str, exported: Callable[[str], Exported]) -> None:
    result = exported(family)
    prompts = list(result.encoder.prompts(TURNS))
    with_adapter = plain_answers(result.base, result.adapter, prompts, 24, result.stops)
    without = plain_answers(result.base, None, prompts, 24, result.stops)
    assert with_adapter != without, "this adapter must change answers"
    assert plain_answers(result.folder, None, prompts, 24, result.stops) == with_adapter


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_weights_equal_those_of_pefts_merge(family: str, exported: Callable[[str], Exported]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    result = exported(family)
    expected = merged_by_peft(result.base, result.adapter)
    weights = AutoModelForCausalLM.from_pretrained(result.folder).state_dict()
    assert set(weights) == set(expected)
    for name, tensor in expected.items():
        assert weights[name].dtype == torch.float32
        assert torch.allclose(weights[name], tensor, atol=1e-6), name


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_transformers_renders_the_prompts_of_training(family: str, exported: Callable[[str], Exported]) -> None:
    """transformers' own tokenizer and template, as a server uses them, give the tokens of training."""
    from transformers import AutoTokenizer

    result = exported(family)
    by_transformers = AutoTokenizer.from_pretrained(result.folder)
    for turns in TURNS[:3]:
        (ids,) = result.encoder.prompts([turns])
        assert by_transformers.apply_chat_template(turns, add_generation_prompt=True, return_dict=False) == ids
    text = by_transformers.apply_chat_template(TURNS[3], add_generation_prompt=True, tokenize=False)
    assert text == result.encoder.template.render(TURNS[3], add_generation_prompt=True)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_generation_stops_at_the_trained_token(family: str, exported: Callable[[str], Exported]) -> None:
    result = exported(family)
    trained = result.encoder.tokenizer.token_to_id(stop_text(result.encoder.template))
    assert trained is not None
    assert trained in result.stops


def test_code_stays_behind_and_the_tokenizer_is_unchanged(
    exported: Callable[[str], Exported], family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    result = exported("phi3")
    base = Path(shutil.copytree(family_folder("phi3"), tmp_path / "base"))
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    code = {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}
    (base / "config.json").write_text(json.dumps(config | {"auto_map": code}))
    (base / "modeling_phi3.py").write_text("raise SystemExit")
    folder = export(base, result.adapter, name="phi3-4b-4k-instruct")
    assert (folder / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert "auto_map" not in (folder / "config.json").read_text(encoding="utf-8")
    assert not list(folder.glob("*.py"))
    assert {p.stat().st_mode & 0o444 for p in folder.iterdir()} == {0o444}, "a server is another user"


@pytest.mark.parametrize("options", [{"use_rslora": True}, {"use_dora": True}])
def test_scaled_and_weight_decomposed_adapters_are_merged(
    options: dict[str, Any], family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base = family_folder("qwen2_5")
    adapter = lora(base, tmp_path / "adapter", **options)
    folder = export(base, adapter, "--dtype", "fp32")
    expected = merged_by_peft(base, adapter)
    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all(torch.allclose(weights[name], expected[name], atol=1e-5) for name in expected)


def test_answers_in_bf16_differ_at_near_ties_only(family_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Where answers differ, both tokens have, in fp32, nearly the probability of the likeliest one."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = family_folder("qwen2_5")
    adapter = lora(base, tmp_path / "adapter")
    folder = export(base, adapter, "--dtype", "bf16")
    encoder = ChatEncoder(tokenizer.load(base), templates.load("qwen2_5"))
    turns: list[list[Message]] = [
        [{"role": "user", "content": f"What is {i} + {i * 7}? How many apples?"}] for i in range(12)
    ]
    prompts = list(encoder.prompts(turns))
    by_merged = plain_answers(folder, None, prompts, 24, [2], "bfloat16")
    by_adapter = plain_answers(base, adapter, prompts, 24, [2], "bfloat16")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    exact = PeftModel.from_pretrained(model, adapter).eval()
    different = [(p, a, b) for p, a, b in zip(prompts, by_merged, by_adapter, strict=True) if a != b]
    for prompt, one, other in different:
        pairs = enumerate(zip([*one, 2], [*other, 2], strict=False))
        place = next(i for i, (a, b) in pairs if a != b)
        with torch.no_grad():
            logits = exact(torch.tensor([prompt + other[:place]])).logits[0, -1]
        probabilities = logits.softmax(-1)
        for token in ([*one, 2][place], [*other, 2][place]):
            assert probabilities[token] > 0.95 * probabilities.max(), "not a near-tie: a real difference"
    answers = list(zip(by_merged, by_adapter, strict=True))
    shared = sum(len(list(takewhile(lambda both: both[0] == both[1], zip(*pair, strict=False)))) for pair in answers)
    assert shared > sum(map(len, by_adapter)) / 4, "random weights have near-ties, but not from the first token on"


def test_sharded_base_is_merged_file_by_file(family_folder: Callable[[str], Path], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole = family_folder("qwen2_5")
    base = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32).save_pretrained(base, max_shard_size="60KB")
    AutoTokenizer.from_pretrained(whole).save_pretrained(base)
    assert len(list(base.glob("model-*.safetensors"))) > 2
    adapter = lora(base, tmp_path / "adapter")
    folder = export(base, adapter, "--dtype", "fp32")
    assert sorted(p.name for p in folder.glob("model*")) == sorted(p.name for p in base.glob("model*"))
    prompts = list(ChatEncoder(tokenizer.load(base), templates.load("qwen2_5")).prompts(TURNS))
    assert plain_answers(folder, None, prompts, 20, [2]) == plain_answers(base, adapter, prompts, 20, [2])


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "chatml", "ernie", "phi3", "zephyr"])
def test_served_template_has_the_system_prompt_of_the_training(name: str) -> None:
    system = 'Answer in steps, with {{ braces }} and "quotes".'
    template = templates.load(name)
    served = templates.compile(artifacts.served_template(template, system), name)
    without_system = artifacts.served_template(template, None)
    assert "generation" not in without_system.replace("add_generation_prompt", "")
    with_system: list[Message] = [{"role": "system", "content": system}, *TURNS[0]]
    expected = template.render(with_system, add_generation_prompt=True)
    assert served.render(TURNS[0], add_generation_prompt=True) == expected
    expected = template.render(TURNS[1], add_generation_prompt=True)
    assert served.render(TURNS[1], add_generation_prompt=True) == expected


TEMPLATE = """\
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + ' TRAINED:\\n' -}}
    {%- if message.role == 'assistant' -%}
        {%- generation -%}{{- message.content + '<|im_end|>' -}}{%- endgeneration -%}
    {%- else -%}
        {{- message.content + '<|im_end|>' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant TRAINED:\\n' -}}{%- endif -%}
"""
FAMILY = """\
template: mine
special_tokens: ['<|im_start|>', '<|im_end|>']
architectures: [Qwen2ForCausalLM]
swift: {model_type: qwen2, template: chatml}
lora_targets: [q_proj, v_proj]
models: {mine-1b: {parameters: 1.0e9}}
"""


def test_template_is_the_one_of_the_training_after_its_file_has_changed(
    family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    for kind, name, text in (("registry", "mine.yaml", FAMILY), ("templates", "mine.jinja", TEMPLATE)):
        (tmp_path / "added" / kind).mkdir(parents=True)
        (tmp_path / "added" / kind / name).write_text(text)
    model = ["--model_type", "mine-1b", "--model_id_or_path", str(family_folder("qwen2_5"))]
    trained = swiftkit("sft", "--registry", "added", *model, "--dataset", "math-sft#40", "--max_steps", "2")
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "added" / "templates" / "mine.jinja").write_text(TEMPLATE.replace("TRAINED", "CHANGED"))
    for words in ([], ["--registry", "added"]):
        done = swiftkit("export", "--merge_lora", "--export_dir", "merged", "--overwrite", *words)
        assert done.returncode == 0, done.stderr
        served = Path("merged/chat_template.jinja").read_text(encoding="utf-8")
        assert served == templates.strip_generation_tags(TEMPLATE)
        assert json.loads(Path("merged/swiftkit.json").read_text())["template"] == {"name": "mine", "text": TEMPLATE}
