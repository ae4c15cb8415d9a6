"""Kind `engines`: what generates the responses of an exam. One file an engine, with

- `load(job) -> Engine`, called in the exam's own process: load the model, or connect to a server; import heavy
  libraries here, since the module is also imported outside that process,
- optionally `key()`: what responses depend on besides weights, prompts, limit and precision, such as the address of a
  server, as a value that JSON can hold. While it stays the same, an exam keeps its answers.

`--engine NAME` chooses one. A prompt has both messages and token ids: a server needs the former, a model the latter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from swiftkit import plugins
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Message


@dataclass(frozen=True)
class Prompt:
    """A question to answer: the conversation, and its token ids as in training."""

    number: int
    messages: tuple[Message, ...]
    ids: Sequence[int]


@dataclass(frozen=True)
class Generation:
    """A response, or why there is none.

    Attributes:
        number: the prompt's.
        ids: generated token ids, including a stop token; of an engine without token ids, empty.
        text: the response's text, of an engine without token ids; with its reasoning as the model wrote it, or without.
        num_tokens: number of generated tokens.
        stop_reason: `stop`, `marker` or `limit` (`swiftkit.exams.folder`).
        error: what failed; then there is no response.
    """

    number: int
    ids: Sequence[int] = ()
    text: str | None = None
    num_tokens: int = 0
    stop_reason: str = ""
    error: str | None = None


class StopRule(Protocol):
    """When to stop. An engine asks after every token, or, if it has only text, whenever more text has arrived."""

    max_new_tokens: int

    def after_token(self, number: int, ids: Sequence[int]) -> str:
        """Why the response ends after these tokens (`stop`, `marker`, `limit`); empty if it continues."""
        ...

    def after_text(self, number: int, text: str) -> str:
        """Why the response ends after this text (`marker`); empty if it continues."""
        ...

    def is_interrupted(self) -> bool:
        """Whether all work must end: the engine returns, without the remaining responses."""
        ...


class Engine(Protocol):
    """Generates responses, greedily."""

    def generate(self, prompts: Sequence[Prompt], stop: StopRule, on_done: Callable[[Generation], None]) -> None:
        """Respond to all prompts, in any order; pass each response to `on_done` when it is complete."""
        ...


def check_plugin(name: str) -> None:
    """An engine defines its function, with a job as its parameter, and its key is a value that JSON can hold.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    try:
        inspect.signature(plugins.get("engines", name)).bind("job")
    except TypeError as error:
        raise SwiftkitError(f"`load` cannot be called as load(job): {error}") from error
    try:
        value = settings_key(name)
    except SwiftkitError:  # a setting is missing, which it may refuse
        return
    plugins.require_json("key", value)


def settings_key(name: str) -> Any:
    """What an engine's responses depend on besides the exam; None if it does not say."""
    function = getattr(plugins.module("engines", name), "key", None)
    return function() if function else None
