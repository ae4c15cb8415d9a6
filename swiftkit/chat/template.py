"""Chat templates: messages to text by Jinja.

The text with loss is declared in the template, between `{% generation %}` and `{% endgeneration %}`, the tag that
transformers uses for the same purpose (https://huggingface.co/docs/transformers/chat_templating).
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from swiftkit import assets
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Message

# For templates that print the date: with today's date, serving would differ from training.
FIXED_DATE = date(2024, 7, 26)
SPECIAL_TOKEN_VARIABLES = ("bos_token", "eos_token", "unk_token", "pad_token")  # transformers passes these to templates
_GENERATION_TAGS = re.compile(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}")


class GenerationTag(Extension):
    """`{% generation %} … {% endgeneration %}`: the text between the tags has loss."""

    tags = {"generation"}  # noqa: RUF012  (jinja2 declares it so)

    def parse(self, parser: Parser) -> nodes.Node:
        """Wrap the block's text in the environment's delimiter."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_delimit"), [], [], body).set_lineno(line)

    def _delimit(self, caller: Callable[[], str]) -> str:
        delimiter = getattr(self.environment, "loss_delimiter", "")
        return f"{delimiter}{caller()}{delimiter}"


@dataclass(frozen=True)
class Template:
    """A chat template, ready to render.

    Attributes:
        name: for messages.
        source: the Jinja text.
        compiled: the same, compiled.
        delimiter: surrounds text with loss in the rendered output; random, so that no message can contain it.
    """

    name: str
    source: str
    compiled: jinja2.Template
    delimiter: str

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the Jinja text, in hex."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as text; with `add_generation_prompt`, up to where the assistant starts to write."""
        return "".join(text for text, _ in self.parts(messages, add_generation_prompt=add_generation_prompt))

    def parts(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> list[tuple[str, bool]]:
        """The conversation as pieces of text, each with whether it has loss; pieces with and without loss alternate.

        Raises:
            SwiftkitError: the template refuses the conversation, or fails on it.
        """
        try:
            text = self.compiled.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:  # jinja2's own errors, and whatever the template's expressions raise
            reason = str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
            raise SwiftkitError(f"chat template `{self.name}` cannot render this conversation: {reason}") from error
        return [(piece, index % 2 == 1) for index, piece in enumerate(text.split(self.delimiter))]


def load(name: str) -> Template:
    """The template with that name in `templates/`.

    Raises:
        SwiftkitError: there is none, it is not valid Jinja, or it breaks a rule of `verify`.
    """
    path = find(name)
    return _load(name, path, path.stat().st_mtime_ns if path.is_file() else 0)


def find(name: str) -> Path:
    """The file of the template with that name.

    Raises:
        SwiftkitError: there is none, or there are two.
    """
    return assets.file("templates", ".jinja", name, "chat template")


@cache
def _load(name: str, path: Path, changed: int) -> Template:
    """`changed` is only part of the cache's key: in a notebook, a file may be edited between two trainings."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SwiftkitError(f"{path} cannot be read: {error}") from error
    template = compile(source, name)
    variables = meta.find_undeclared_variables(template.compiled.environment.parse(source))
    if from_folder := sorted(variables & set(SPECIAL_TOKEN_VARIABLES)):
        raise SwiftkitError(
            f"chat template `{name}` uses {', '.join(from_folder)}, which a server fills in from the model folder",
            "write the token itself (docs/tokens.md)",
        )
    verify(template)
    return template


def compile(source: str, name: str) -> Template:
    """`source` as a template, compiled as transformers compiles one, but with a fixed date."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, "jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": _raise, "strftime_now": FIXED_DATE.strftime}
    environment.filters["tojson"] = _to_json
    delimiter = f"\ue000{secrets.token_hex(8)}\ue001"
    environment.loss_delimiter = delimiter  # type: ignore[attr-defined]
    try:
        return Template(name, source, environment.from_string(source), delimiter)
    except jinja2.TemplateError as error:
        raise SwiftkitError(f"chat template `{name}` is not valid Jinja: {error}") from error


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def verify(template: Template) -> None:
    """Refuse a template with which training and serving would use different tokens.

    Raises:
        SwiftkitError: the rule that it breaks, with a fix.
    """
    one_question: list[Message] = [{"role": "user", "content": "Question one."}]
    two_questions: list[Message] = [
        *one_question,
        {"role": "assistant", "content": "Answer one."},
        {"role": "user", "content": "Question two."},
    ]
    for messages, answer in ((one_question, "Answer one."), (two_questions, "Answer two.")):
        parts = template.parts([*messages, {"role": "assistant", "content": answer}])
        with_loss = [index for index, (_, has_loss) in enumerate(parts) if has_loss]
        before = "".join(text for text, _ in parts[: with_loss[-1]]) if with_loss else ""
        broken = _broken_rule(parts, messages[-1]["content"], answer)
        prompt = template.render(messages, add_generation_prompt=True)
        if broken is None and prompt != before:
            broken = (
                f"the prompt ends with {prompt[-40:]!r}, but the text before the answer ends with {before[-40:]!r}: "
                "training and serving would use different tokens",
                "with add_generation_prompt it must write exactly the text that precedes {% generation %}",
            )
        if broken:
            raise SwiftkitError(f"chat template `{template.name}`: {broken[0]}", f"{broken[1]} (docs/tokens.md)")


def _broken_rule(parts: Sequence[tuple[str, bool]], question: str, answer: str) -> tuple[str, str] | None:
    """What is wrong with a rendered conversation, and how to fix it."""
    with_loss = "".join(text for text, has_loss in parts if has_loss)
    without_loss = "".join(text for text, has_loss in parts if not has_loss)
    if not (with_loss + without_loss).strip():
        return "it renders nothing", "it must write every message"
    if answer in without_loss:
        return "it puts the answer into the prompt", "write it between {% generation %} and {% endgeneration %}"
    if answer not in with_loss:
        return "it does not write the answer", "write it between {% generation %} and {% endgeneration %}"
    if question not in without_loss:
        return "it does not write the question in front of the answer", "it must write every message"
    if not with_loss.rpartition(answer)[2].strip():
        return "nothing ends an answer, so a model would never stop", "write the stop token before {% endgeneration %}"
    return None


def strip_generation_tags(source: str) -> str:
    """A template's text without `{% generation %}` tags, for servers that do not know them.

    A tag becomes an empty comment, which trims the white space around it as the tag did.
    """
    return _GENERATION_TAGS.sub(r"{#\1 \2#}", source)
