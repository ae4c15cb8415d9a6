"""The yardstick: what `swiftkit sft` does on the embedded model, written down plainly with transformers and PEFT.

python benchmarks/bare.py DATA.jsonl OUT_FOLDER STEPS TIMES.json
"""

import json
import sys
import time

PHASES = {"started": time.time()}

import torch  # noqa: E402  (imports are part of what is timed)
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

PHASES["imports"] = time.time()


class Clock(TrainerCallback):
    def __init__(self, file):
        self.file = file

    def on_train_begin(self, args, state, control, **kwargs):
        PHASES["trainer"] = time.time()

    def on_step_end(self, args, state, control, **kwargs):
        PHASES.setdefault("first step", time.time())
        PHASES["last step"] = time.time()

    def on_train_end(self, args, state, control, **kwargs):
        with open(self.file, "w") as stream:  # noqa: PTH123
            json.dump(PHASES, stream)


def encode(tokenizer, messages):
    """Ids and labels; learned is the last answer."""
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    full = tokenizer.apply_chat_template(messages, tokenize=False)
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = tokenizer(full[len(prompt) :], add_special_tokens=False)["input_ids"]
    return {"input_ids": before + after, "labels": [-100] * len(before) + after}


def collate(rows):
    width = max(len(row["input_ids"]) for row in rows)

    def padded(key, value):
        return torch.tensor([row[key] + [value] * (width - len(row[key])) for row in rows])

    ids = padded("input_ids", 0)
    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": padded("labels", -100)}


def main(data, out, steps, times, base):
    set_seed(42)
    tokenizer = AutoTokenizer.from_pretrained(base)
    with open(data, encoding="utf-8") as stream:  # noqa: PTH123
        rows = [encode(tokenizer, json.loads(line)["messages"]) for line in stream]
    PHASES["data"] = time.time()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    lora = LoraConfig(r=8, lora_alpha=32, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM")
    model = get_peft_model(model, lora)
    PHASES["model"] = time.time()
    arguments = TrainingArguments(
        output_dir=out,
        max_steps=int(steps),
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        learning_rate=3e-3,
        lr_scheduler_type="cosine",
        eval_strategy="steps",
        eval_steps=max(1, int(steps) // 10),
        save_steps=max(1, int(steps) // 10),
        save_total_limit=2,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    trainer = Trainer(
        model, arguments, collate, train_dataset=rows[64:], eval_dataset=rows[:64], callbacks=[Clock(times)]
    )
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
