"""Token parity: training, exam, export and ms-swift use the same tokens for the same conversation.

What is compared, with the tokenizer of a real model folder:

- swiftkit's renderer: token ids and which of them have loss, as `sft` trains and `exam` asks;
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

from swiftkit import files
from swiftkit.chat.encode import ChatEncoder
from swiftkit.chat.stops import stop_text
from swiftkit.errors import FAILED, SwiftkitError
from swiftkit.exports import artifacts
from swiftkit.models.context import ModelContext
from swiftkit.schema import DTYPES, IGNORED, Encoded, Message
from swiftkit.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORKER = "swiftkit.worker.token_parity"
SAME, REFUSED = "same", "the template refuses it"


def turns(*contents: str, system: str | None = None) -> list[Message]:
    """A conversation of user and assistant alternating."""
    messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    for index, content in enumerate(contents):
        messages.append({"role": "assistant" if index % 2 else "user", "content": content})
    return messages


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


@dataclass(frozen=True)
class ConversationParity:
    """One conversation: its tokens, how many have loss, and how ms-swift and the exported folder compare.

    `ms_swift` and `export` are `same`, or say where they differ.
    """

    conversation: str
    num_tokens: int
    num_loss_tokens: int
    ms_swift: str
    export: str


@dataclass(frozen=True)
class ParityReport:
    """A model's conversations, and what is wrong with the token that ends an answer, if anything is.

    `failure` says why there is no comparison.
    """

    conversations: list[ConversationParity]
    stop: str | None = None
    failure: str | None = None

    @property
    def is_consistent(self) -> bool:
        """Whether training and serving use the same tokens."""
        same = all(conversation.export == SAME for conversation in self.conversations)
        return self.failure is None and self.stop is None and same


def check(contexts: Sequence[ModelContext]) -> list[ParityReport]:
    """A report for each of the models; ms-swift and transformers are started once for all of them.

    Raises:
        SwiftkitError: a tokenizer cannot be read, or the process ended without an answer.
    """
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(index) for index in range(len(contexts))]
        for context, folder in zip(contexts, folders, strict=True):
            folder.mkdir()
            artifacts.write(Checkpoint("base", context.model, context.folder), folder, DTYPES["bf16"])
        references = _encode_elsewhere(contexts, folders)
        return [
            ParityReport([], failure=reference["failure"])
            if "failure" in reference
            else _compare(context.encoder, reference, files.read_object(folder / artifacts.GENERATION))
            for context, folder, reference in zip(contexts, folders, references, strict=True)
        ]


def _compare(encoder: ChatEncoder, reference: dict[str, Any], generation: dict[str, Any]) -> ParityReport:
    conversations = []
    for name, messages in CONVERSATIONS.items():
        exported = reference["export"][name]
        try:
            (encoded,) = encoder.encode([messages])
        except SwiftkitError:  # a template may refuse what its model does not know, such as system messages
            refused = all("refused" in prompt for prompt in exported)
            difference = SAME if refused else "refused here, and not there"
            conversations.append(ConversationParity(name, 0, 0, REFUSED, difference))
            continue
        conversations.append(
            ConversationParity(
                name,
                len(encoded.ids),
                encoded.num_loss_tokens,
                _encoder_difference(encoded, reference["ms_swift"][name], encoder.tokenizer) or SAME,
                _prompt_difference(messages, exported, encoder) or SAME,
            )
        )
    return ParityReport(conversations, _stop_problem(encoder, generation))


def _encode_elsewhere(contexts: Sequence[ModelContext], folders: list[Path]) -> list[dict[str, Any]]:
    """How ms-swift and transformers encode the conversations, determined in a process of its own."""
    job = {
        "models": [
            {"folder": str(folder), "swift": context.model.family.swift.model_dump()}
            for context, folder in zip(contexts, folders, strict=True)
        ],
        "conversations": CONVERSATIONS,
    }
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, "-m", WORKER], input=json.dumps(job), env=environment, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason reported"])[-1]
        raise SwiftkitError(f"the process with ms-swift ended with {done.returncode}: {reason}", exit_code=FAILED)
    references: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return references


def _encoder_difference(encoded: Encoded, reference: dict[str, Any], tokenizer: Tokenizer) -> str:
    """Where token ids or loss differ from ms-swift's; empty if they do not."""
    if "refused" in reference:
        return f"ms-swift refuses it: {reference['refused']}"
    return first_difference(encoded.ids, reference["ids"], tokenizer) or first_difference(
        encoded.labels, reference["labels"], tokenizer, "loss differs"
    )


def first_difference(
    ids: Sequence[int], reference: Sequence[int], tokenizer: Tokenizer, what: str = "tokens differ"
) -> str:
    """Where two sequences of tokens differ, with the text that follows; empty if they do not."""
    if list(ids) == list(reference):
        return ""
    shorter = min(len(ids), len(reference))
    place = next((i for i, (a, b) in enumerate(zip(ids, reference, strict=False)) if a != b), shorter)

    def text(tokens: Sequence[int]) -> str:
        following = [token for token in tokens[place : place + 6] if token != IGNORED]
        return repr(tokenizer.decode(following, skip_special_tokens=False))

    return f"{what} at {place}: {text(ids)} here, {text(reference)} there"


def _prompt_difference(messages: list[Message], exported: list[dict[str, Any]], encoder: ChatEncoder) -> str:
    """Where the prompts in front of a conversation's answers differ; empty if they do not.

    The first prompt is compared as text and as tokens. Later ones, which contain answers, as text only: a server
    tokenizes them in one piece, and training starts a piece where an answer starts.
    """
    places = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for number, (place, prompt) in enumerate(zip(places, exported, strict=True), 1):
        text = encoder.template.render(messages[:place], add_generation_prompt=True)
        if text != prompt["text"]:
            return f"the prompt of answer {number} is another text"
        (ids,) = encoder.prompts([messages[:place]])
        if number == 1 and (difference := first_difference(ids, prompt["ids"], encoder.tokenizer)):
            return f"answer {number}: {difference}"
    return ""


def _stop_problem(encoder: ChatEncoder, generation: dict[str, Any]) -> str | None:
    """What is wrong with the trained stop token, if anything is."""
    text = stop_text(encoder.template)
    ids = encoder.tokenizer.encode(text, add_special_tokens=False).ids
    if len(ids) != 1:
        return f"the tokenizer has no token for `{text}`, which ends answers: generation may not stop"
    named = generation.get("eos_token_id")
    if ids[0] not in (named if isinstance(named, list) else [named]):
        return f"`{text}` is trained as the end of an answer, but generation does not stop there"
    return None
