"""Rows as a model reads them, token by token: for the terminal, as JSON, and as an HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from swiftkit.chat.encode import ChatEncoder, Span
from swiftkit.schema import Example


@dataclass(frozen=True)
class RowView:
    """An example as tokens.

    Attributes:
        source: where it was read from.
        spans: its text, piece by piece, each with whether it is a special token.
        note: what would happen to it in training, if anything.
    """

    source: str
    spans: list[tuple[Span, bool]]
    note: str = ""

    @property
    def num_tokens(self) -> int:
        """Number of tokens."""
        return sum(len(span.ids) for span, _ in self.spans)

    @property
    def num_loss_tokens(self) -> int:
        """How many of them have loss."""
        return sum(len(span.ids) for span, _ in self.spans if span.in_loss)

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "source": self.source,
            "num_tokens": self.num_tokens,
            "num_loss_tokens": self.num_loss_tokens,
            "note": self.note,
            "spans": [{**asdict(span), "special": is_special} for span, is_special in self.spans],
        }


def view(example: Example, encoder: ChatEncoder, max_length: int) -> RowView:
    """An example as the encoder's model reads it; longer ones than `max_length` tokens get a note."""
    spans = (
        encoder.spans(example.messages, example.masked) if example.text is None else encoder.text_spans(example.text)
    )
    added = encoder.tokenizer.get_added_tokens_decoder().items()
    special = {number for number, token in added if token.special}
    count = sum(len(span.ids) for span in spans)
    note = f"longer than --max_length {max_length}: it would be dropped" if count > max_length else ""
    return RowView(example.source, [(span, bool(special & set(span.ids))) for span in spans], note)


def render(model: str, template: str, rows: Sequence[RowView]) -> str:
    """The HTML page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("rows.html.jinja").render(model=model, template=template, rows=rows)
