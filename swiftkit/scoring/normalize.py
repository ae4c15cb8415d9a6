r"""Normalization of answers: full-width forms, typography, LaTeX, wrappers and Chinese numerals.

Only the notation changes, never the meaning: `$\boxed{３，６００}$` and `3,600` become the same characters.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

MAX_ANSWER_CHARS = 1000  # a longer text is not a short answer, and keeps its wrappers
_MAX_WRAPPERS = 8  # wrappers around each other
_MAX_PASSES = 4  # alternations of wrappers and LaTeX

# --- characters -------------------------------------------------------------------------------------------------------

_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("−‐‑‒–﹣", "-"),
        **dict.fromkeys("⁄∕", "/"),
        "∶": ":",
        **dict.fromkeys("º˚", "°"),
        **dict.fromkeys("‘’", "'"),
        **dict.fromkeys("“”「」『』", '"'),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
        **dict(zip("萬億兩點負○", "万亿两点负〇", strict=True)),
    }
)
# Typographic spaces group digits by three; an ordinary space between digits separates two numbers.
_GROUPING_SPACE = re.compile(r"(?<=[0-9０-９])[\u00a0\u2007\u2008\u2009\u202f](?=[0-9０-９]{3}(?![0-9０-９]))")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")


@lru_cache(maxsize=4096)
def _fold_character(char: str) -> str:
    """NFKC of one character, except where that changes the number: 1½ is not 11/2, 5₂ is not 52, ① is not 1."""
    kind, _, code_points = unicodedata.decomposition(char).partition(" ")
    folded = unicodedata.normalize("NFKC", char)
    if kind == "<fraction>":
        return " " + folded.replace("⁄", "/")
    if kind == "<super>" and char not in "ªº™":
        return "^" + folded
    if kind == "<sub>":
        return "_" + folded
    if kind == "<square>":  # ㎡ is m², which NFKC turns into m2
        return "".join(chr(int(code_point, 16)) for code_point in code_points.split())
    if kind == "<circle>" or (kind == "<compat>" and any(c.isdigit() for c in folded)):
        return char
    return folded


def fold_characters(text: str) -> str:
    """`text` with one spelling of each character: full-width forms, minus signs, fractions, exponents, spaces."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY)
    text = re.sub(r"[\u3300-\u33ff]", lambda found: _fold_character(found[0]), text)
    text = _GROUPING_SPACE.sub(",", text)
    text = _SUPERSCRIPTS.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]).replace("−", "-"), text)
    return re.sub(r"[^\x00-\x7f]", lambda found: _fold_character(found[0]), text).translate(_TYPOGRAPHY)


# --- LaTeX ------------------------------------------------------------------------------------------------------------

# LaTeX that only sets type, and its plain form; the order matters.
_LATEX = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:left|right|displaystyle|bigl?|bigr|limits)(?![a-zA-Z])", ""),
        (r"\{\s*(?:\\,|,)\s*\}|(?<=[0-9])\\,(?=[0-9]{3}(?![0-9]))", ","),
        (r"\\!", ""),
        (r"\\[,;: ]|\\q?quad(?![a-zA-Z])", " "),
        (
            r"\\(?:text|textrm|textbf|textit|texttt|mathrm|mathbf|mathit|mathsf|mbox|operatorname)\s*\{([^{}]*)\}",
            r" \1 ",
        ),
        (r"~(?=[ ]?[a-zA-Z])", " "),
        (r"[ ]{0,2}\^[ ]?", "^"),
        (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))|\\degree(?![a-zA-Z])", "°"),
        (r"\\times(?![a-zA-Z])", "×"),
        (r"\\(?:emptyset|varnothing)(?![a-zA-Z])", "∅"),
        (r"\\cdot(?![a-zA-Z])", "·"),
        (r"\\([%$&#])", r"\1"),
    )
]
_FRACTION = re.compile(r"\\frac\s*(?:\{\s*([-+]?[0-9.,]+)\s*\}|([0-9]))\s*(?:\{\s*([0-9.,]+)\s*\}|([0-9]))")


def strip_latex(text: str) -> str:
    """`text` without the LaTeX that only sets type; commands that calculate remain."""
    if "\\" not in text and "{" not in text:
        return text
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def expand_fractions(text: str) -> str:
    r"""`text` with a/b for every \frac of two plain numbers, after a space, so that 1\frac{1}{2} becomes 1 1/2."""
    return _FRACTION.sub(lambda found: f" {found[1] or found[2]}/{found[3] or found[4]}", text)


