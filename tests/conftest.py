"""Real things, small: two-layer models of each family's architecture, tokenizers of each family's kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

# The files that take minutes begin first, so that neither worker is left alone with one at the end.
LONGEST = ["test_exam.py", "test_training.py", "test_tiny.py", "test_demo.py", "test_export.py", "test_cli.py"]
# Two workers train at the same time on two cores; with a thread a core each, they would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
SWIFTKIT = [sys.executable, "-m", "swiftkit"]

# Which architecture a family's two-layer model has, its tokenizer's kind, and the tokens that its template needs;
# the second of them is the bos token, and `stop` the eos token, where it is another one than the kind's.
QWEN = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN3 = [*QWEN, "<think>", "</think>"]
ERNIE = ["<unk>", "<s>", "</s>", "<|begin_of_sentence|>", "<|end_of_sentence|>"]
PHI3 = ["<unk>", "<s>", "</s>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
LLAMA3 = ["<|end_of_text|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
SENTENCEPIECE = ["<unk>", "<s>", "</s>"]
TEKKEN = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
R1 = [
    "<pad>",
    "<｜begin▁of▁sentence｜>",
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<think>",
    "</think>",
]
GEMMA = ["<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]
GLM = ["<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


def family(model: str, kind: str, special: list[str], **more: Any) -> dict[str, Any]:
    return {"model": model, "kind": kind, "special": special, **more}


FAMILIES: dict[str, dict[str, Any]] = {
    "deepseek_r1_distill_llama": family("Llama", "bytes", R1, stop="<｜end▁of▁sentence｜>"),
    "deepseek_r1_distill_qwen": family("Qwen2", "bytes", R1, stop="<｜end▁of▁sentence｜>"),
    "ernie4_5": family("Ernie4_5", "pieces", ERNIE),
    "ernie4_5_moe": family("Ernie4_5_Moe", "pieces", ERNIE),
    "ernie4_5_thinking": family(
        "Ernie4_5_Moe", "pieces", ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    ),
    "gemma2": family("Gemma2", "bare pieces", GEMMA, stop="<end_of_turn>"),
    "gemma3": family("Gemma3", "bare pieces", GEMMA, stop="<end_of_turn>", config="Gemma3Text"),
    "glm4": family("Glm4", "bytes", GLM, stop="<|user|>"),
    "llama2": family("Llama", "pieces", SENTENCEPIECE),
    "llama3": family("Llama", "bytes", LLAMA3, stop="<|eot_id|>"),
    "llama3_1": family("Llama", "bytes", LLAMA3, stop="<|eot_id|>"),
    "llama3_base": family("Llama", "bytes", LLAMA3, stop="<|end_of_text|>"),
    "mistral": family("Mistral", "pieces", SENTENCEPIECE),
    "mistral_nemo": family("Mistral", "bytes", TEKKEN, stop="</s>"),
    "mistral_v3": family("Mistral", "pieces", TEKKEN),
    "phi3": family("Phi3", "pieces", PHI3, swallow=True),
    "phi4": family("Phi3", "bytes", [*QWEN, "<|im_sep|>"]),
    "phi4_mini": family(
        "Phi3", "bytes", ["<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"], stop="<|end|>"
    ),
    "qwen2": family("Qwen2", "bytes", QWEN),
    "qwen2_5": family("Qwen2", "bytes", QWEN),
    "qwen2_5_base": family("Qwen2", "bytes", QWEN, stop="<|endoftext|>"),
    "qwen2_5_math": family("Qwen2", "bytes", QWEN),
    "qwen3": family("Qwen3", "bytes", QWEN3),
    "qwen3_base": family("Qwen3", "bytes", QWEN3, stop="<|endoftext|>"),
    "qwen3_instruct": family("Qwen3", "bytes", QWEN3),
    "qwen3_thinking": family("Qwen3", "bytes", QWEN3),
    "qwq": family("Qwen2", "bytes", QWEN3),
    "smollm2": family("Llama", "bytes", QWEN),
    "tinyllama": family("Llama", "pieces", SENTENCEPIECE),
    "yi1_5": family("Llama", "bytes", QWEN),
}
# What hangs on weights, not on tokens, is tested on a family of each architecture; Mistral's layers are Llama's, and
# Gemma 2 has a part of Gemma 3's.
ARCHITECTURES = ["qwen2_5", "qwen3", "ernie4_5", "ernie4_5_moe", "phi3", "tinyllama", "gemma3", "glm4"]
STOP = {"bytes": "<|im_end|>", "pieces": "</s>", "bare pieces": "<eos>"}
CORPUS = [
    "What is 3 + 4? The answer is {{ans:7}}.",
    "User: How many apples are left?\nAssistant: 12 - 5 = 7\n\n<<ans:7>>",
    "小丽看一本240页的故事书。一共看了多少页？",
    "You are a careful maths tutor. Answer briefly, step by step.",
    "#Output#\nThe output must place the final answer within {{ans:xxx}} after reasoning.\n#Math Problem#\n",
    "Natalia sold 48/2 = 24 clips in May and 72 altogether. Hello! Hi, how can I help you with that today?",
]


def tokenizer(kind: str, special: list[str], corpus: list[str], size: int, swallow: bool = False) -> Any:
    """A tokenizer as the families have them: byte-level BPE (Qwen, Llama 3, Tekken), sentence pieces (Llama 2, Phi-3,
    ERNIE), or sentence pieces that add no space in front (Gemma)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "bytes":
        made = Tokenizer(models.BPE())
        made.normalizer = normalizers.NFC()
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        front = [normalizers.Prepend("▁")] if kind == "pieces" else []
        made.normalizer = normalizers.Sequence([*front, normalizers.Replace(" ", "▁")])
        made.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
            + ([decoders.Strip(" ", 1, 0)] if front else [])
        )
        special = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
        alphabet = []
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet)
    made.train_from_iterator(corpus, trainer)
    # Phi-3's turn tokens swallow the white space behind them; others do not.
    made.add_special_tokens(
        [
            AddedToken(token, rstrip=swallow and token.startswith("<|"), normalized=False, special=True)
            for token in special
            if not token.startswith("<0x")
        ]
    )
    return made


