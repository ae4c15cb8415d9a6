"""Special tokens of the model in the text of messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Example, Finding


def check(context: DataContext) -> Iterator[Finding]:
    """A finding if the text of messages contains the model's own special tokens."""
    if context.encoder is None:
        return
    added = context.encoder.tokenizer.get_added_tokens_decoder().values()
    tokens = sorted((token.content for token in added if token.special), key=len, reverse=True)
    if not tokens:
        return
    pattern = re.compile("|".join(map(re.escape, tokens)))
    matches = [
        (example.source, match[0])
        for example in context.examples
        if (match := next(filter(None, map(pattern.search, _texts(example))), None))
    ]
    if matches:
        place, token = matches[0]
        yield Finding(
            f"rows with special tokens of this model in their text: {len(matches):,} (the first: {place}: {token})",
            "they are encoded as the special tokens, as in servers: remove them, unless that is intended",
        )


def _texts(example: Example) -> list[str]:
    return [example.text] if example.text is not None else [message["content"] for message in example.messages]
