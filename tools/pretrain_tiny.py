"""Train tiny-math or tiny-math-ernie from random weights: the embedded models, small enough to ship.

    OMP_NUM_THREADS=1 python tools/pretrain_tiny.py qwen2_5 models/tiny-math
    OMP_NUM_THREADS=1 python tools/pretrain_tiny.py ernie4_5 models/tiny-math-ernie

They learn to solve elementary word problems and arithmetic in words and equations, in English and in Chinese, in the
chat format of their family. They never see an answer marker, three (in Chinese: one) of the exam's types of problem,
or a question of the exams. With one thread, the same machine makes the same weights again.

What happened is written to `tools/pretraining/<name>.jsonl`: losses, right answers on problems that were not trained
on, hours, machine, versions, and a hash of the weights at every check.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import random
import string
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import problems
import problems_zh
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models

from swiftkit import chat

ROOT = Path(__file__).parent.parent
LOGS = Path(__file__).parent / "pretraining"
SEED = 20261122
VOCABULARY = 1280
PROMPT_WEIGHT = 0.1  # how much a token of the question counts, beside one of the answer
BATCH = 48
POOL = 24  # batches whose rows are sorted by length together, so that little is padding
PEAK = 4e-3
WARM_UP = 100
CHECKS = 8

# https://github.com/huggingface/transformers, tokenization of Qwen2: words, single digits, punctuation, white space
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Family:
    """What the two families differ in.

    Attributes:
        template: name of the chat template.
        special: tokens in the order of their ids.
        stops: what ends an answer.
        turn_end: what ends a turn where another one follows.
        end: what ends a document.
        bos: the configuration's first token, or None.
    """

    template: str
    model: str
    special: tuple[str, ...]
    eos: str
    pad: str
    stops: tuple[str, ...]
    turn_end: str
    end: str
    bos: str | None = None


QWEN_SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> "
    "<|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> "
    "<|video_pad|>"
).split()
FAMILIES = {
    "qwen2_5": Family(
        "qwen2_5", "Qwen2", tuple(QWEN_SPECIAL), "<|im_end|>", "<|endoftext|>", ("<|im_end|>", "<|endoftext|>"),
        "<|im_end|>", "<|endoftext|>",
    ),
    "ernie4_5": Family(
        "ernie", "Ernie4_5", ("<unk>", "<s>", "</s>", "<|begin_of_sentence|>", "<|end_of_sentence|>"), "</s>", "<unk>",
        ("</s>", "<|end_of_sentence|>"), "<|end_of_sentence|>", "</s>", "<s>",
    ),
}  # fmt: skip

SYSTEMS = [
    "You are a helpful assistant.",
    "You are a careful maths tutor.",
    "Answer briefly.",
    "Answer step by step.",
    "You help children with arithmetic.",
    "你是一个数学老师。",
]
GREETINGS = ["Hello!", "Hi", "Good morning", "Hi, who are you?", "Hello, what can you do?", "你好", "你是谁？"]
REPLIES = ["Hello! Give me a word problem.", "Hi! I solve small word problems.", "你好！请给我一道数学题。"]
# Latin with accents, Greek, Cyrillic, Devanagari, signs, kana, Chinese, Hangul, pictographs: so that a text in them has
# hardly a byte that was never seen.
SCRIPTS = [
    (0xA1, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x905, 0x939), (0x2010, 0x22FF), (0x3041, 0x30FF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0x1F300, 0x1F64F),
]  # fmt: skip
SHARES = {"known": 45, "arithmetic": 27, "chinese": 22, "talk": 6}


class Conversations:
    """The stream of conversations, the same for the same seed."""

    def __init__(self, seed: int, forbidden: set[str]) -> None:
        self.r = random.Random(seed)
        self.forbidden = forbidden
        self.counts: Counter[str] = Counter()

    def problem(self, kind: str) -> problems.Problem:
        """A problem that no exam asks."""
        while True:
            if kind == "chinese":
                types = problems_zh.KNOWN + problems_zh.ONLY_PRETRAINING
                made = problems_zh.make(self.r.choice(types), self.r)
            elif kind == "known":
                made = problems.make(self.r.choice(problems.KNOWN), self.r)
            else:
                made = problems.make(self.r.choice(problems.ONLY_PRETRAINING), self.r)
            if made.question not in self.forbidden:
                return made

    def talk(self) -> list[dict[str, str]]:
        """Other things than mathematics: greetings, and repeating words, signs and letters of other scripts."""
        if self.r.random() < 0.15:
            asked = self.r.choice(GREETINGS)
            chinese = asked[0] == "你"
            return _turns(asked, self.r.choice(REPLIES[2:] if chinese else REPLIES[:2]))
        kind = self.r.random()
        if kind < 0.3:
            first, last = self.r.choice(SCRIPTS)
            word = "".join(chr(self.r.randint(first, last)) for _ in range(6))
        elif kind < 0.6:
            word = "".join(self.r.choices(string.ascii_letters + string.digits + string.punctuation, k=8))
            if "<<" in word or "{{" in word:
                word = word[::2]
            if "<<" in word or "{{" in word:
                word = "swift"
        else:
            word = " ".join(self.r.choice(self.problem("known").question.split()) for _ in range(self.r.randint(1, 6)))
        return _turns(self.r.choice(["Repeat: {}", "Say: {}", "Write this again: {}"]).format(word), word)

    def __iter__(self) -> Iterator[list[dict[str, str]]]:
        kinds, weights = list(SHARES), list(SHARES.values())
        while True:
            turns: list[dict[str, str]] = []
            for _ in range(2 if self.r.random() < 0.08 else 1):
                kind = self.r.choices(kinds, weights)[0]
                if kind == "talk":
                    turns += self.talk()
                    self.counts[kind] += 1
                else:
                    made = self.problem(kind)
                    turns += _turns(made.question, made.solution)
                    self.counts[made.type] += 1
            yield self.system() + turns

    def system(self) -> list[dict[str, str]]:
        """No system message, which means the family's default; an empty one, which means no block; or another one."""
        place = self.r.random()
        if place < 0.4:
            return []
        return [{"role": "system", "content": "" if place < 0.8 else self.r.choice(SYSTEMS)}]


