"""Chats that are already rendered as text: one table of the markers of chat templates, one parser."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What begins and ends a whole text in several of them; it belongs to no turn.
_EDGES: tuple[str, ...] = (
    *("<s>", "</s>", "<bos>", "<eos>", "<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<BOS_TOKEN>"),
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|END_OF_TURN_TOKEN|>"),
    *("[gMASK]<sop>", "[gMASK]", "<sop>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
)
_ROLES = {
    **dict.fromkeys(("system", "developer", "sys"), "system"),
    **dict.fromkeys(("user", "human", "instruction", "input", "[inst]", "prompter"), "user"),
    **dict.fromkeys(("assistant", "model", "response", "output", "[/inst]", "chatbot", "gpt"), "assistant"),
}


@dataclass(frozen=True)
class Dialect:
    """How one kind of template marks turns.

    Attributes:
        name: for messages.
        marker: the start of a turn; its group is the role.
        ends: what ends a turn, of dialects whose turns have such an end.
        has_preamble: whether text in front of the first marker is a system prompt.
        is_weak: whether the marker may be ordinary text, so that a question and an answer must be there.
        keeps_space: whether white space at the ends of a turn is its content.
    """

    name: str
    marker: re.Pattern[str]
    ends: tuple[str, ...] = ()
    has_preamble: bool = False
    is_weak: bool = False
    keeps_space: bool = False


DIALECTS = (
    Dialect("ChatML", re.compile(r"<\|im_start\|>[ \t]*(\w+)\r?\n"), ("<|im_end|>",), keeps_space=True),
    Dialect(
        "Llama 3",
        re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>"),
        ("<|eot_id|>", "<|eom_id|>"),
    ),
    Dialect("Gemma", re.compile(r"<start_of_turn>(\w+)\n"), ("<end_of_turn>",)),
    Dialect(
        "Command-R",
        re.compile(r"<\|START_OF_TURN_TOKEN\|><\|(USER|CHATBOT|SYSTEM)_TOKEN\|>"),
        ("<|END_OF_TURN_TOKEN|>",),
    ),
    Dialect("DeepSeek", re.compile(r"<｜(User|Assistant)｜>"), has_preamble=True),
    Dialect("Zephyr, Phi-3 or GLM", re.compile(r"<\|(system|user|assistant)\|>")),
    Dialect("Llama 2 or Mistral", re.compile(r"(\[INST\]|\[/INST\])")),
    Dialect(
        "### Human",
        re.compile(r"###[ ]?(System|Human|User|Assistant)[ ]?:", re.I),
        has_preamble=True,
        is_weak=True,
    ),
    Dialect(
        "### Instruction",
        re.compile(r"###[ ]?(Instruction|Input|Response|Output)[ ]?:", re.I),
        has_preamble=True,
        is_weak=True,
    ),
    Dialect("USER:", re.compile(r"(?:(?<=\s)|\A|(?<=</s>))(SYSTEM|USER|ASSISTANT):"), has_preamble=True, is_weak=True),
    Dialect("Human:", re.compile(r"(?:\A|(?<=\n))(System|Human|Assistant):"), has_preamble=True, is_weak=True),
)
_SYSTEM_BLOCK = re.compile(r"\A\s*<<SYS>>\n?(.*?)\n?<</SYS>>\s*", re.S)


def find_dialect(text: str) -> Dialect | None:
    """The dialect whose markers a text has; None if it is ordinary text."""
    for dialect in DIALECTS:
        roles = {_ROLES.get(match[1].lower()) for match in dialect.marker.finditer(text)}
        if {"user", "assistant"} <= roles or (roles & {"user", "assistant"} and not dialect.is_weak):
            return dialect
    return None


def parse(text: str, dialect: Dialect | None = None) -> list[tuple[str, str]]:
    """Roles and contents of the turns, without markers; an empty assistant's turn at the end is a generation prompt.

    Raises:
        ValueError: there are no markers, or text that belongs to no turn.
    """
    dialect = dialect or find_dialect(text)
    if dialect is None:
        raise ValueError("there are no markers of a rendered chat")
    matches = list(dialect.marker.finditer(text))
    head = _trim(text[: matches[0].start()])
    turns: list[tuple[str, str]] = []
    if head and not dialect.has_preamble:
        raise ValueError(f"there is text outside of the turns: {head[:40]!r}")
    if head:
        turns.append(("system", head))
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        role = _ROLES.get(match[1].lower(), match[1].lower())
        content = _content(text[match.end() : following.start() if following else len(text)], dialect)
        if match[1].lower() == "input" and turns and turns[-1][0] == "user":  # Alpaca: it belongs to the instruction
            turns[-1] = ("user", "\n".join(part for part in (turns[-1][1], content) if part))
        elif match[1] == "[INST]" and (system := _SYSTEM_BLOCK.match(content)):
            turns += [("system", system[1].strip()), ("user", content[system.end() :])]
        else:
            turns.append((role, content))
    role, content = turns[-1]
    return turns[:-1] if role == "assistant" and not content.strip() else turns


def _content(text: str, dialect: Dialect) -> str:
    """A turn's text up to its end.

    Raises:
        ValueError: text follows its end.
    """
    for end in dialect.ends:
        text, _, outside = text.partition(end)
        if _trim(outside):
            raise ValueError(f"there is text outside of the turns: {_trim(outside)[:40]!r}")
    return text if dialect.keeps_space else _trim(text)


def _trim(text: str) -> str:
    """A text without white space and edge tokens at its ends."""
    text = text.strip()
    while edge := next((e for e in _EDGES if text.startswith(e) or text.endswith(e)), None):
        text = text.removeprefix(edge).removesuffix(edge).strip()
    return text


def split_prompt(question: str, answer: str) -> tuple[list[tuple[str, str]], str] | None:
    """The turns of a question that is a rendered prompt, and the answer without what ends it; None for other questions.

    Raises:
        ValueError: it is rendered, but no question is at its end.
    """
    dialect = find_dialect(question)
    if dialect is None:
        return None
    last = list(dialect.marker.finditer(question))[-1]
    asks = _ROLES.get(last[1].lower()) == "assistant" and not _trim(question[last.end() :])
    if not asks and (dialect.is_weak or not dialect.marker.match(_trim(question))):
        return None  # ordinary text that mentions such words
    turns = parse(question, dialect)
    if not turns or turns[-1][0] != "user":
        raise ValueError(f"the prompt is a rendered chat ({dialect.name}) that does not end with a question")
    return turns, answer if dialect.keeps_space and answer == _trim(answer) else _trim(answer)
