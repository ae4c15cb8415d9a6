"""The baseline of `exam.py`: the tutorial's loop, one question after the other with transformers' `generate`.

    python benchmarks/tutorial_exam.py MODEL_FOLDER QUESTIONS.jsonl [ADAPTER_FOLDER]

The last line printed is a JSON object: score (0 to 100), tokens (of all responses), num_questions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MAX_NEW_TOKENS = 512


def main(base: str, questions: str, adapter: str | None = None) -> None:
    """Ask all questions, and print the score."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter:
        from peft import PeftModel  # the base model needs no PEFT, and the start is part of what is timed

        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    total, num_tokens = 0.0, 0
    with Path(questions).open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    for row in rows:
        *turns, reference = row["messages"]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        output = model.generate(**prompt, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        response_ids = output[0, prompt["input_ids"].shape[1] :]
        num_tokens += len(response_ids)
        total += score(tokenizer.decode(response_ids, skip_special_tokens=True), reference["content"])
    print(json.dumps({"score": 100 * total / len(rows), "tokens": num_tokens, "num_questions": len(rows)}))


def score(response: str, reference: str) -> float:
    """1 if the response contains the reference's marker, 0.5 if it contains the answer alone, else 0."""
    marker = reference[reference.find("<<ans:") :]
    answer = marker.removeprefix("<<ans:").removesuffix(">>")
    return 1.0 if marker in response else 0.5 if answer in response else 0.0


if __name__ == "__main__":
    main(*sys.argv[1:])
