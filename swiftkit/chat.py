"""The one renderer: messages to text by a Jinja template, text to token ids and labels.

What is learned is declared in the template, between `{% generation %}` and `{% endgeneration %}`, the tag that
transformers uses for the same purpose (https://huggingface.co/docs/transformers/chat_templating).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from swiftkit import assets
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Encoded, Message

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FIXED_DATE = date(2024, 7, 26)  # for templates that ask: a date that moved would make serving differ from training
_MARKS = re.compile(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}")
TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")  # what transformers hands to a template
IGNORED = -100  # the label of a token that is not learned, as PyTorch's cross entropy wants it
BATCH = 1000  # examples that are tokenised at once: enough for all cores, little enough for the memory


class Generation(Extension):
    """`{% generation %} … {% endgeneration %}`: what stands between is learned."""

    tags = {"generation"}  # noqa: RUF012  (jinja2 declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        """Wrap the block's text in the environment's marks."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        mark = getattr(self.environment, "learned_mark", "")
        return f"{mark}{caller()}{mark}"


@dataclass(frozen=True)
class Template:
    """A chat template, ready to render."""

    name: str
    compiled: jinja2.Template
    mark: str  # stands around learned text; random, so that no message can contain it

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as text; with `add_generation_prompt` up to where the assistant begins to write."""
        return "".join(text for text, _ in self.parts(messages, add_generation_prompt=add_generation_prompt))

    def parts(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> list[tuple[str, bool]]:
        """The conversation in pieces of text, each with whether it is learned; they alternate."""
        try:
            text = self.compiled.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:  # jinja2's own, and whatever its expressions raise
            said = str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
            raise SwiftkitError(f"chat template `{self.name}` cannot render this conversation: {said}") from error
        return [(piece, index % 2 == 1) for index, piece in enumerate(text.split(self.mark))]


def load(name: str) -> Template:
    """The template of that name.

    Raises:
        SwiftkitError: there is none, it is no valid Jinja, or it breaks a rule of `verify`.
    """
    return _load(name, path(name))


@cache
def _load(name: str, file: Path) -> Template:
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SwiftkitError(f"{file} cannot be read: {error}") from error
    made = compile(source, name)
    asked = meta.find_undeclared_variables(made.compiled.environment.parse(source)) & set(TOKENS)
    if asked:
        raise SwiftkitError(
            f"chat template `{name}`: it asks for {', '.join(sorted(asked))}, which a server fills in from the folder",
            "write the token itself (docs/tokens.md)",
        )
    verify(made)
    return made


def path(name: str) -> Path:
    """The file of the template of that name.

    Raises:
        SwiftkitError: there is none, or there are two.
    """
    return assets.file("templates", ".jinja", name, "chat template")


def verify(template: Template) -> None:
    """Refuse a template that would teach something else than what is served.

    Raises:
        SwiftkitError: the rule that it breaks, with the way out.
    """
    asked: list[Message] = [{"role": "user", "content": "Question one."}]
    answered: list[Message] = [*asked, {"role": "assistant", "content": "Answer one."}]
    again: list[Message] = [*answered, {"role": "user", "content": "Question two."}]
    for messages in (asked, again):
        answer = f"Answer {'two' if messages is again else 'one'}."
        parts = template.parts([*messages, {"role": "assistant", "content": answer}])
        places = [place for place, (_, learned) in enumerate(parts) if learned]
        before = "".join(text for text, _ in parts[: places[-1]]) if places else ""
        wrong = _broken_rule(parts, messages[-1]["content"], answer)
        prompt = template.render(messages, add_generation_prompt=True)
        if wrong is None and prompt != before:
            wrong = (
                f"the prompt ends {prompt[-40:]!r}, but the text before the answer ends {before[-40:]!r}: "
                "what is served would not be what was trained",
                "with add_generation_prompt it must write exactly what stands before {% generation %}",
            )
        if wrong:
            raise SwiftkitError(f"chat template `{template.name}`: {wrong[0]}", f"{wrong[1]} (docs/tokens.md)")


def _broken_rule(parts: Sequence[tuple[str, bool]], question: str, answer: str) -> tuple[str, str] | None:
    """What is wrong with a rendered conversation, and the way out."""
    whole = "".join(text for text, _ in parts)
    learned = "".join(text for text, is_learned in parts if is_learned)
    prompt = "".join(text for text, is_learned in parts if not is_learned)
    if not whole.strip():
        return "it renders nothing", "it must write every message"
    if answer in prompt:
        return "it puts the answer into the prompt", "write it between {% generation %} and {% endgeneration %}"
    if answer not in learned:
        return "it does not write the answer", "write it between {% generation %} and {% endgeneration %}"
    if question not in prompt:
        return "it does not write the question in front of the answer", "it must write every message"
    if not learned.rpartition(answer)[2].strip():
        return "nothing ends an answer, so a model would never stop", "write the stop token before {% endgeneration %}"
    return None


def plain(source: str) -> str:
    """A template's text without the marks of what is learned.

    A comment trims the white space around it as the tag did that it stands for.
    """
    return _MARKS.sub(r"{#\1 \2#}", source)


def compile(source: str, name: str) -> Template:
    """`source` as a template, as transformers makes one, but on a fixed date."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": _raise, "strftime_now": FIXED_DATE.strftime}
    environment.filters["tojson"] = _json
    mark = f"\ue000{secrets.token_hex(8)}\ue001"
    environment.learned_mark = mark  # type: ignore[attr-defined]
    try:
        return Template(name, environment.from_string(source), mark)
    except jinja2.TemplateError as error:
        raise SwiftkitError(f"chat template `{name}` is no valid Jinja: {error}") from error