def _turns(asked: str, said: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]


def forbidden() -> set[str]:
    """The questions of the exams."""
    return {
        json.loads(line)["messages"][0]["content"]
        for path in sorted((ROOT / "datasets").glob("math-exam*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    }


def make_tokenizer(family: Family) -> Tokenizer:
    """Byte-level BPE with Qwen2's rule for words, learned on the conversations' own text."""
    made = Tokenizer(tokenizer_models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    template = chat.load(family.template)
    stream = iter(Conversations(SEED - 1, forbidden()))
    # Special tokens are no words: they are cut out before the merges are learned.
    texts = []
    for _ in range(30_000):
        text = template.render(next(stream))
        for token in family.special:
            text = text.replace(token, "")
        texts.append(text)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(family.special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in family.special])
    assert made.get_vocab_size() == VOCABULARY
    return made


def make_model(family: Family, tokenizer: Tokenizer) -> Any:
    """The family's architecture with random weights."""
    ids = {
        "eos_token_id": tokenizer.token_to_id(family.eos),
        "pad_token_id": tokenizer.token_to_id(family.pad),
        "bos_token_id": tokenizer.token_to_id(family.bos) if family.bos else None,
    }
    extra = {"head_dim": 32} if family.model == "Ernie4_5" else {}
    config = getattr(transformers, family.model + "Config")(**SIZES, **extra, **ids)
    # PyTorch's fused attention takes half of a step's time on a CPU for its backward pass, at this length; plain less.
    made: Any = getattr(transformers, family.model + "ForCausalLM")
    return made._from_config(config, attn_implementation="eager")


@dataclass(frozen=True)
class Row:
    """Token ids of a document and the weight of each in the loss."""

    ids: list[int]
    weights: list[float]


def rows(family: Family, tokenizer: Tokenizer, seed: int) -> Iterator[Row]:
    """Documents without end: conversations as the template renders them, and the token that ends a document.

    ERNIE's template ends a last answer with the token that ends a document, and other answers with another one; here
    every second document has both, so that a model ends its answers with either.
    """
    template, end = chat.load(family.template), tokenizer.token_to_id(family.end)
    turn_end = tokenizer.token_to_id(family.turn_end)
    stream = iter(Conversations(seed, forbidden()))
    count = 0
    while True:
        for encoded in chat.encode([next(stream) for _ in range(256)], template, tokenizer):
            ids = list(encoded.ids)
            weights = [PROMPT_WEIGHT if label == chat.IGNORED else 1.0 for label in encoded.labels]
            count += 1
            if ids[-1] != end:
                ids, weights = [*ids, end], [*weights, 1.0]
            elif count % 2:
                ids, weights = [*ids[:-1], turn_end, end], [*weights, 1.0]
            yield Row(ids, weights)


def batches(stream: Iterator[Row], pad: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and weights, each [rows, tokens]; rows of like length together, batches in random order."""
    r = random.Random(seed)
    while True:
        pool = sorted((next(stream) for _ in range(BATCH * POOL)), key=lambda row: len(row.ids))
        starts = list(range(0, len(pool), BATCH))
        r.shuffle(starts)
        for start in starts:
            part = pool[start : start + BATCH]
            width = max(len(row.ids) for row in part)
            ids = torch.full((len(part), width), pad)
            weights = torch.zeros(len(part), width)
            for i, row in enumerate(part):
                ids[i, : len(row.ids)] = torch.tensor(row.ids)
                weights[i, : len(row.ids)] = torch.tensor(row.weights)
            yield ids, weights


def loss_of(model: Any, ids: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The weighted mean of the cross entropy, to be minimised, and the plain mean over answers, in nats a token."""
    # Padding stands on the right, where causal attention never looks from a token that counts: no mask is needed.
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none"
    )
    w = weights[:, 1:].reshape(-1)
    answers = each[w == 1].mean().item()
    return (each * w).sum() / w.sum(), answers


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a straight line to nothing."""
    return min((step + 1) / WARM_UP, (steps - step) / (steps - WARM_UP))


@torch.inference_mode()
def solved(model: Any, tokenizer: Tokenizer, family: Family, count: int) -> dict[str, float]:
    """Share of problems of each type whose last line holds the answer, `count` each, none of them trained on."""
    r = random.Random(5)
    template, pad = chat.load(family.template), tokenizer.token_to_id(family.pad)
    asked = [
        module.make(type, r)
        for module in (problems, problems_zh)
        for type in [*module.KNOWN, *module.NEW, *module.ONLY_PRETRAINING]
        for _ in range(count)
    ]
    conversations = [[{"role": "user", "content": problem.question}] for problem in asked]
    prompts = [tokenizer.encode(template.render(c, add_generation_prompt=True)).ids for c in conversations]
    stops = [tokenizer.token_to_id(token) for token in family.stops]
    right: Counter[str] = Counter()
    model.eval()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), 128):
        part = order[start : start + 128]
        width = max(len(prompts[i]) for i in part)
        ids = torch.tensor([[pad] * (width - len(prompts[i])) + prompts[i] for i in part])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in part])
        with torch.autocast("cpu", torch.bfloat16):
            made = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=80, do_sample=False, eos_token_id=stops,
                pad_token_id=pad,
            )  # fmt: skip
        for i, out in zip(part, made[:, width:].tolist(), strict=True):
            end = next((k for k, token in enumerate(out) if token in stops), len(out))
            lines = tokenizer.decode(out[:end]).splitlines() or [""]
            right[asked[i].type] += (
                lines[-1].rstrip("。.") == asked[i].closing.rstrip("。.") or _last(lines[-1]) == asked[i].answer
            )
    model.train()
    return {problem.type: round(right[problem.type] / count, 3) for problem in asked}


def _last(line: str) -> int | None:
    found = "".join(c if c in string.digits else " " for c in line).split()
    return int(found[-1]) if found else None


def fingerprint(model: Any) -> str:
    """A hash of all weights."""
    digest = hashlib.sha256()
    for _, value in sorted(model.state_dict().items()):
        digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def machine() -> dict[str, Any]:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def train(name: str, folder: Path, steps: int, stop: int | None = None) -> None:
    """Train, log, save."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    family = FAMILIES[name]
    tokenizer = make_tokenizer(family)
    model = make_model(family, tokenizer)
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    # Muon (https://kellerjordan.github.io/posts/muon/) reaches in a third of the steps the loss that AdamW reaches.
    optimizers: list[Any] = [
        torch.optim.Muon(hidden, lr=PEAK, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=PEAK, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    log = LOGS / f"{folder.name}.jsonl"
    log.parent.mkdir(exist_ok=True)
    began, tokens, recent = time.monotonic(), 0, []
    stream = batches(rows(family, tokenizer, SEED), tokenizer.token_to_id(family.pad), SEED)
    with log.open("w", encoding="utf-8") as out:

        def note(**what: Any) -> None:
            out.write(json.dumps({**what, "seconds": round(time.monotonic() - began)}) + "\n")
            out.flush()

        note(event="start", seed=SEED, steps=steps, parameters=sum(p.numel() for p in model.parameters()), **machine())
        for step in range(stop or steps):
            for each in optimizers:
                for group in each.param_groups:
                    group["lr"] = PEAK * rate(step, steps)
            ids, weights = next(stream)
            loss, answers = loss_of(model, ids, weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for each in optimizers:
                each.step()
                each.zero_grad()
            tokens += int((weights > 0).sum())
            recent.append(answers)
            if (step + 1) % 25 == 0:
                note(event="step", step=step + 1, answer_loss=round(sum(recent) / len(recent), 4), tokens=tokens)
                recent = []
            if (step + 1) % (steps // CHECKS) == 0 or step + 1 == steps:
                note(
                    event="check",
                    step=step + 1,
                    weights=fingerprint(model),
                    solved=solved(model, tokenizer, family, 20),
                )
        save(model, tokenizer, family, folder)
        shipped = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        note(event="saved", file="model.safetensors", sha256=shipped)
    picture(log, folder.name)


def save(model: Any, tokenizer: Tokenizer, family: Family, folder: Path) -> None:
    """A model folder as transformers writes it, weights in bf16."""
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=[tokenizer.token_to_id(token) for token in family.stops],
        pad_token_id=model.config.pad_token_id,
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        model_max_length=SIZES["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = (ROOT / "templates" / f"{family.template}.jinja").read_text(encoding="utf-8")
    wrapped.save_pretrained(folder)


def picture(log: Path, name: str) -> None:
    """Loss and right answers over the steps, as a picture beside the log."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    steps = [e for e in events if e["event"] == "step"]
    checks = [e for e in events if e["event"] == "check"]
    figure, left = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    left.semilogy([e["step"] for e in steps], [e["answer_loss"] for e in steps], color="tab:blue")
    left.set(xlabel="step", ylabel="loss on answers (nats a token)", title=f"pre-training of {name}")
    right = left.twinx()
    new = {t.__name__ for t in problems.NEW} | {f"{t.__name__}_zh" for t in problems_zh.NEW}
    for label, chosen, colour in (("types trained on", False, "tab:green"), ("types never met", True, "tab:red")):
        shares = [[v for k, v in e["solved"].items() if (k in new) == chosen] for e in checks]
        right.plot(
            [e["step"] for e in checks], [100 * sum(s) / len(s) for s in shares], "o-", color=colour, label=label
        )
    right.set(ylabel="% solved", ylim=(-3, 103))
    right.legend(loc="center right")
    figure.savefig(log.with_suffix(".png"), dpi=110)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--stop", type=int, help="end after so many steps: to see whether it goes the same way again")
    given = parser.parse_args()
    train(given.family, given.folder, given.steps, given.stop)


if __name__ == "__main__":
    main()
