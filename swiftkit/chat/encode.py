"""Text to token ids and labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

from swiftkit.chat.template import Template
from swiftkit.errors import SwiftkitError
from swiftkit.schema import IGNORED, Encoded, Message

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_SIZE = 1000  # examples tokenized at once: enough to use all cores, few enough for the memory


@dataclass(frozen=True)
class Span:
    """A piece of text with the token ids that it consists of, usually one, and whether it has loss.

    Tokens that only together form a character (bytes of 丽 or 🙂) share a span.
    """

    text: str
    ids: list[int]
    in_loss: bool


@dataclass(frozen=True)
class ChatEncoder:
    """How a model reads text.

    Attributes:
        tokenizer: the model's.
        template: its family's chat template.
        stop_token: text appended to plain text (not to conversations).
    """

    tokenizer: Tokenizer
    template: Template
    stop_token: str = ""

    def encode(
        self, conversations: Iterable[Sequence[Message]], masked: Iterable[Collection[int]] = repeat(())
    ) -> Iterator[Encoded]:
        """Token ids and labels of each conversation, up to its last token with loss.

        Args:
            conversations: their turns.
            masked: of each conversation, the indices of turns whose text has no loss, whatever the template says.

        Text is split where loss begins, because generation begins there: what a server tokenizes as the prompt is one
        piece here, and the answer starts a new one. Within a piece the tokenizer sees all of the text, so a token that
        absorbs the newline behind it (Phi-3's do) absorbs it here too.
        """
        remaining = zip(conversations, masked)  # noqa: B905 - `masked` may be endless
        while batch := list(islice(remaining, BATCH_SIZE)):
            rows = [self._pieces(messages, without_loss) for messages, without_loss in batch]
            encodings = iter(self._encode_pieces(chain(*rows)))
            for row in rows:
                yield _join([(next(encodings), length) for _, length in row])

    def prompts(self, conversations: Iterable[Sequence[Message]]) -> Iterator[list[int]]:
        """Token ids of each conversation up to where the assistant starts to write.

        They are a prefix of what `encode` gives for the same conversation continued with an answer: earlier answers
        are split off as pieces here as well.
        """
        for messages in conversations:
            pieces = _pieces(self.template.parts(messages, add_generation_prompt=True))
            yield [token for encoding in self._encode_pieces(pieces) for token in encoding.ids]

    def encode_text(self, texts: Iterable[str]) -> Iterator[Encoded]:
        """Plain text for language modeling: every token has loss, including the stop token."""
        remaining = iter(texts)
        while batch := list(islice(remaining, BATCH_SIZE)):
            batch = [text + self.stop_token for text in batch]
            for encoding in self.tokenizer.encode_batch(batch, add_special_tokens=True):
                yield Encoded(encoding.ids, [IGNORED, *encoding.ids[1:]])

    def spans(self, messages: Sequence[Message], masked: Collection[int] = ()) -> list[Span]:
        """A conversation as `encode` sees it, for display: the same ids in the same order, with the text of each."""
        pieces = self._pieces(messages, masked)
        encodings = self._encode_pieces(pieces)
        spans = [
            span
            for (text, length), encoding in zip(pieces, encodings, strict=True)
            for span in _spans(text, length, encoding)
        ]
        last = max((index for index, span in enumerate(spans) if span.in_loss), default=-1)
        return spans[: last + 1]

    def text_spans(self, text: str) -> list[Span]:
        """Plain text as `encode_text` sees it, for display."""
        text += self.stop_token
        return _spans(text, len(text), self.tokenizer.encode(text, add_special_tokens=True))

    def _pieces(self, messages: Sequence[Message], masked: Collection[int]) -> list[tuple[str, int]]:
        """The pieces of a conversation, split as without `masked`, since tokens must not depend on what has loss."""
        pieces = _pieces(self.template.parts(messages))
        if not masked:
            return pieces
        with_loss = [number for number, (_, length) in enumerate(pieces) if length]
        # Templates of thinking models give loss to the last answers only.
        answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"][-len(with_loss) :]
        if len(answers) != len(with_loss):
            counts = f"{len(with_loss)} texts of {len(answers)} answers"
            raise SwiftkitError(
                f"chat template `{self.template.name}` gives loss to {counts}, so single answers cannot be left out",
                "put each answer into one {% generation %} block, or do without `weight` and --loss_on",
            )
        hidden = {number for number, index in zip(with_loss, answers, strict=True) if index in masked}
        return [(text, 0 if number in hidden else length) for number, (text, length) in enumerate(pieces)]

    def _encode_pieces(self, pieces: Iterable[tuple[str, int]]) -> list[Any]:
        return list(self.tokenizer.encode_batch([text for text, _ in pieces], add_special_tokens=False))


def _pieces(parts: list[tuple[str, bool]]) -> list[tuple[str, int]]:
    """Text from one start of loss to the next, each with how many of its first characters have loss."""
    pieces: list[tuple[str, int]] = []
    for text, has_loss in parts:
        if has_loss:
            pieces.append((text, len(text)))
        elif pieces:
            before, length = pieces[-1]
            pieces[-1] = (before + text, length)
        else:
            pieces.append((text, 0))
    return [piece for piece in pieces if piece[0]]


def _join(pieces: list[tuple[Any, int]]) -> Encoded:
    """Encoded pieces, each with how many of its characters have loss, as one sequence."""
    ids: list[int] = []
    labels: list[int] = []
    end = 0
    for encoding, length in pieces:
        for token, (start, _) in zip(encoding.ids, encoding.offsets, strict=True):
            ids.append(token)
            labels.append(token if start < length else IGNORED)
            if start < length:
                end = len(ids)
    # Nothing precedes the first token that could predict it; ms-swift gives it no loss either.
    if labels:
        labels[0] = IGNORED
    return Encoded(ids[:end], labels[:end])


def _spans(text: str, length: int, encoding: Any) -> list[Span]:
    """The tokens of a piece whose first `length` characters have loss; text between two tokens goes to the second."""
    spans: list[Span] = []
    shown = 0
    for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        if spans and end <= shown and start < end:
            spans[-1] = replace(spans[-1], ids=[*spans[-1].ids, token])
            continue
        spans.append(Span(text[shown : max(end, shown)], [token], start < length))
        shown = max(end, shown)
    return spans
