"""Answer markers, `<<ans:…>>` and `{{ans:…}}`, in references and responses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from swiftkit.scoring import normalize, numeric

CLOSERS = ">}"  # the token that closes a marker contains one of these

_REASONING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_SPACES = r"[^\S\r\n]*+"
_TOKEN = re.compile(rf"(?P<opening>\{{\{{|<<){_SPACES}ans{_SPACES}[:：]|[{{}}\r\n]|>>")
_GSM8K = re.compile(rf"^{_SPACES}####{_SPACES}(\S.*)$", re.MULTILINE)
_PLACEHOLDER = re.compile(
    r"x{2,}|[.…_?□\s]*|-{2,}|\\(?:l|c)?dots|\\square|blank"
    r"|(?:(?:a|an|the|your|my|put|insert|write|place|enter|correct|right|final|numeric|numerical|answer)[ _])*"
    r"(?:answer|ans|value|number|result|solution|placeholder)(?:[ _](?:here|goes here|value|number|only))?"
    r"|(?:你的|最终|最后|正确|填写|此处填)*(?:答案|结果|数值|数字)"
)
_WHITE_SPACE = re.compile(r"\s*")
_MIN_ECHO_CHARS = 12  # a shorter piece of the question, such as a number, may be an answer


@dataclass(frozen=True)
class Marker:
    """A closed marker: its content, stripped, and the offsets at which it begins and ends in the text."""

    content: str
    start: int
    end: int


# --- markers of any text ----------------------------------------------------------------------------------------------


def strip_reasoning(text: str) -> str:
    """`text` without its `<think>…</think>` blocks; an unclosed one extends to the end."""
    return _REASONING.sub("\n", text)  # a line break, so that the text on both sides cannot form a marker


def _scan(text: str) -> Iterator[Marker]:
    """All closed markers, placeholders included, in one pass over `text`.

    A marker ends at its first possible end, so text after it never changes it. Braces inside {{ans:…}} are balanced. A
    new opening discards an unclosed one, and so does a line break.
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
    text = normalize.normalize(content).casefold()
    return bool(_PLACEHOLDER.fullmatch(text) or _PLACEHOLDER.fullmatch(text.strip("<>[]() ") or text))


def _non_placeholder(text: str) -> list[Marker]:
    return [marker for marker in _scan(text) if not _is_placeholder(marker.content)]


def find_markers(text: str) -> list[str]:
    """Contents of the markers of `text`, in order, without placeholders and without those of its reasoning."""
    return [marker.content for marker in _non_placeholder(strip_reasoning(text))]


# --- references -------------------------------------------------------------------------------------------------------


def references(reference: str) -> list[str]:
    """The right answers in a reference: its k markers or, without any, the number of its last `#### n` line.

    Raises:
        ValueError: it has neither, or a marker that is empty or a placeholder.
    """
    text = strip_reasoning(reference)
    if markers := _reference_markers(text):
        return [marker.content for marker in markers]
    if not (numbers := _gsm8k(text)):
        raise ValueError("the reference has no marker <<ans:…>> or {{ans:…}} and no line #### n")
    return numbers


def marker_style(reference: str) -> str:
    """How a reference holds its answers: `<<ans:…>>` or `{{ans:…}}` (as in its first marker), `#### n`, or ''.

    Raises:
        ValueError: a marker is empty or a placeholder.
    """
    text = strip_reasoning(reference)
    if markers := _reference_markers(text):
        return "<<ans:…>>" if text[markers[0].start] == "<" else "{{ans:…}}"
    return "#### n" if _gsm8k(text) else ""


def _reference_markers(text: str) -> list[Marker]:
    markers = list(_scan(text))
    for marker in markers:
        if _is_placeholder(marker.content):
            shown = f"the placeholder {marker.content!r}" if marker.content else "nothing"
            raise ValueError(f"a marker of the reference holds {shown}")
    return markers


def _gsm8k(text: str) -> list[str]:
    """The number of the last `#### n` line, if there is one."""
    lines = [line.strip() for line in _GSM8K.findall(text)]
    return [line for line in lines if numeric.parse(line)][-1:]


# --- responses --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ParsedResponse:
    """What a response adds to its question.

    Attributes:
        markers: contents of its markers, in order, without placeholders and without those copied from the question.
        text: the text after everything that was copied.
    """

    markers: list[str]
    text: str


def parse_response(response: str, question: str = "") -> ParsedResponse:
    """The part of `response` that is not an echo of `question`, without its reasoning.

    White space does not matter for the comparison. All copies of the question at the start of the response are removed.
    Whether a marker counts as copied depends only on the text up to its end, so text after it never changes that.
    """
    question_words = question.split()
    question = " ".join(question_words)
    text = _strip_echo(strip_reasoning(response), question_words)
    markers, copied_end = _non_placeholder(text), 0
    while question and markers and _is_copied(text, markers[0], question):
        copied_end = markers.pop(0).end
    collapsed = _collapse_spaces(text)
    if not markers and len(collapsed) >= _MIN_ECHO_CHARS and collapsed in question:
        return ParsedResponse([], "")
    return ParsedResponse([marker.content for marker in markers], text[copied_end:].strip())


def _is_copied(text: str, marker: Marker, question: str) -> bool:
    """Whether `text` up to the end of `marker` begins the question, or is a longer piece of it.

    A question may offer its answers as markers ("Is it <<ans:10>> or <<ans:11>>?"). One of them alone is an answer.
    """
    through, before = _collapse_spaces(text[: marker.end]), _collapse_spaces(text[: marker.start])
    return question.startswith(through) or (len(before) >= _MIN_ECHO_CHARS and through in question)


def _collapse_spaces(text: str) -> str:
    return " ".join(text.split())


def _strip_echo(text: str, question_words: list[str]) -> str:
    """`text` without the copies of the question at its start."""
    echo_end = 0
    while question_words:
        end = _match_words(text, question_words, echo_end)
        if end is None:
            break
        echo_end = end
    return text[echo_end:]


def _match_words(text: str, words: list[str], start: int) -> int | None:
    """Where `words`, separated by white space, end if they are in `text` at `start`; None if they are not."""
    end = start
    for index, word in enumerate(words):
        begin = _WHITE_SPACE.match(text, end).end()  # type: ignore[union-attr]  # it matches everywhere
        if (index and begin == end) or not text.startswith(word, begin):
            return None
        end = begin + len(word)
    # The question "2 + 3" is not a prefix of the response "2 + 35".
    return None if end < len(text) and text[end - 1 : end + 1].isdigit() else end
