"""Greedy answers to many prompts at once: length-sorted batches, from which rows leave when they are done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

logger = logging.getLogger(__name__)
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Prompt:
    """A question as token ids; `number` names it."""

    number: int
    ids: Sequence[int]


@dataclass
class Row:
    """A question that is being answered: the tokens so far, and how it ended (stop, marker, limit; empty: not yet)."""

    number: int
    ids: list[int] = field(default_factory=list)
    end: str = ""


def load(folder: Path, adapter: Path | None, dtype: str, *, trust_remote_code: bool) -> Any:
    """The model on the device that there is, with its adapter on top, ready to answer."""
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=DTYPES[dtype],
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
    )
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter, local_files_only=True)
        if dtype == "fp32":
            # There, the sum differs by what batching also does (1e-6); in 16 bits it would be rounded away.
            model = model.merge_and_unload()
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@dataclass(frozen=True)
class Answerer:
    """Answers prompts with a model.

    Attributes:
        model: what `load` gave.
        limit: most tokens of an answer.
        rows: most prompts at once.
        ends: called for a row after each of its tokens; says how it has ended, or nothing. Both must not throw.
        leave: called between two tokens; true ends the work.
    """

    model: Any
    limit: int
    rows: int
    ends: Callable[[Row], str]
    leave: Callable[[], bool]

    def answer(self, prompts: Sequence[Prompt], finished: Callable[[Row], None]) -> list[tuple[int, Exception]]:
        """Answer all prompts, the longest first; hand each row to `finished` when it is done.

        Returns the numbers of those that could not be answered, even alone, with the reason.
        """
        failed: list[tuple[int, Exception]] = []
        waiting = sorted(prompts, key=lambda prompt: len(prompt.ids), reverse=True)
        rows = self.rows
        while waiting and not self.leave():
            batch = waiting[:rows]
            done: set[int] = set()

            def hand_over(row: Row, done: set[int] = done) -> None:
                done.add(row.number)
                finished(row)

            try:
                with torch.inference_mode():
                    self._batch(batch, hand_over)
            except (RuntimeError, ValueError, IndexError) as error:  # out of memory is a RuntimeError
                if len(batch) == 1:
                    failed.append((batch[0].number, error))
                    done.add(batch[0].number)
                    rows = self.rows  # it was this question, not their number
                else:
                    rows = max(1, len(batch) // 2)
                    logger.warning("a batch of %d failed (%s), going on with %d at once", len(batch), error, rows)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            if self.leave():
                break
            waiting = [prompt for prompt in waiting if prompt.number not in done]
        return failed

    def _batch(self, prompts: Sequence[Prompt], finished: Callable[[Row], None]) -> None:
        """Answer one batch. Padded on the left, so that all rows write their next token in the same column."""
        device = self.model.device
        width = max(len(prompt.ids) for prompt in prompts)
        ids = torch.tensor([[0] * (width - len(p.ids)) + list(p.ids) for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in prompts], device=device)
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        rows = [Row(prompt.number) for prompt in prompts]
        cache = DynamicCache(config=self.model.config)
        while rows and not self.leave():
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
            tokens = logits[:, -1].argmax(-1)
            kept = []
            for index, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
                row.ids.append(token)
                row.end = self.ends(row) or ("limit" if len(row.ids) >= self.limit else "")
                if row.end:
                    finished(row)
                else:
                    kept.append(index)
            if len(kept) < len(rows):
                rows = [rows[index] for index in kept]
                chosen = torch.tensor(kept, dtype=torch.long, device=device)
                tokens, mask, places = tokens[chosen], mask[chosen], places[chosen]
                if kept:
                    cache.batch_select_indices(chosen)
            ids = tokens[:, None]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
            places = places[:, -1:] + 1