def build(folder: Path, family: str, *, corpus: list[str] = CORPUS, vocabulary: int = 700, **sizes: int) -> Path:
    """A model folder with two random layers of the family's real architecture, in bf16, embeddings tied."""
    import torch
    import transformers

    spec = FAMILIES[family]
    made = tokenizer(spec["kind"], spec["special"], corpus, vocabulary, spec.get("swallow", False))
    numbers: dict[str, Any] = {
        "vocab_size": made.get_vocab_size() + 5,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **sizes,
    }
    if spec["model"] == "Ernie4_5_Moe":
        numbers |= {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32, "moe_num_shared_experts": 2}
    torch.manual_seed(0)
    config = getattr(transformers, spec.get("config", spec["model"]) + "Config")(**numbers)
    model = getattr(transformers, spec["model"] + "ForCausalLM")(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    stop = spec.get("stop", STOP[spec["kind"]])
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=stop, pad_token=spec["special"][0])
    declared = yaml.safe_load((ROOT / "registry" / f"{family}.yaml").read_text(encoding="utf-8"))
    wrapped.chat_template = (ROOT / "templates" / f"{declared['template']}.jinja").read_text(encoding="utf-8")
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a family to its two-layer model folder, built once."""
    built: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in built:
            built[family] = build(tmp_path_factory.mktemp(family), family)
        return built[family]

    return get


def lora(base: Path, folder: Path, *, targets: str | list[str] = "all-linear", **options: Any) -> Path:
    """A LoRA adapter with random weights, both factors of it, as PEFT saves it; large enough to change answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    settings = {"r": 4, "lora_alpha": 16, "init_lora_weights": False, "task_type": "CAUSAL_LM", **options}
    config = LoraConfig(target_modules=targets, **settings)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    model.save_pretrained(folder)
    return folder


