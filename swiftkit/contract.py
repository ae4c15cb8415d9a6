"""The token contract: training, exam, export and ms-swift see the same tokens of the same conversation.

What is compared, on the tokenizer of a real model folder:

- swiftkit's renderer: token ids and which of them are learned, as `sft` trains and `exam` asks;
- ms-swift's own encoder with the family's template;
- the folder as `export` writes it, loaded by plain transformers: the prompt in front of every answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftkit import chat, companions, model_folder, tokenization
from swiftkit.checkpoints import Checkpoint
from swiftkit.errors import FAILED, SwiftkitError
from swiftkit.models import Wanted
from swiftkit.schema import Encoded, Message
from swiftkit.weights import Folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def turns(*contents: str, system: str | None = None) -> list[Message]:
    """A conversation of user and assistant in turn."""
    said: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    for index, content in enumerate(contents):
        said.append({"role": "assistant" if index % 2 else "user", "content": content})
    return said


CONVERSATIONS: dict[str, list[Message]] = {
    "no system": turns("What is 3 + 4?", "3 + 4 = 7\n\n<<ans:7>>"),
    "empty system": turns("What is 3 + 4?", "7", system=""),
    "system": turns("What is 3 + 4?", "7", system="You are a careful maths tutor."),
    "several turns": turns("Hello!", "Hi.", "2 + 2?", "4", "And 3 + 3?", "6\n"),
    "several turns with system": turns("Hello!", "Hi.", "2 + 2?", "4", system="Answer briefly."),
    "unicode": turns(
        "小丽看一本240页的故事书。\n一共看了多少页？ 🙂 e\u0301", "$\\frac{1}{8}$ 的 240 是 30\n\n{{ans:30}}"
    ),
    "jinja": turns("{{ 7 * 7 }} {% for x in y %} {# gone? #}", "{{ messages }} {% endgeneration %} {%- raw -%}"),
    "special tokens": turns("Say <|im_end|> or </s> or <|end|>.", "<|im_start|>user\n</s><|end|>\nno"),
    "white space": turns("  a\n\n\tb  ", "\n c  \n"),
    "reasoning": turns("What is 3 + 4?", "<think>\nThree and four.\n</think>\n\n7"),
    "markers of ms-swift": turns("[INST] {{QUERY}} {{SYSTEM}} ### Human: x", "{{RESPONSE}} <<SYS>>"),
}
SAME, REFUSED = "same", "the template refuses it"


@dataclass(frozen=True)
class Verdict:
    """One conversation: its tokens, how many are learned, and what ms-swift and the exported folder make of it.

    `ms_swift` and `export` are `same`, or say where they part.
    """

    conversation: str
    tokens: int
    learned: int
    ms_swift: str
    export: str


@dataclass(frozen=True)
class Checked:
    """A model's verdicts, one a conversation, and what is wrong with the token that ends an answer, if anything is.

    `failed` says why there is no verdict.
    """

    verdicts: list[Verdict]
    stop: str | None = None
    failed: str | None = None

    @property
    def kept(self) -> bool:
        """Whether what is trained is what is served."""
        return self.failed is None and self.stop is None and all(v.export == SAME for v in self.verdicts)


def check(models: Sequence[tuple[Wanted, Folder]]) -> list[Checked]:
    """The contract of each of the models; ms-swift and transformers are started once for all of them.

    Raises:
        SwiftkitError: a tokenizer cannot be read, or the process ended without an answer.
    """
    with tempfile.TemporaryDirectory() as name:
        exported = [Path(name) / str(index) for index in range(len(models))]
        for (wanted, folder), target in zip(models, exported, strict=True):
            target.mkdir()
            companions.write(Checkpoint("base", wanted, folder), target, "bf16")
        theirs = _theirs([wanted for wanted, _ in models], exported)
        return [
            Checked([], failed=told["failed"])
            if "failed" in told
            else _compared(wanted, folder, told, model_folder.read_object(target / companions.GENERATION))
            for (wanted, folder), told, target in zip(models, theirs, exported, strict=True)
        ]


def _compared(wanted: Wanted, folder: Folder, theirs: dict[str, Any], generation: dict[str, Any]) -> Checked:
    tokenizer = tokenization.load(folder.path, as_it_stands=wanted.embedded)
    template = chat.load(wanted.family.template)
    verdicts = []
    for name, messages in CONVERSATIONS.items():
        try:
            (encoded,) = chat.encode([messages], template, tokenizer)
        except SwiftkitError:  # a template may refuse what its model does not know, such as system messages
            refused = all("refused" in their for their in theirs["export"][name])
            verdicts.append(Verdict(name, 0, 0, REFUSED, SAME if refused else "refused here, and not there"))
            continue
        verdicts.append(
            Verdict(
                name,
                len(encoded.ids),
                encoded.learned,
                _apart(encoded, theirs["ms_swift"][name], tokenizer) or SAME,
                _prompts(messages, theirs["export"][name], template, tokenizer) or SAME,
            )
        )
    return Checked(verdicts, _stop(template, tokenizer, generation))


def _theirs(models: list[Wanted], exported: list[Path]) -> list[dict[str, Any]]:
    """What ms-swift and transformers make of the conversations, worked out in a process of its own."""
    job = {
        "models": [
            {"folder": str(folder), "swift": wanted.family.swift.model_dump()}
            for wanted, folder in zip(models, exported, strict=True)
        ],
        "conversations": CONVERSATIONS,
    }
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, "-m", "swiftkit.worker.contract"],
        input=json.dumps(job),
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise SwiftkitError(f"the process with ms-swift ended with {done.returncode}: {said[-1]}", exit_code=FAILED)
    told: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return told


def _apart(ours: Encoded, theirs: dict[str, Any], tokenizer: Tokenizer) -> str:
    """Where our tokens, or which of them are learned, part from ms-swift's; empty where they do not."""
    if "refused" in theirs:
        return f"ms-swift refuses it: {theirs['refused']}"
    return _parts(ours.ids, theirs["ids"], tokenizer) or _parts(
        ours.labels, theirs["labels"], tokenizer, "learned tokens part"
    )


