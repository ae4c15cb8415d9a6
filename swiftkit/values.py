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
_PERCENT = r"[ ]?(?:%|(?:percent|per[ ]cent)\b)(?![ -]?points?\b)"
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
    said, asked = notation.plain(given), notation.plain(wanted)
    if ("=" in said) != ("=" in asked):  # x = 5 and = 5 answer what 5 answers
        said, asked = (found[1] if (found := _ASSIGNMENT.fullmatch(text)) else text for text in (said, asked))
    one, other = parse(said), parse(asked)
    if one and other:
        same, unit, other_unit = close(one.number, other.number, tolerance), one.unit, other.unit
    elif not one and not other and (_text(said) == _text(asked) or _same_list(said, asked)):
        return ""
    elif max(len(said), len(asked)) > LONGEST:
        same = False
    elif symbolic.equal(*(whole := (_formula(said, one), _formula(asked, other)))):
        return ""
    else:
        (formula, unit), (other_formula, other_unit) = _measured(said, one), _measured(asked, other)
        same = (formula, other_formula) != whole and symbolic.equal(formula, other_formula)
    if not same:
        return f"another value: {_short(given)}"
    return "" if units.agree(unit, other_unit) else f"unit differs: {unit}, not {other_unit}"


def equal(given: str, wanted: str, tolerance: float = 0) -> bool:
    """Whether the answer `given` is right where `wanted` is the reference; see `compare`."""
    return not compare(given, wanted, tolerance)


def close(given: Fraction, wanted: Fraction, tolerance: float = 0) -> bool:
    """Whether `given` is off by no more than `tolerance` times `wanted`."""
    return abs(given - wanted) <= Fraction(str(tolerance)) * abs(wanted)


_ASSIGNMENT = re.compile(r"(?:[a-zA-Z] ?)?=([^=]+)")
_CONSTANTS = re.compile(r"\\?(?:frac|sqrt|pi)(?![a-zA-Z])")
_LISTED = re.compile(r"[0-9][0-9.,/]*+[^0-9.,/][^0-9]*+")  # possessive: 1,1,1,… can be divided in one way only
_SAME_TEXT = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[、;]", ","),
        (rf"[ ]*([,:])[ ]*|[ ]+(?=[{units.CJK}])|(?<=[{units.CJK}])[ ]+", r"\1"),
        (r"(?<=[0-9])[ ]?([AaPp])\.?[Mm]\b\.?", r"\1m"),  # 10:30 a.m.
        (r"^\\\{([^{}]*)\\\}$", r"\1"),  # \{1, 2\}; of {1, 2} `plain` takes the braces off
    )
]


def _text(text: str) -> str:
    """`text` for the comparison as text: without capitals, except those of a formula, and blanks that say nothing."""
    if not (re.search(r"[-0-9+*/^=<>]", text) and symbolic.formula(text)):
        text = text.casefold()
    for pattern, replacement in _SAME_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _same_list(given: str, wanted: str) -> bool:
    """Whether both texts say the same numbers, each with its unit, and nothing else: 8 ft 2 in, 8 feet 2 inches."""
    ones, others = _list(given), _list(wanted)
    return bool(ones) and len(ones) == len(others) and all(map(_same_value, ones, others))


def _same_value(one: Value, other: Value) -> bool:
    return one.number == other.number and units.agree(one.unit, other.unit)


def _list(text: str) -> list[Value]:
    """The numbers of a text that consists of numbers with a unit each; empty when it says anything else."""
    if len(text) > LONGEST or not re.fullmatch(f"(?:{_LISTED.pattern})+", text):
        return []
    read = [parse(re.sub(r"(?:,|\band\b| )+$", "", said)) for said in _LISTED.findall(text)]
    return [value for value in read if value] if all(value and value.unit for value in read) else []


def _formula(text: str, value: Value | None) -> str:
    """`text` for the symbolic comparison; a number is handed over exactly, without unit and thousands separators."""
    if value is None:
        return text
    return rf"{'-' if value.number < 0 else ''}\frac{{{abs(value.number.numerator)}}}{{{value.number.denominator}}}"


def _measured(text: str, value: Value | None) -> tuple[str, str]:
    """A formula without the unit behind it, and that unit: 36π cm², 2\\sqrt{3} cm, but not the product 2x m."""
    if value:
        return _formula(text, value), value.unit
    for gap in re.finditer(rf"[ ]|(?=[{units.CJK}])", text):
        said, rest = text[: gap.start()], text[gap.end() :]
        # One letter is a unit behind a number alone, and a factor behind letters and sums.
        product = re.match("[a-zA-Z](?![a-zA-Z])", rest) and re.search("[-+=<>a-zA-Z]", _CONSTANTS.sub("", said))
        if not product and re.search("[0-9π]|pi", said) and symbolic.formula(said) and (unit := units.normal(rest)):
            return said, unit
    return text, ""


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
