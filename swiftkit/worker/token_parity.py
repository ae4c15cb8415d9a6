"""`python -m swiftkit.worker.token_parity`: conversations as ms-swift and transformers encode them; job on stdin."""

from __future__ import annotations

import json
import sys
from typing import Any

Messages = list[dict[str, str]]


def encode_by_ms_swift(
    folder: str, model_type: str, template_type: str, conversations: dict[str, Messages]
) -> dict[str, Any]:
    """Ids and labels of each conversation by ms-swift's own encoder, or why it refuses the conversation."""
    from swift import get_processor, get_template
    from swift.template import TEMPLATE_MAPPING

    # For thinking families, ms-swift's default trains earlier answers with a thinking block that the published template
    # does not render there; `last_round` agrees with what a server renders.
    scale = "last_round" if TEMPLATE_MAPPING[template_type].is_thinking else "default"
    template = get_template(get_processor(folder, model_type=model_type), template_type=template_type, loss_scale=scale)
    template.set_mode("train")
    found: dict[str, Any] = {}
    for name, messages in conversations.items():
        try:
            encoded = template.encode({"messages": [dict(message) for message in messages]})
        except Exception as error:  # ms-swift's templates assert what they do not support, each in its own words
            found[name] = {"refused": f"{type(error).__name__}: {error}".splitlines()[0]}
            continue
        found[name] = {"ids": list(encoded["input_ids"]), "labels": list(encoded["labels"])}
    return found


def render_by_transformers(folder: str, conversations: dict[str, Messages]) -> dict[str, Any]:
    """Text and ids of the prompt in front of each answer, by the folder's tokenizer and chat template."""
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    found: dict[str, Any] = {}
    for name, messages in conversations.items():
        found[name] = []
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                prompt: dict[str, Any] = {"conversation": messages[:place], "add_generation_prompt": True}
                try:
                    text = tokenizer.apply_chat_template(**prompt, tokenize=False)
                except TemplateError as error:
                    found[name].append({"text": None, "refused": str(error)})
                    continue
                found[name].append({"text": text, "ids": tokenizer.apply_chat_template(**prompt, return_dict=False)})
    return found


def main() -> None:
    """Read the job, print a JSON list with an item for each of its models."""
    job = json.load(sys.stdin)
    conversations = job["conversations"]
    results: list[dict[str, Any]] = []
    for model in job["models"]:
        folder, names = model["folder"], model["swift"]
        try:
            by_ms_swift = encode_by_ms_swift(folder, names["model_type"], names["template"], conversations)
            results.append({"ms_swift": by_ms_swift, "export": render_by_transformers(folder, conversations)})
        except Exception as error:  # whatever a third-party tokenizer raises
            results.append({"failure": f"{type(error).__name__}: {error}".splitlines()[0]})
    print(json.dumps(results))


if __name__ == "__main__":
    main()