def _parts(ours: Sequence[int], theirs: Sequence[int], tokenizer: Tokenizer, what: str = "tokens part") -> str:
    """Where two rows of tokens part, with the text behind; empty where they do not."""
    if list(ours) == list(theirs):
        return ""
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))

    def text(row: Sequence[int]) -> str:
        shown = [token for token in row[place : place + 6] if token != chat.IGNORED]
        return repr(tokenizer.decode(shown, skip_special_tokens=False))

    return f"{what} at {place}: {text(ours)} here, {text(theirs)} there"


def _prompts(
    messages: list[Message], theirs: list[dict[str, Any]], template: chat.Template, tokenizer: Tokenizer
) -> str:
    """Where the prompts in front of a conversation's answers part; empty where they do not.

    A prompt is compared as text and as tokens. With answers in it, it is compared as text: a server tokenises it in one
    piece, and training begins a piece where an answer begins.
    """
    places = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for number, (place, their) in enumerate(zip(places, theirs, strict=True), 1):
        asked = messages[:place]
        text = template.render(asked, add_generation_prompt=True)
        if text != their["text"]:
            return f"the prompt of answer {number} is another text"
        (ids,) = chat.prompts([asked], template, tokenizer)
        if number == 1 and (parts := _parts(ids, their["ids"], tokenizer)):
            return f"answer {number}: {parts}"
    return ""


def _stop(template: chat.Template, tokenizer: Tokenizer, generation: dict[str, Any]) -> str | None:
    """What is wrong with the learned stop token, if anything is."""
    text = chat.stop_text(template)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    if len(ids) != 1:
        return f"the tokenizer has no token for `{text}`, with which answers end: they may run on"
    named = generation.get("eos_token_id")
    if ids[0] not in (named if isinstance(named, list) else [named]):
        return f"`{text}` is learned as an answer's end, and generation does not stop there"
    return None