def _json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def stop_text(template: Template) -> str:
    """What the template puts behind the last answer to end it: the last line of it, without white space."""
    probe: list[Message] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    learned = "".join(text for text, is_learned in template.parts(probe) if is_learned)
    return learned.rpartition("!")[2].strip().rpartition("\n")[2]


def stops(template: Template, tokenizer: Tokenizer, *configs: dict[str, Any]) -> tuple[list[int], list[int], str]:
    """What ends an answer: the learned stop token, further ones that the model's configs name, the learned text.

    The first list is empty where the tokenizer has no single token for the learned text.

    Raises:
        SwiftkitError: a config names something else than token ids.
    """
    text = stop_text(template)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    learned = ids if len(ids) == 1 else []
    named: set[int] = set()
    for config in configs:
        value = config.get("eos_token_id")
        for token in value if isinstance(value, list) else [value]:
            if not isinstance(token, int | None):
                raise SwiftkitError(f"the model's eos_token_id is {value!r}, which is no token id", "download it again")
            named |= set() if token is None else {token}
    return learned, sorted(named - set(learned)), text


def encode(conversations: Iterable[Sequence[Message]], template: Template, tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Token ids and labels of each conversation, up to its last learned token.

    Text is cut where learned text begins, since that is where generation begins: what a server tokenises as the
    prompt is one piece here, and the answer starts a new one. Inside a piece the tokenizer sees all of the text,
    so a token that swallows the newline behind it (Phi-3's do) swallows it here as well.
    """
    waiting = iter(conversations)
    while batch := list(islice(waiting, BATCH)):
        pieces = [_pieces(template.parts(messages)) for messages in batch]
        encodings = iter(tokenizer.encode_batch([text for text, _ in chain(*pieces)], add_special_tokens=False))
        for row in pieces:
            yield _join([(next(encodings), learned) for _, learned in row])


def prompts(
    conversations: Iterable[Sequence[Message]], template: Template, tokenizer: Tokenizer
) -> Iterator[list[int]]:
    """Token ids of each conversation up to where the assistant begins to write.

    They are those with which `encode` begins where the same conversation goes on with an answer, since earlier answers
    are cut out as pieces here as well.
    """
    for messages in conversations:
        pieces = _pieces(template.parts(messages, add_generation_prompt=True))
        encodings = tokenizer.encode_batch([text for text, _ in pieces], add_special_tokens=False)
        yield [token for encoding in encodings for token in encoding.ids]


def _pieces(parts: list[tuple[str, bool]]) -> list[tuple[str, int]]:
    """Text from one start of learning to the next, each with how many of its first characters are learned."""
    pieces: list[tuple[str, int]] = []
    for text, learned in parts:
        if learned:
            pieces.append((text, len(text)))
        elif pieces:
            before, length = pieces[-1]
            pieces[-1] = (before + text, length)
        else:
            pieces.append((text, 0))
    return [piece for piece in pieces if piece[0]]


def _join(pieces: list[tuple[Any, int]]) -> Encoded:
    ids: list[int] = []
    labels: list[int] = []
    end = 0
    for encoding, learned in pieces:
        for token, (start, _) in zip(encoding.ids, encoding.offsets, strict=True):
            ids.append(token)
            labels.append(token if start < learned else IGNORED)
            if start < learned:
                end = len(ids)
    # The first token has nothing before it that could predict it; ms-swift does not learn it either.
    if labels:
        labels[0] = IGNORED
    return Encoded(ids[:end], labels[:end])


def encode_text(texts: Iterable[str], tokenizer: Tokenizer, stop: str) -> Iterator[Encoded]:
    """Plain text for plain language modelling: every token is learned, `stop` behind it too."""
    waiting = iter(texts)
    while batch := list(islice(waiting, BATCH)):
        for encoding in tokenizer.encode_batch([text + stop for text in batch], add_special_tokens=True):
            yield Encoded(encoding.ids, [IGNORED, *encoding.ids[1:]])


@dataclass(frozen=True)
class Span:
    """A piece of text and the token ids that it is made of; most are one token.

    Tokens of which several are one character (bytes of 丽 or 🙂) stand in one span.
    """

    text: str
    ids: list[int]
    learned: bool


def spans(messages: Sequence[Message], template: Template, tokenizer: Tokenizer) -> list[Span]:
    """A conversation as `encode` has it, for people: the same ids in the same order, with the text of each."""
    pieces = _pieces(template.parts(messages))
    encodings = tokenizer.encode_batch([text for text, _ in pieces], add_special_tokens=False)
    found = [
        span
        for (text, length), encoding in zip(pieces, encodings, strict=True)
        for span in _spans(text, length, encoding)
    ]
    last = max((index for index, span in enumerate(found) if span.learned), default=-1)
    return found[: last + 1]


def text_spans(text: str, tokenizer: Tokenizer, stop: str) -> list[Span]:
    """Plain text as `encode_text` has it, for people."""
    return _spans(text + stop, len(text + stop), tokenizer.encode(text + stop, add_special_tokens=True))


def _spans(text: str, learned: int, encoding: Any) -> list[Span]:
    """The tokens of a piece whose first `learned` characters are learned; text between two goes to the second."""
    found: list[Span] = []
    shown = 0
    for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        if found and end <= shown and start < end:
            found[-1] = replace(found[-1], ids=[*found[-1].ids, token])
            continue
        found.append(Span(text[shown : max(end, shown)], [token], start < learned))
        shown = max(end, shown)
    return found
