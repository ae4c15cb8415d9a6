r"""One way of writing for what people and models write in many: full-width forms, LaTeX, wrappers, Chinese numerals.

Nothing here decides what a text means: `plain` brings `$\boxed{３，６００}$` and `3,600` to the same characters.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

LONGEST = 1000  # characters; a longer text is no answer to a question, and its wrappers are left alone

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
# Blanks that typesetters put between groups of three digits; an ordinary blank between digits separates two numbers.
_GROUPING_BLANK = re.compile(r"(?<=[0-9０-９])[\u00a0\u2007\u2008\u2009\u202f](?=[0-9０-９]{3}(?![0-9０-９]))")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")


@lru_cache(maxsize=4096)
def _compatible(char: str) -> str:
    """NFKC of one character, except where it would make another number: 1½ is not 11/2, 5₂ not 52, ① not 1."""
    kind, _, parts = unicodedata.decomposition(char).partition(" ")
    folded = unicodedata.normalize("NFKC", char)
    if kind == "<fraction>":
        return " " + folded.replace("⁄", "/")
    if kind == "<super>" and char not in "ªº™":
        return "^" + folded
    if kind == "<sub>":
        return "_" + folded
    if kind == "<square>":  # ㎡ is m², which NFKC makes m2
        return "".join(chr(int(part, 16)) for part in parts.split())
    if kind == "<circle>" or (kind == "<compat>" and any(c.isdigit() for c in folded)):
        return char
    return folded


def characters(text: str) -> str:
    """`text` with one character for each thing: full-width forms, minus signs, fractions, exponents, blanks."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY)
    text = re.sub(r"[\u3300-\u33ff]", lambda found: _compatible(found[0]), text)
    text = _GROUPING_BLANK.sub(",", text)
    text = _SUPERSCRIPTS.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]).replace("−", "-"), text)
    return re.sub(r"[^\x00-\x7f]", lambda found: _compatible(found[0]), text).translate(_TYPOGRAPHY)


# What is said in LaTeX and means the same without; in this order.
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


def latex(text: str) -> str:
    """`text` without the LaTeX that only sets type; commands that calculate stay."""
    if "\\" not in text and "{" not in text:
        return text
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def fractions(text: str) -> str:
    """`text` with a/b for every \\frac of two plain numbers; it stands apart, so that 1\\frac{1}{2} is 1 1/2."""
    return _FRACTION.sub(lambda found: f" {found[1] or found[2]}/{found[3] or found[4]}", text)


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


def _balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def unwrapped(text: str) -> str:
    """`text` without what may stand around an answer: $…$, \\boxed{…}, (…), **…**, quotes, a last full stop."""
    for _ in range(8):
        before, text = text, " ".join(text.split())
        if text[-1:] in tuple(".。,;") and text[-2:] != "..":
            text = text[:-1].rstrip()
        for wrapper in _WRAPPERS:
            found = wrapper.fullmatch(text)
            if found and _balanced(found[1]):
                text = found[1].strip()
        if text == before:
            break
    return text


def plain(text: str) -> str:
    """The answer `text` in plain characters, without wrappers, with single blanks."""
    text = characters(text)
    if len(text) > LONGEST:
        return " ".join(text.split())
    for _ in range(4):
        before, text = text, latex(unwrapped(text))
        if text == before:
            break
    return unwrapped(text)


CHINESE = "〇零一二两三四五六七八九十百千万亿"
_DIGITS = {char: digit for digit, char in enumerate("零一二三四五六七八九")} | {"两": 2}
_ONE = "[一二两三四五六七八九]"
_SECTION = re.compile(rf"零?(?:({_ONE})千)?(零?)(?:({_ONE})百)?(零?)(?:({_ONE}?)(十))?(零?)({_ONE})?")


def chinese(numeral: str) -> Fraction | None:
    """The number that a Chinese numeral states (一百二十, 两千零五, 三万, 二〇二四, 三点五); None for what is none."""
    numeral = numeral.replace("〇", "零")
    whole, point, decimals = numeral.partition("点")
    if point:
        count = chinese(whole)
        if count is None or not decimals or not set(decimals) <= set(_DIGITS):
            return None
        return count + Fraction(int("".join(str(_DIGITS[d]) for d in decimals)), 10 ** len(decimals))
    if len(numeral) > 1 and set(numeral) <= set(_DIGITS):
        return Fraction(int("".join(str(_DIGITS[d]) for d in numeral)))
    counted = _counted(numeral)
    return None if counted is None else Fraction(counted)


def _counted(numeral: str) -> int | None:
    for sign, size in (("亿", 10**8), ("万", 10**4)):
        left, found, right = numeral.rpartition(sign)
        if found:
            high, low = _counted(left), _counted(right) if right else 0
            # 三万五 is 35,000 in speech and 30,005 by the rules.
            if high is None or low is None or low >= size or (len(right) == 1 and right != "零"):
                return None
            return high * size + low
    return _section(numeral)


def _section(numeral: str) -> int | None:
    """Up to 9999; None where a speaker's short form could mean two numbers (一百二 is 120 in speech)."""
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
