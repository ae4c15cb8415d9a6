"""The yardstick: the tutorial's exam loop, one question after the other, by transformers' own `generate`.

python benchmarks/tutorial_exam.py BASE QUESTIONS.jsonl [ADAPTER]
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(base, questions, adapter=None):
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    points = tokens = 0
    with open(questions, encoding="utf-8") as stream:  # noqa: PTH123
        rows = [json.loads(line) for line in stream]
    for row in rows:
        *turns, reference = row["messages"]
        given = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        said = model.generate(**given, max_new_tokens=512, do_sample=False)[0, given["input_ids"].shape[1] :]
        response = tokenizer.decode(said, skip_special_tokens=True)
        tokens += len(said)
        answer = reference["content"][reference["content"].find("<<ans:") :]
        points += 1 if answer in response else 0.5 if answer[6:-2] in response else 0
    print(json.dumps({"mark": 100 * points / len(rows), "tokens": tokens, "questions": len(rows)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
