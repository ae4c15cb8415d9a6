"""transformers and PEFT: length-sorted batches, which responses leave when they are complete."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from swiftkit.exams.engines import Generation, Prompt, StopRule
from swiftkit.exams.job import ExamJob
from swiftkit.schema import DTYPES

logger = logging.getLogger(__name__)


def load(job: ExamJob) -> TransformersEngine:
    """The job's model on the available device, with its adapter on top."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        job.model,
        dtype=getattr(torch, DTYPES[job.dtype].torch_name),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=job.trust_remote_code,
    )
    if job.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, job.adapter, local_files_only=True)
        if job.dtype == "fp32":
            # In fp32 the sum differs by as much as batching changes anyway (1e-6); in 16 bits it would be rounded away.
            model = model.merge_and_unload()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TransformersEngine(model.to(device).eval(), job.batch_size)


@dataclass
class _Row:
    """A response in progress."""

    number: int
    ids: list[int] = field(default_factory=list)
    stop_reason: str = ""


@dataclass(frozen=True)
class TransformersEngine:
    """A causal language model, and how many prompts it gets at once."""

    model: Any
    batch_size: int

    def generate(self, prompts: Sequence[Prompt], stop: StopRule, on_done: Callable[[Generation], None]) -> None:
        """Respond to all prompts, the longest first; see `swiftkit.exams.engines.Engine`.

        A batch that fails, for want of memory for example, is halved, down to single prompts.
        """
        import torch

        remaining = sorted(prompts, key=lambda prompt: len(prompt.ids), reverse=True)
        size = self.batch_size
        while remaining and not stop.is_interrupted():
            batch = remaining[:size]
            done: set[int] = set()

            def finish(generation: Generation, done: set[int] = done) -> None:
                done.add(generation.number)
                on_done(generation)

            try:
                with torch.inference_mode():
                    self._generate_batch(batch, stop, finish)
            except (RuntimeError, ValueError, IndexError) as error:  # out of memory is a RuntimeError
                if len(batch) == 1:
                    finish(Generation(batch[0].number, error=f"{type(error).__name__}: {error}"))
                    size = self.batch_size  # this prompt was the reason, not the size of the batch
                else:
                    size = max(1, len(batch) // 2)
                    logger.warning("a batch of %d failed (%s); continuing with %d", len(batch), error, size)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            if stop.is_interrupted():
                break
            remaining = [prompt for prompt in remaining if prompt.number not in done]

    def _generate_batch(self, prompts: Sequence[Prompt], stop: StopRule, on_done: Callable[[Generation], None]) -> None:
        """Respond to one batch, padded on the left, so that all rows write their next token into the same column."""
        import torch
        from transformers import DynamicCache

        device = self.model.device
        width = max(len(prompt.ids) for prompt in prompts)
        ids = torch.tensor([[0] * (width - len(p.ids)) + list(p.ids) for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in prompts], device=device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        rows = [_Row(prompt.number) for prompt in prompts]
        cache = DynamicCache(config=self.model.config)
        while rows and not stop.is_interrupted():
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
            tokens = logits[:, -1].argmax(-1)
            kept = []
            for index, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
                row.ids.append(token)
                row.stop_reason = stop.after_token(row.number, row.ids)
                if row.stop_reason:
                    on_done(Generation(row.number, row.ids, num_tokens=len(row.ids), stop_reason=row.stop_reason))
                else:
                    kept.append(index)
            if len(kept) < len(rows):
                rows = [rows[index] for index in kept]
                selected = torch.tensor(kept, dtype=torch.long, device=device)
                tokens, mask, positions = tokens[selected], mask[selected], positions[selected]
                if kept:
                    cache.batch_select_indices(selected)
            ids = tokens[:, None]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
            positions = positions[:, -1:] + 1
