"""Which of swiftkit's chat templates renders like that of a model folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from swiftkit.chat import template as chat_template
from swiftkit.chat.template import Template
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Message

logger = logging.getLogger(__name__)
PROBE: list[Message] = [
    {"role": "user", "content": "a\n b"},
    {"role": "assistant", "content": "c"},
    {"role": "user", "content": "d"},
    {"role": "assistant", "content": "e"},
]
FIRST_QUESTION, WITH_HISTORY, COMPLETE = 1, 3, 4  # numbers of messages of the probe


def matching_templates(template: Template, names: Iterable[str]) -> list[str]:
    """Those of the named templates that render a first question like `template`.

    If there are several, those that also render an earlier answer like it; of these, those that also end like it.
    """
    matching = [name for name in dict.fromkeys(names) if _is_valid(name)]
    for length in (FIRST_QUESTION, WITH_HISTORY, COMPLETE):
        text = _render(template, length)
        narrower = [name for name in matching if text is not None and _render_named(name, length) == text]
        if not narrower:
            return [] if length == FIRST_QUESTION else matching
        matching = narrower
    return matching


def same_history(template: Template, name: str) -> bool:
    """Whether the named template also renders an earlier answer like `template`, apart from white space."""
    texts = (_render(template, WITH_HISTORY) or "", _render_named(name, WITH_HISTORY) or "")
    return "".join(texts[0].split()) == "".join(texts[1].split())


def same_conversation(template: Template, name: str) -> bool:
    """Whether the named template renders every part of a conversation like `template`."""
    lengths = (FIRST_QUESTION, WITH_HISTORY, COMPLETE)
    return _is_valid(name) and all(_render(template, n) == _render_named(name, n) for n in lengths)


def _is_valid(name: str) -> bool:
    """Whether a template can be used; one that cannot is reported and skipped."""
    try:
        chat_template.load(name)
    except SwiftkitError as error:
        logger.warning("skipped: %s", error)
        return False
    return True


def _render(template: Template, length: int) -> str | None:
    """The first messages of `PROBE`; None if the template refuses them."""
    messages = PROBE[:length]
    try:
        return template.render(messages, add_generation_prompt=messages[-1]["role"] == "user")
    except SwiftkitError:
        return None


def _render_named(name: str, length: int) -> str | None:
    return _render(chat_template.load(name), length)
