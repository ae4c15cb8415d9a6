"""Characters that text does not have: control characters, and what a wrong encoding leaves behind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swiftkit.data.facts import DataContext
from swiftkit.schema import Example, Finding

KINDS = {
    "control characters": (re.compile(r"[\x00-\x08\x0e-\x1f\x7f]"), "remove them"),
    "replacement characters (U+FFFD)": (
        re.compile("\ufffd"),
        "an earlier conversion has lost these characters; read the original file with its own --encoding",
    ),
    "text in a wrong encoding, such as `Ã©` for `é`": (
        re.compile("[ÃÂ][\u0080-\u00bf]|â€[\u0090-\u00bf\u2018-\u2122]"),
        "read the original file with its own --encoding",
    ),
}


def check(context: DataContext) -> Iterator[Finding]:
    """A finding for each kind of such characters."""
    for label, (pattern, hint) in KINDS.items():
        places = [example.source for example in context.examples if any(map(pattern.search, _texts(example)))]
        if places:
            yield Finding(f"rows with {label}: {len(places):,} (the first: {places[0]})", hint)


def _texts(example: Example) -> list[str]:
    return [example.text] if example.text is not None else [message["content"] for message in example.messages]
