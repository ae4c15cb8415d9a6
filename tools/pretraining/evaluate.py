"""Share of problems that a model solves during the pre-training."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from datagen import problems, problems_zh
from datagen.scene import Problem
from swiftkit.chat import template

from .families import Family, token_id

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SEED = 5
BATCH = 128
MAX_NEW_TOKENS = 80


def solved(model: Any, tokenizer: Tokenizer, family: Family, count: int) -> dict[str, float]:
    """Share of solved problems of each type, from `count` problems per type that the model was not trained on."""
    held_out = _draw_problems(count)
    chat_template = template.load(family.template)
    prompts = [
        tokenizer.encode(
            chat_template.render([{"role": "user", "content": problem.question}], add_generation_prompt=True)
        ).ids
        for problem in held_out
    ]
    correct: Counter[str] = Counter()
    model.eval()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        for i, response in zip(part, _generate(model, tokenizer, family, [prompts[i] for i in part]), strict=True):
            correct[held_out[i].type] += is_solved(held_out[i], response)
    model.train()
    return {problem.type: round(correct[problem.type] / count, 3) for problem in held_out}


def _draw_problems(count: int) -> list[Problem]:
    """`count` problems of each type, in both languages."""
    rng = random.Random(SEED)
    modules: tuple[ModuleType, ...] = (problems, problems_zh)
    return [
        module.make(problem_type, rng)
        for module in modules
        for problem_type in [*module.KNOWN, *module.NEW, *module.ONLY_PRETRAINING]
        for _ in range(count)
    ]


def _generate(model: Any, tokenizer: Tokenizer, family: Family, prompts: list[list[int]]) -> Iterator[str]:
    """Greedy responses to one batch of prompts (token ids), up to the first stop token."""
    pad = token_id(tokenizer, family.pad)
    stops = [token_id(tokenizer, token) for token in family.stop_tokens]
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=pad,
        )
    for response in output[:, width:].tolist():
        end = next((k for k, token in enumerate(response) if token in stops), len(response))
        yield tokenizer.decode(response[:end])


def is_solved(problem: Problem, response: str) -> bool:
    """Whether the last line of a response is the closing sentence of the problem, or its last number the answer."""
    last_line = (response.splitlines() or [""])[-1]
    return last_line.rstrip("。.") == problem.closing.rstrip("。.") or last_number(last_line) == problem.answer


def last_number(line: str) -> int | None:
    """The last whole number in a line, or None."""
    numbers = "".join(c if c in string.digits else " " for c in line).split()
    return int(numbers[-1]) if numbers else None
