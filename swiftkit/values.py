"""What one answer value is, and when two are equal: exact numbers with a unit, else symbols, else text.

`3,600` = `3600`, `1/2` = `0.5`, `30%` = `0.3` and not `30`, `13.5 million` = `13500000`, `三万` = `30000`. A text that
says more than one number (`12 hours 30 minutes`, `5 and 6`, `3x`) is no value: no part of it is ever right by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from swiftkit import notation, symbolic, units

LONGEST = 200  # characters of a value; beyond, neither number nor formula is looked for
_MOST_POWER = 400  # 1e999999999 is no value: it would not fit into memory


@dataclass(frozen=True)
class Value:
    """One number, exact, and its unit in the spelling that `swiftkit.units` gives it; '' for none."""

    number: Fraction
    unit: str = ""


_DIGITS = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = rf"""(?:
      (?P<whole>{_DIGITS})[ ](?P<part>[0-9]+)[ ]?/[ ]?(?P<parts>[0-9]+)
    | (?P<over>{_DECIMAL})[ ]?/[ ]?(?P<under>{_DECIMAL})
    | (?:(?P<mantissa>{_DECIMAL})[ ]?[×x*·][ ]?)?10[ ]?(?:\^|\*\*)[ ]?(?P<power>[-+]?[0-9]+|\{{[ ]?[-+]?[0-9]+[ ]?\}})
    | (?P<decimal>{_DECIMAL})(?:[eE](?P<exponent>[-+]?[0-9]+))?
)"""
_SIGN = r"(?:[-+]|(?:minus|negative)\b|负)"
_CHINESE = rf"[{notation.CHINESE}]+(?:点[{notation.CHINESE}]+)?"
_VALUE = re.compile(
    rf"""(?P<sign>{_SIGN})?[ ]?(?P<currency>{units.CURRENCY})?[ ]?(?P<inner>{_SIGN})?[ ]?
    (?: (?P<of>(?:[{notation.CHINESE}]+|[0-9]+))分之(?P<share>{_DECIMAL}|{_CHINESE})
      | {_NUMBER}
      | (?P<chinese>{_CHINESE}))
    (?P<rest>.*)""",
    re.VERBOSE | re.IGNORECASE,
)
_WORDS = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SIZES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_PERCENT = r"[ ]?(?:%|(?:percent|per[ ]cent)\b)"
_MULTIPLIER = rf"(?:[ ]?(?:{'|'.join(_WORDS)})s?\b){{1,3}}|[ ]?[十百千]{{0,2}}[万亿]{{1,2}}"
_SUFFIX = re.compile(rf"(?P<percent>{_PERCENT})|(?P<multiplier>{_MULTIPLIER})", re.IGNORECASE)


def parse(text: str) -> Value | None:
    """The value that `text` is as a whole; None when it is something else."""
    if len(text) > LONGEST:
        return None
    found = _VALUE.fullmatch(" ".join(notation.fractions(notation.plain(text)).split()))
    if not found or (found["sign"] and found["inner"]):
        return None
    number = _share(found["of"], found["share"]) if found["of"] else _number(found)
    if number is None:
        return None
    factor, rest = _factor(found["rest"])
    unit = units.normal(rest)
    if unit is None:
        return None
    if found["currency"]:  # $5 per hour, and $5 dollars, which says it twice
        currency = units.currency(found["currency"])
        unit = unit if unit.startswith(currency) else f"{currency}{'' if unit[:1] in ('', '/') else ' '}{unit}"
    negative = (found["sign"] or found["inner"] or "+") != "+"
    return Value((-number if negative else number) * factor, unit)


def _decimal(text: str) -> Fraction | None:
    return Fraction(text.replace(",", "")) if len(text) <= LONGEST else None


def _ratio(over: str, under: str) -> Fraction | None:
    above, below = _decimal(over), _decimal(under)
    return above / below if above is not None and below else None


def _share(of: str, share: str) -> Fraction | None:
    """百分之30, 三分之一: the whole is said before the part."""
    below, above = (
        _decimal(said) if said[0].isascii() else notation.chinese(said)
        for said in ({"百": "100", "千": "1000", "万": "10000"}.get(of, of), share)
    )
    return above / below if above is not None and below else None


def _number(found: re.Match[str]) -> Fraction | None:
    """The number of a match of _NUMBER, without sign; None for x/0 and for what is too large to write down."""
    if found.groupdict().get("chinese"):
        return notation.chinese(found["chinese"])
    if found["whole"]:
        part, whole = _ratio(found["part"], found["parts"]), _decimal(found["whole"])
        return whole + part if part is not None and whole is not None and part < 1 else None
    if found["over"]:
        return _ratio(found["over"], found["under"])
    digits = found["mantissa"] or "1" if found["power"] else found["decimal"]
    power = (found["power"] or found["exponent"] or "0").strip("{} ")
    if len(power) > 5 or abs(int(power)) > _MOST_POWER:
        return None
    number = _decimal(digits)
    return None if number is None else number * Fraction(10) ** int(power)


def _factor(rest: str) -> tuple[Fraction, str]:
    """What percent sign or multiplier words right behind a number make of it, and what is left behind them."""
    found = _SUFFIX.match(rest)
    if not found:
        return Fraction(1), rest
    if found["percent"]:
        return Fraction(1, 100), rest[found.end() :]
    factor = 1
    for word in re.findall(r"[a-z]+|[^a-z ]", found["multiplier"].lower()):
        factor *= _SIZES.get(word) or _WORDS[word.removesuffix("s")]
    return Fraction(factor), rest[found.end() :]


def compare(given: str, wanted: str, tolerance: float = 0) -> str:
    """Why `given` is not `wanted`, in a short phrase; '' when they are equal.

    Args:
        given: the answer.
        wanted: the reference.
        tolerance: how far the number may be off, as a share of the reference's; 0: exact.
    """
    one, other = parse(given), parse(wanted)
    if one and other:
        if not close(one.number, other.number, tolerance):
            return f"another value: {_short(given)}"
        if not units.agree(one.unit, other.unit):
            return f"unit differs: {one.unit}, not {other.unit}"
        return ""
    if not one and not other and _text(given) == _text(wanted):
        return ""
    same = max(len(given), len(wanted)) <= LONGEST and symbolic.equal(_formula(given, one), _formula(wanted, other))
    return "" if same else f"another value: {_short(given)}"


def equal(given: str, wanted: str, tolerance: float = 0) -> bool:
    """Whether the answer `given` is right where `wanted` is the reference; see `compare`."""
    return not compare(given, wanted, tolerance)


def close(given: Fraction, wanted: Fraction, tolerance: float = 0) -> bool:
    """Whether `given` is off by no more than `tolerance` times `wanted`."""
    return abs(given - wanted) <= Fraction(str(tolerance)) * abs(wanted)


def _text(text: str) -> str:
    return re.sub(r"\s*,\s*", ",", notation.plain(text).casefold())


def _formula(text: str, value: Value | None) -> str:
    """`text` for the symbolic comparison; a number is handed over exactly, without unit and thousands separators."""
    if value is None:
        return notation.plain(text)
    return rf"{'-' if value.number < 0 else ''}\frac{{{abs(value.number.numerator)}}}{{{value.number.denominator}}}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."


_LETTER = "A-Za-zÀ-ɏͰ-ӿ"  # of scripts with blanks between words; in 共5个 nothing is glued
# A number in running text. Letters in front (x1, H2O) make it a name; what sticks to its end (`tail`: 3,60 10:30 1.2.3
# 5^2) makes it something that is read as no number at all.
_STATED = re.compile(
    rf"""(?<![{_LETTER}0-9])(?<![{_LETTER}0-9)\]}}][_^])(?<![_^]\{{)(?<![_^]-)(?<![_^]\{{-)(?<![0-9][.,:/])
    (?:(?<![{_LETTER}0-9)\]}}%-])(?P<sign>-)|(?P<negative>\bnegative[ ]|(?<![0-9)][ ])\bminus[ ]|负)|(?P<of>百分之))?
    (?:{units.CURRENCY}[ ]?(?P<inner>-)?)?
    {_NUMBER}
    (?P<tail>(?:[,.:/][0-9]+|(?:\^|\*\*)\{{?-?[0-9]+\}}?)+)?
    (?P<suffix>{_PERCENT}|{_MULTIPLIER})?
    (?P<glued>[{_LETTER}][{_LETTER}0-9_]*)?
    (?P<next>[ ](?:and[ ](?:[a-z]+[ ])?)?[a-z]+\b)?""",
    re.VERBOSE | re.IGNORECASE,
)


def last_number(text: str) -> Fraction | None:
    """The last number that free text states; None when it states none, or one that cannot be read (10:30, 5 dozen).

    Its unit is not looked at; a percent sign or a multiplier word right behind it counts. A number that is glued to
    letters (x1, 3x, 5th) is none.
    """
    last: Fraction | None = None
    for found in _STATED.finditer(notation.fractions(notation.latex(notation.characters(text)))):
        glued, following = found["glued"] or "", (found["next"] or "").split()
        # 11 quarters are coins rather than 11/4; five and a quarter is another number than five.
        scales = units.SCALES | {"quarter", "quarters"} if following[:1] == ["and"] else units.SCALES
        if glued.lower() in ("st", "nd", "rd", "th") or units.normal(glued) is None:
            continue
        scaled = following and (following[-1].lower() in scales or following[-1] in ("M", "B"))
        last = None if found["tail"] or scaled else _number(found)
        if last is not None:
            last *= _factor(found["suffix"] or "")[0] / (100 if found["of"] else 1)
            last = -last if found["sign"] or found["negative"] or found["inner"] else last
    return last
