"""`--instruct`: a format instruction that is added to training rows and exam questions alike."""

from __future__ import annotations

import re
from dataclasses import replace

from swiftkit.schema import Example, Message
from swiftkit.scoring import markers

INSTRUCTIONS = {"ans": "Reason step by step, then give the final answer within {{ans:xxx}}."}

# `{{ans:…}}`, `<<ans:`, `ans:`; not the end of `plans:`.
_MENTIONS_MARKERS = re.compile(r"(?<![A-Za-z])ans\s*[:：]")


def add_instruction(example: Example, name: str) -> Example:
    """The example with the instruction below its last question, and a marker instead of `#### n` in its answer.

    A question that mentions markers already is left as it is.

    Raises:
        ValueError: the answer has neither a marker nor `#### n`, so there is no value for the marker.
    """
    if name == "none":
        return example
    if example.text is not None:
        raise ValueError("plain text has no question that --instruct could be added to")
    *history, question, answer = example.messages
    value = markers.references(answer["content"])[-1]
    content = question["content"]
    if not _MENTIONS_MARKERS.search(content):
        content = f"{content}\n\n{INSTRUCTIONS[name]}"
    new_question: Message = {"role": "user", "content": content}
    new_answer: Message = {"role": "assistant", "content": _with_marker(answer["content"], value)}
    return replace(example, messages=(*history, new_question, new_answer))


def mentions_markers(example: Example) -> bool:
    """Whether a system prompt or question of the conversation speaks of answer markers."""
    return any(_MENTIONS_MARKERS.search(m["content"]) for m in example.messages if m["role"] != "assistant")


def strip_instruction(example: Example) -> Example:
    """The example without the instruction, as its question was in the data; the answer stays as it is."""
    if len(example.messages) < 2:
        return example
    *history, question, answer = example.messages
    content = question["content"]
    for instruction in INSTRUCTIONS.values():
        content = content.removesuffix(f"\n\n{instruction}")
    return replace(example, messages=(*history, {**question, "content": content}, answer))


def _with_marker(answer: str, value: str) -> str:
    """The answer with a marker instead of its last line `#### value`; unchanged if it has markers."""
    if markers.find_markers(answer):
        return answer
    *_, line = re.finditer(rf"^[^\S\n]*####[^\S\n]*{re.escape(value)}[^\S\n]*$", answer, re.MULTILINE)
    return f"{answer[: line.start()]}{{{{ans:{value}}}}}{answer[line.end() :]}"
