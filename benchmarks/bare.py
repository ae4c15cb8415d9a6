"""The baseline of `training.py`: the same training as `swiftkit sft`, written directly with transformers and PEFT.

    python benchmarks/bare.py DATA.jsonl OUTPUT_FOLDER STEPS TIMES.json MODEL_FOLDER

TIMES.json gets the time (seconds since 1970) at the end of each phase.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.time()  # the imports below are part of what is timed

import torch  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

IMPORTED = time.time()
NUM_VALIDATION = 64
LORA = {
    "r": 8,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "task_type": "CAUSAL_LM",
}


class Clock(TrainerCallback):
    """Adds the times of the training to `times`, and writes them to `path` when it ends."""

    def __init__(self, times: dict[str, float], path: Path) -> None:
        self.times = times
        self.path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer is ready."""
        self.times["trainer"] = time.time()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An optimizer step is done."""
        self.times.setdefault("first step", time.time())
        self.times["last step"] = time.time()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """All steps are done."""
        self.path.write_text(json.dumps(self.times), encoding="utf-8")


def encode(tokenizer: Any, messages: list[dict[str, str]]) -> dict[str, list[int]]:
    """Token ids and labels of a conversation; only the last response is in the loss."""
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    full = tokenizer.apply_chat_template(messages, tokenize=False)
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    response_ids = tokenizer(full[len(prompt) :], add_special_tokens=False)["input_ids"]
    return {"input_ids": prompt_ids + response_ids, "labels": [-100] * len(prompt_ids) + response_ids}


def collate(rows: list[dict[str, list[int]]]) -> dict[str, Any]:
    """Rows as tensors of shape (rows, longest row), padded on the right."""
    width = max(len(row["input_ids"]) for row in rows)

    def pad(key: str, value: int) -> Any:
        return torch.tensor([row[key] + [value] * (width - len(row[key])) for row in rows])

    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows])
    return {"input_ids": pad("input_ids", 0), "attention_mask": mask, "labels": pad("labels", -100)}


def training_arguments(output: str, steps: int) -> TrainingArguments:
    """The settings that swiftkit uses for the bundled model; ten evaluations and checkpoints a run."""
    interval = max(1, steps // 10)
    return TrainingArguments(
        output_dir=output,
        max_steps=steps,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        learning_rate=3e-3,
        lr_scheduler_type="cosine",
        eval_strategy="steps",
        eval_steps=interval,
        save_steps=interval,
        save_total_limit=2,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )


def main(data: str, output: str, steps: int, times_file: str, base: str) -> None:
    """Train an adapter."""
    times = {"started": STARTED, "imports": IMPORTED}
    set_seed(42)
    tokenizer = AutoTokenizer.from_pretrained(base)
    with Path(data).open(encoding="utf-8") as stream:
        rows = [encode(tokenizer, json.loads(line)["messages"]) for line in stream]
    times["data"] = time.time()
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(**LORA))
    times["model"] = time.time()
    trainer = Trainer(
        model,
        training_arguments(output, steps),
        collate,
        train_dataset=rows[NUM_VALIDATION:],
        eval_dataset=rows[:NUM_VALIDATION],
        callbacks=[Clock(times, Path(times_file))],
    )
    trainer.train()


if __name__ == "__main__":
    data, output, steps, times_file, base = sys.argv[1:]
    main(data, output, int(steps), times_file, base)
