"""The markers that carry answers: `<<ans:…>>` and `{{ans:…}}`, in references and in responses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from swiftkit import notation, values

CLOSERS = ">}"  # a marker closes by a token that contains one of these

_REASONING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_BLANKS = r"[^\S\r\n]*+"
_TOKEN = re.compile(rf"(?P<opening>\{{\{{|<<){_BLANKS}ans{_BLANKS}[:：]|[{{}}\r\n]|>>")
_GSM8K = re.compile(rf"^{_BLANKS}####{_BLANKS}(\S.*)$", re.MULTILINE)
_PLACEHOLDER = re.compile(
    r"x{2,}|[.…_?□\s]*|-{2,}|\\(?:l|c)?dots|\\square|blank"
    r"|(?:(?:a|an|the|your|my|put|insert|write|place|enter|correct|right|final|numeric|numerical|answer)[ _])*"
    r"(?:answer|ans|value|number|result|solution|placeholder)(?:[ _](?:here|goes here|value|number|only))?"
    r"|(?:你的|最终|最后|正确|填写|此处填)*(?:答案|结果|数值|数字)"
)
_SPACE = re.compile(r"\s*")
_SHORTEST_ECHO = 12  # characters; a shorter piece of the question, such as a number, may well be an answer


@dataclass(frozen=True)
class Marker:
    """One closed marker: what it holds, blanks around taken off, and where in the text it begins and ends."""

    content: str
    start: int
    end: int


def without_reasoning(text: str) -> str:
    """`text` without every `<think>…</think>`; one that is not closed hides everything behind it."""
    return _REASONING.sub("\n", text)  # a new line, so that the pieces around it do not become a marker together


def _closed(text: str) -> Iterator[Marker]:
    """Every closed marker, real or placeholder, in one pass over `text`.

    A marker ends where it first can: text behind it never changes it. Braces inside {{ans:…}} are balanced; a new
    opening starts anew; a line's end closes nothing.
    """
    opening, begin, start, depth = "", 0, 0, 0
    for token in _TOKEN.finditer(text):
        if token["opening"]:
            opening, begin, start, depth = token["opening"], token.start(), token.end(), 0
        elif token[0] in "\r\n":
            opening = ""
        elif opening == "<<" and token[0] == ">>":
            yield Marker(text[start : token.start()].strip(), begin, token.end())
            opening = ""
        elif opening == "{{" and token[0] == "{":
            depth += 1
        elif opening == "{{" and token[0] == "}" and depth:
            depth -= 1
        elif opening == "{{" and token[0] == "}":
            if text.startswith("}", token.end()):
                yield Marker(text[start : token.start()].strip(), begin, token.end() + 1)
            opening = ""


def _is_placeholder(content: str) -> bool:
    plain = notation.plain(content).casefold()
    return bool(_PLACEHOLDER.fullmatch(plain) or _PLACEHOLDER.fullmatch(plain.strip("<>[]() ") or plain))


def _real(text: str) -> list[Marker]:
    return [marker for marker in _closed(text) if not _is_placeholder(marker.content)]


def find(text: str) -> list[str]:
    """The contents of the real markers of `text`, in order; its reasoning part is taken off first."""
    return [marker.content for marker in _real(without_reasoning(text))]


def references(reference: str) -> list[str]:
    """What the reference turn holds to be right: its k markers, or the number of its last `#### n` line.

    Raises:
        ValueError: it holds nothing of the kind, or a marker that is empty or a placeholder.
    """
    text = without_reasoning(reference)
    if markers := _checked(text):
        return [marker.content for marker in markers]
    if not (numbers := _gsm8k(text)):
        raise ValueError("the reference has no marker <<ans:…>> or {{ans:…}} and no line #### n")
    return numbers


def style(reference: str) -> str:
    """How a reference holds its values: `<<ans:…>>` or `{{ans:…}}` (as its first one), `#### n`, or empty: not at all.

    Raises:
        ValueError: a marker is empty or a placeholder.
    """
    text = without_reasoning(reference)
    if markers := _checked(text):
        return "<<ans:…>>" if text[markers[0].start] == "<" else "{{ans:…}}"
    return "#### n" if _gsm8k(text) else ""


def _checked(text: str) -> list[Marker]:
    markers = list(_closed(text))
    for marker in markers:
        if _is_placeholder(marker.content):
            shown = f"the placeholder {marker.content!r}" if marker.content else "nothing"
            raise ValueError(f"a marker of the reference holds {shown}")
    return markers


def _gsm8k(text: str) -> list[str]:
    """The number of the last `#### n` line, if there is one."""
    lines = [line.strip() for line in _GSM8K.findall(text)]
    return [line for line in lines if values.parse(line)][-1:]


@dataclass(frozen=True)
class Own:
    """What a response says by itself: the real markers, and the text behind everything that it only copied."""

    markers: list[str]
    text: str


def own(response: str, question: str = "") -> Own:
    """The part of `response` that is no echo of `question`; the reasoning part is taken off, blanks are as one.

    A question at the response's start is taken off, as often as it stands there. Whether a marker is copied hangs on
    the text up to its end alone, so that text behind a marker never changes whether it counts.
    """
    text, asked = without_reasoning(response), _blanks(question)
    text = text[_echoed(text, question.split()) :]
    real, copied = _real(text), 0
    while asked and real and _copied(text, real[0], asked):
        copied = real.pop(0).end
    rest = _blanks(text)
    if not real and len(rest) >= _SHORTEST_ECHO and rest in asked:
        return Own([], "")
    return Own([marker.content for marker in real], text[copied:].strip())


def _copied(text: str, marker: Marker, asked: str) -> bool:
    """Whether `text` up to the end of `marker` begins the question, or is a longer piece of it.

    A question may offer its answers as markers ("Is it <<ans:10>> or <<ans:11>>?"): one of them alone is an answer.
    """
    said, before = _blanks(text[: marker.end]), _blanks(text[: marker.start])
    return asked.startswith(said) or (len(before) >= _SHORTEST_ECHO and said in asked)


def _blanks(text: str) -> str:
    return " ".join(text.split())


def _echoed(text: str, words: list[str]) -> int:
    """Where `text` goes on behind the question's words, said from its start once or more; 0 when it does not."""
    place = behind = 0
    while words:
        for count, word in enumerate(words):
            start = _SPACE.match(text, place).end()  # type: ignore[union-attr]  # it always matches
            if (count and start == place) or not text.startswith(word, start):
                return behind
            place = start + len(word)
        if text[place - 1 : place + 1].isdigit() and place < len(text):  # asked 2 + 3, said 2 + 35
            return behind
        behind = place
    return behind