def plain_answers(
    base: Path, adapter: Path | None, prompts: list[list[int]], limit: int, stops: list[int], dtype: str = "float32"
) -> list[list[int]]:
    """What plain transformers and PEFT answer, greedily, one question at a time; without the stop token."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
    model = PeftModel.from_pretrained(model, adapter).eval() if adapter else model.eval()
    answers = []
    for ids in prompts:
        given = torch.tensor([ids])
        said = model.generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=stops,
        )[0, len(ids) :].tolist()
        answers.append(said[:-1] if said and said[-1] in stops else said)
    return answers


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the user's cache folder: what is worked out once for a model folder."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in a folder of its own, without what the machine's user has set or downloaded."""
    monkeypatch.chdir(tmp_path)
    for name in ("SWIFTKIT_HOME", "SWIFTKIT_MODELS", "HF_HUB_CACHE", "LOG_LEVEL", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def shared(name: str) -> Path:
    """A file of `../shared`; without that folder the test is skipped, or fails where CI is true."""
    path = SHARED / name
    if not path.exists():
        message = f"{name} is not beside this checkout (../shared)"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return path


def swiftkit(
    *words: str, cwd: Path | None = None, timeout: float = 300, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a process of its own."""
    return subprocess.run(
        [*SWIFTKIT, *words],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def write_rows(path: Path, rows: list[Any]) -> Path:
    """Rows as JSON lines; text is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def chat_rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Sound rows with questions of their own."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is {i} + {i}?"},
                {"role": "assistant", "content": f"{i} + {i} = {2 * i}\n<<ans:{2 * i}>>"},
            ]
        }
        for i in range(start, start + count)
    ]


@pytest.fixture(scope="session")
def course_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Qwen2 folder whose tokenizer knows the course's words, so that its rows have a usual length."""
    corpus = shared("data/acp_train_1k.jsonl").read_text(encoding="utf-8").splitlines()
    return build(tmp_path_factory.mktemp("course"), "qwen2_5", corpus=corpus, vocabulary=4000)


def the_run(output: Path) -> Any:
    """The only run under a folder."""
    from swiftkit import runs

    (found,) = runs.listed(output)
    return found


def rows_of(run: Any, part: str) -> list[dict[str, Any]]:
    """Rows that a run has kept."""
    content = (run.path / "data" / f"{part}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.split("\n") if line]


def series(run: Any, kind: str) -> list[dict[str, Any]]:
    """A run's events of one kind."""
    from swiftkit import events

    return [event for event in events.read(run.events) if event["event"] == kind]


def batches(rows: list[dict[str, Any]], base: Path, template: str, size: int) -> list[dict[str, Any]]:
    """Padded batches of a run's rows, as a plain loop wants them."""
    import torch

    from swiftkit import chat, tokenization

    tokenizer = tokenization.load(base, as_it_stands=True)
    encoded = list(chat.encode([row["messages"] for row in rows], chat.load(template), tokenizer))
    made = []
    for start in range(0, len(encoded), size):
        part = encoded[start : start + size]
        width = max(len(e.ids) for e in part)
        pad = [[0] * (width - len(e.ids)) for e in part]
        made.append(
            {
                "input_ids": torch.tensor([e.ids + p for e, p in zip(part, pad, strict=True)]),
                "attention_mask": torch.tensor([[1] * len(e.ids) + p for e, p in zip(part, pad, strict=True)]),
                "labels": torch.tensor([e.labels + [-100] * len(p) for e, p in zip(part, pad, strict=True)]),
            }
        )
    return made


@pytest.fixture
def further_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second family with Llama's architecture, added as a user adds one: a file under $SWIFTKIT_HOME."""
    (tmp_path / "home" / "registry").mkdir(parents=True)
    (tmp_path / "home" / "registry" / "further.yaml").write_text(
        "template: phi4\narchitectures: [LlamaForCausalLM]\nswift: {model_type: llama, template: phi4}\n"
        "lora_targets: [q_proj]\nmodels: {further-1b: {parameters: 1.0e9}}\n"
    )
    monkeypatch.setenv("SWIFTKIT_HOME", str(tmp_path / "home"))
    yield
