"""`--instruct`: a format instruction that is added to training rows and exam questions alike."""

from __future__ import annotations

import re
from dataclasses import replace

from swiftkit import markers
from swiftkit.schema import Example, Message

INSTRUCTIONS = {"ans": "Reason step by step, then give the final answer within {{ans:xxx}}."}

# `{{ans:…}}`, `<<ans:`, `ans:`; not the end of `plans:`.
_SPEAKS_OF_MARKERS = re.compile(r"(?<![A-Za-z])ans\s*[:：]")


def apply(example: Example, name: str) -> Example:
    """The example with the instruction below its last question, and a marker in place of a `#### n` in its answer.

    A question that speaks of markers already is left as it is.

    Raises:
        ValueError: the answer has neither a marker nor `#### n`, so there is nothing to put into the marker.
    """
    if name == "none":
        return example
    if example.text is not None:
        raise ValueError("plain text has no question that --instruct could be added to")
    *history, question, answer = example.messages
    value = markers.references(answer["content"])[-1]
    content = question["content"]
    if not _SPEAKS_OF_MARKERS.search(content):
        content = f"{content}\n\n{INSTRUCTIONS[name]}"
    asked: Message = {"role": "user", "content": content}
    answered: Message = {"role": "assistant", "content": _marked(answer["content"], value)}
    return replace(example, messages=(*history, asked, answered))


def without(example: Example) -> Example:
    """The example without the instruction, as its question stood in the data; the answer stays as it is."""
    if len(example.messages) < 2:
        return example
    *history, question, answer = example.messages
    content = question["content"]
    for said in INSTRUCTIONS.values():
        content = content.removesuffix(f"\n\n{said}")
    return replace(example, messages=(*history, {**question, "content": content}, answer))


def _marked(answer: str, value: str) -> str:
    """The answer with a marker in place of its last line `#### value`; as it is if it has markers."""
    if markers.find(answer):
        return answer
    *_, line = re.finditer(rf"^[^\S\n]*####[^\S\n]*{re.escape(value)}[^\S\n]*$", answer, re.MULTILINE)
    return f"{answer[: line.start()]}{{{{ans:{value}}}}}{answer[line.end() :]}"
