"""Two-layer models of each family's real architecture and kind of tokenizer; adapters; plain answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from support.commands import ROOT

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
# What depends on weights, not on tokens, is tested on a family of each architecture; Mistral's layers are Llama's, and
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


def train_tokenizer(kind: str, special: list[str], corpus: list[str], size: int, swallow: bool = False) -> Any:
    """A tokenizer as the families have them: byte-level BPE (Qwen, Llama 3, Tekken), sentence pieces (Llama 2, Phi-3,
    ERNIE), or sentence pieces that add no space in front (Gemma)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        front = [normalizers.Prepend("▁")] if kind == "pieces" else []
        tokenizer.normalizer = normalizers.Sequence([*front, normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
            + ([decoders.Strip(" ", 1, 0)] if front else [])
        )
        special = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
        alphabet = []
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(corpus, trainer)
    # Phi-3's turn tokens swallow the white space behind them; others do not.
    tokenizer.add_special_tokens(
        [
            AddedToken(token, rstrip=swallow and token.startswith("<|"), normalized=False, special=True)
            for token in special
            if not token.startswith("<0x")
        ]
    )
    return tokenizer


def build(folder: Path, family: str, *, corpus: list[str] = CORPUS, vocabulary: int = 700, **sizes: int) -> Path:
    """A model folder with two random layers of the family's real architecture, in bf16, embeddings tied."""
    import torch
    import transformers

    spec = FAMILIES[family]
    tokenizer = train_tokenizer(spec["kind"], spec["special"], corpus, vocabulary, spec.get("swallow", False))
    numbers: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size() + 5,
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
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=stop, pad_token=spec["special"][0]
    )
    declared = yaml.safe_load((ROOT / "registry" / f"{family}.yaml").read_text(encoding="utf-8"))
    wrapped.chat_template = (ROOT / "templates" / f"{declared['template']}.jinja").read_text(encoding="utf-8")
    wrapped.save_pretrained(folder)
    return folder


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
        prompt = torch.tensor([ids])
        generated = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=stops,
        )[0, len(ids) :].tolist()
        answers.append(generated[:-1] if generated and generated[-1] in stops else generated)
    return answers