# --- wrappers ---------------------------------------------------------------------------------------------------------

_WRAPPERS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\$\$([^$]+)\$\$",
        r"\$((?:[^$\\]|\\.)+)\$",
        r"\\\(((?:(?!\\[()]).)+)\\\)",
        r"\\\[((?:(?!\\[\[\]]).)+)\\\]",
        r"\\(?:boxed|fbox|text|textbf|mathbf|mathrm)\s*\{(.*)\}",
        r"\{(.*)\}",
        r"\(([^()\[\],]*)\)",
        r"\*\*((?:(?!\*\*).)+)\*\*",
        r"\*([^*]+)\*",
        r"__((?:(?!__).)+)__",
        r"`+([^`]+)`+",
        r'"([^"]+)"',
        r"'([^']+)'",
    )
]


def _has_balanced_braces(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def strip_wrappers(text: str) -> str:
    r"""`text` without what encloses an answer: $…$, \boxed{…}, (…), **…**, quotes, a final full stop."""
    for _ in range(_MAX_WRAPPERS):
        before, text = text, " ".join(text.split())
        if text[-1:] in tuple(".。,;") and text[-2:] != "..":
            text = text[:-1].rstrip()
        for wrapper in _WRAPPERS:
            found = wrapper.fullmatch(text)
            if found and _has_balanced_braces(found[1]):
                text = found[1].strip()
        if text == before:
            break
    return text


def normalize(text: str) -> str:
    """An answer in plain characters, without wrappers, with single spaces."""
    text = fold_characters(text)
    if len(text) > MAX_ANSWER_CHARS:
        return " ".join(text.split())
    for _ in range(_MAX_PASSES):
        before, text = text, strip_latex(strip_wrappers(text))
        if text == before:
            break
    return strip_wrappers(text)


# --- Chinese numerals -------------------------------------------------------------------------------------------------

CHINESE_NUMERALS = "〇零一二两三四五六七八九十百千万亿"
_DIGITS = {char: digit for digit, char in enumerate("零一二三四五六七八九")} | {"两": 2}
_NONZERO = "[一二两三四五六七八九]"
_SECTION = re.compile(rf"零?(?:({_NONZERO})千)?(零?)(?:({_NONZERO})百)?(零?)(?:({_NONZERO}?)(十))?(零?)({_NONZERO})?")


def parse_chinese(numeral: str) -> Fraction | None:
    """The number of a Chinese numeral (一百二十, 两千零五, 三万, 二〇二四, 三点五); None for other text."""
    numeral = numeral.replace("〇", "零")
    whole, point, decimals = numeral.partition("点")
    if point:
        integer = parse_chinese(whole)
        if integer is None or not decimals or not set(decimals) <= set(_DIGITS):
            return None
        return integer + Fraction(int("".join(str(_DIGITS[d]) for d in decimals)), 10 ** len(decimals))
    if len(numeral) > 1 and set(numeral) <= set(_DIGITS):
        return Fraction(int("".join(str(_DIGITS[d]) for d in numeral)))
    number = _parse_integer(numeral)
    return None if number is None else Fraction(number)


def _parse_integer(numeral: str) -> int | None:
    for sign, size in (("亿", 10**8), ("万", 10**4)):
        left, found, right = numeral.rpartition(sign)
        if found:
            high, low = _parse_integer(left), _parse_integer(right) if right else 0
            # 三万五 means 35,000 in speech and 30,005 by the rules.
            if high is None or low is None or low >= size or (len(right) == 1 and right != "零"):
                return None
            return high * size + low
    return _parse_section(numeral)


def _parse_section(numeral: str) -> int | None:
    """A number up to 9999; None where a spoken short form has two readings (一百二 means 120 in speech)."""
    found = _SECTION.fullmatch(numeral)
    if not found or not numeral or (numeral.endswith("零") and numeral != "零"):
        return None
    thousands, _, hundreds, _, tens, ten, _, ones = found.groups()
    if ones and (thousands or hundreds) and not ten and "零" not in numeral[-2:]:
        return None
    digits = [_DIGITS.get(d or "零", 0) for d in (thousands, hundreds, tens, ones)]
    if ten and not tens:
        digits[2] = 1
    return digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]
