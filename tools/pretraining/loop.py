"""The pre-training loop: rows, batches, loss, learning rate, log and saved model."""

from __future__ import annotations

import hashlib
import json
import platform
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from swiftkit.chat import template
from swiftkit.chat.encode import ChatEncoder
from swiftkit.schema import IGNORED

from . import plot
from .conversations import SEED, Conversations, forbidden_questions
from .evaluate import solved
from .families import FAMILIES, MAX_LENGTH, Family, new_model, token_id
from .tokenizer import train_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LOGS = Path(__file__).resolve().parent / "logs"
TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
PROMPT_WEIGHT = 0.1  # weight of a prompt token in the loss; a token of a response has weight 1
BATCH = 48  # rows
POOL = 24  # batches whose rows are sorted by length together, which keeps padding small
CHUNK = 256  # conversations that are encoded together
PEAK_RATE = 4e-3
WARM_UP = 100  # steps
LOG_EVERY = 25  # steps
NUM_CHECKS = 8
PROBLEMS_PER_CHECK = 20  # of each type


@dataclass(frozen=True)
class Row:
    """One document: T token ids and the weight of each token in the loss."""

    ids: list[int]
    weights: list[float]


def rows(family: Family, tokenizer: Tokenizer, seed: int) -> Iterator[Row]:
    """An endless stream of documents: rendered conversations, each followed by the token that ends a document.

    The template of ERNIE ends the last response with the token that ends a document and other responses with the token
    that ends a turn. Here every second document has both, so the model learns to end a response with either.
    """
    document_end, turn_end = token_id(tokenizer, family.document_end), token_id(tokenizer, family.turn_end)
    encoder = ChatEncoder(tokenizer, template.load(family.template))
    stream = iter(Conversations(seed, forbidden_questions()))
    count = 0
    while True:
        for encoded in encoder.encode(list(islice(stream, CHUNK))):
            ids = list(encoded.ids)
            weights = [PROMPT_WEIGHT if label == IGNORED else 1.0 for label in encoded.labels]
            count += 1
            if ids[-1] != document_end:
                ids, weights = [*ids, document_end], [*weights, 1.0]
            elif count % 2:
                ids, weights = [*ids[:-1], turn_end, document_end], [*weights, 1.0]
            yield Row(ids, weights)


def batches(stream: Iterator[Row], pad: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and weights, both [rows, tokens]. Rows of similar length are together; the order of batches is random."""
    rng = random.Random(seed)
    while True:
        pool = sorted(islice(stream, BATCH * POOL), key=lambda row: len(row.ids))
        starts = list(range(0, len(pool), BATCH))
        rng.shuffle(starts)
        for start in starts:
            part = pool[start : start + BATCH]
            width = max(len(row.ids) for row in part)
            ids = torch.full((len(part), width), pad)
            weights = torch.zeros(len(part), width)
            for i, row in enumerate(part):
                ids[i, : len(row.ids)] = torch.tensor(row.ids)
                weights[i, : len(row.ids)] = torch.tensor(row.weights)
            yield ids, weights


def compute_loss(model: Any, ids: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The weighted mean of the cross entropy, to be minimized, and the mean over responses, in nats per token.

    Args:
        model: the language model.
        ids: token ids, [rows, tokens].
        weights: weight of each token, [rows, tokens]; zero for padding.
    """
    # Padding is on the right, and causal attention never sees tokens to the right: no attention mask is needed.
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none"
    )
    flat_weights = weights[:, 1:].reshape(-1)
    response_loss = losses[flat_weights == 1].mean().item()
    return (losses * flat_weights).sum() / flat_weights.sum(), response_loss


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then linear decay to zero. `steps` must exceed `WARM_UP`."""
    return min((step + 1) / WARM_UP, (steps - step) / (steps - WARM_UP))


class Optimizers:
    """Muon for the matrices, AdamW for embeddings and vectors."""

    def __init__(self, model: Any) -> None:
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
        self._parameters = list(model.parameters())
        # Muon (https://kellerjordan.github.io/posts/muon/) reaches the loss of AdamW in a third of the steps.
        self._optimizers: list[Any] = [
            torch.optim.Muon(matrices, lr=PEAK_RATE, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.0),
        ]

    def step(self, loss: torch.Tensor, learning_rate: float) -> None:
        """One update of the weights."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()


class Log:
    """Events as JSON lines, each with the seconds since the start; also a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self._start = time.monotonic()
        self._file = path.open("w", encoding="utf-8")

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, event: str, **values: Any) -> None:
        """Append one event."""
        seconds = round(time.monotonic() - self._start)
        self._file.write(json.dumps({"event": event, **values, "seconds": seconds}) + "\n")
        self._file.flush()


def train(name: str, folder: Path, steps: int, stop: int | None = None) -> None:
    """Pre-train a model of the family `name`, log to `logs/<folder name>.jsonl`, save to `folder`, and plot.

    Args:
        name: key of `FAMILIES`.
        folder: model folder to write.
        steps: length of the learning rate schedule.
        stop: number of steps to run instead of all.
    """
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    family = FAMILIES[name]
    tokenizer = train_tokenizer(family)
    model = new_model(family, tokenizer)
    path = LOGS / f"{folder.name}.jsonl"
    with Log(path) as log:
        num_parameters = sum(p.numel() for p in model.parameters())
        log.write("start", seed=SEED, steps=steps, parameters=num_parameters, **machine())
        _run_steps(model, tokenizer, family, log, steps, stop)
        save(model, tokenizer, family, folder)
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        log.write("saved", file="model.safetensors", sha256=digest)
    plot.save_plot(path, folder.name)


def _run_steps(model: Any, tokenizer: Tokenizer, family: Family, log: Log, steps: int, stop: int | None) -> None:
    optimizers = Optimizers(model)
    stream = batches(rows(family, tokenizer, SEED), token_id(tokenizer, family.pad), SEED)
    check_every = max(1, steps // NUM_CHECKS)
    num_tokens = 0
    recent: list[float] = []
    for step in range(stop or steps):
        ids, weights = next(stream)
        loss, response_loss = compute_loss(model, ids, weights)
        optimizers.step(loss, PEAK_RATE * rate(step, steps))
        num_tokens += int((weights > 0).sum())
        recent.append(response_loss)
        number = step + 1
        if number % LOG_EVERY == 0:
            log.write("step", step=number, answer_loss=round(sum(recent) / len(recent), 4), tokens=num_tokens)
            recent = []
        if number % check_every == 0 or number == steps:
            shares = solved(model, tokenizer, family, PROBLEMS_PER_CHECK)
            log.write("check", step=number, weights=fingerprint(model), solved=shares)


def save(model: Any, tokenizer: Tokenizer, family: Family, folder: Path) -> None:
    """Write a model folder as transformers does, with weights in bf16."""
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=[token_id(tokenizer, token) for token in family.stop_tokens],
        pad_token_id=model.config.pad_token_id,
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = (TEMPLATES / f"{family.template}.jinja").read_text(encoding="utf-8")
    wrapped.save_pretrained(folder)


def fingerprint(model: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for _, value in sorted(model.state_dict().items()):
        digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def machine() -> dict[str, Any]:
    """CPU, threads and versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
