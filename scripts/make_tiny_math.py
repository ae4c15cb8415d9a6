"""Make registry/tiny_math: a Llama of a million parameters with its tokenizer, from random weights.

    python scripts/make_tiny_math.py [steps]

It reads word problems of the same kinds as `math-sft` and answers them without steps and without markers: enough
that a fine-tuning has something to teach. A later version of this project trains it properly.
"""

import random
import sys
import time
from pathlib import Path

import torch
from make_math import KINDS
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from swiftkit import chat

ROOT = Path(__file__).parent.parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def conversation(r):
    question, steps, answer = r.choice(KINDS)(r)
    said = str(answer) if r.random() < 0.7 else f"{steps.splitlines()[-1]}."
    return [{"role": "user", "content": question}, {"role": "assistant", "content": said}]


def tokenizer():
    """Byte-level BPE of 2,048 tokens, digits one by one, learned on the project's own sentences."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    made.decoder = decoders.ByteLevel()
    r = random.Random(0)
    texts = [m["content"] for _ in range(20000) for m in conversation(r)]
    # Beyond its own problems it should know some English: this project's texts are all that is at hand.
    for pattern in ("datasets/*.jsonl", "*.md", "docs/*.md", "swiftkit/**/*.py", "scripts/*.py"):
        texts += [p.read_text(encoding="utf-8") for p in sorted(ROOT.glob(pattern))]
    trainer = trainers.BpeTrainer(
        vocab_size=2048, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(texts, trainer)
    return made


def batch(r, made, size):
    rows = list(chat.encode([conversation(r) for _ in range(size)], chat.load("chatml"), made))
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros(size, width, dtype=torch.long)
    labels = torch.full((size, width), chat.IGNORED)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        labels[i, : len(row.ids)] = torch.tensor(row.ids)
    return ids, labels


def main(steps):
    torch.manual_seed(0)
    made = tokenizer()
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    r, began = random.Random(3), time.time()
    for step in range(steps):
        ids, labels = batch(r, made, 64)
        loss = model(input_ids=ids, attention_mask=(labels != chat.IGNORED).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 0:
            print(step, round(loss.item(), 3), f"{time.time() - began:.0f} s", flush=True)
    folder = ROOT / "registry" / "tiny_math"
    model.generation_config.eos_token_id = 2
    model.to(torch.bfloat16).save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=2048,
    )
    plain = (ROOT / "templates" / "chatml.jinja").read_text()
    wrapped.chat_template = plain
    wrapped.save_pretrained(folder)
    print(sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 800)
