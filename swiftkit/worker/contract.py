"""`python -m swiftkit.worker.contract`: conversations as ms-swift and transformers see them; job on stdin, JSON out."""

from __future__ import annotations

import json
import sys
from typing import Any

Messages = list[dict[str, str]]


def ms_swift(folder: str, model_type: str, template_type: str, conversations: dict[str, Messages]) -> dict[str, Any]:
    """Ids and labels of each conversation, by ms-swift's own encoder."""
    from swift import get_processor, get_template

    # Of a thinking family ms-swift learns earlier answers with a thinking block that the published template does
    # not show there; its `last_round` is the way of learning that agrees with what a server renders.
    scale = "last_round" if template_type == "qwen3" else "default"
    template = get_template(get_processor(folder, model_type=model_type), template_type=template_type, loss_scale=scale)
    template.set_mode("train")
    found = {}
    for name, messages in conversations.items():
        encoded = template.encode({"messages": [dict(message) for message in messages]})
        found[name] = [list(encoded["input_ids"]), list(encoded["labels"])]
    return found


def export(folder: str, conversations: dict[str, Messages]) -> dict[str, Any]:
    """Text and ids of the prompt in front of each answer, by the folder's tokenizer and chat template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    found: dict[str, Any] = {}
    for name, messages in conversations.items():
        found[name] = []
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                asked: dict[str, Any] = {"conversation": messages[:place], "add_generation_prompt": True}
                text = tokenizer.apply_chat_template(**asked, tokenize=False)
                found[name].append({"text": text, "ids": tokenizer.apply_chat_template(**asked, return_dict=False)})
    return found


def main() -> None:
    """Read the job, print the answer."""
    job = json.load(sys.stdin)
    asked = job["conversations"]
    told = {
        "ms_swift": ms_swift(job["folder"], job["swift"]["model_type"], job["swift"]["template"], asked),
        "export": export(job["folder"], asked),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
