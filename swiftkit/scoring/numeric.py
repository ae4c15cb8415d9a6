"""Equality of answers: as exact numbers with a unit, else as formulas, else as text.

`3,600` = `3600`, `1/2` = `0.5`, `30%` = `0.3` but not `30`, `13.5 million` = `13500000`, `三万` = `30000`. A text with
more than one number (`12 hours 30 minutes`, `5 and 6`, `3x`) is not a number, and no part of it counts as the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from swiftkit.scoring import normalize, symbolic, units

MAX_VALUE_CHARS = 200  # a longer text is compared as text only
_MAX_EXPONENT = 400  # 1e999999999 would not fit into memory


@dataclass(frozen=True)
class Value:
    """An exact number, and its unit as spelled by `units.normalize_unit`; '' for none."""

    number: Fraction
    unit: str = ""


# --- numbers ----------------------------------------------------------------------------------------------------------

_DIGITS = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = rf"""(?:
      (?P<whole>{_DIGITS})[ ](?P<part>[0-9]+)[ ]?/[ ]?(?P<parts>[0-9]+)
    | (?P<numerator>{_DECIMAL})[ ]?/[ ]?(?P<denominator>{_DECIMAL})
    | (?:(?P<mantissa>{_DECIMAL})[ ]?[×x*·][ ]?)?10[ ]?(?:\^|\*\*)[ ]?(?P<power>[-+]?[0-9]+|\{{[ ]?[-+]?[0-9]+[ ]?\}})
    | (?P<decimal>{_DECIMAL})(?:[eE](?P<exponent>[-+]?[0-9]+))?
)"""
_SIGN = r"(?:[-+]|(?:minus|negative)\b|负)"
_CHINESE = rf"[{normalize.CHINESE_NUMERALS}]+(?:点[{normalize.CHINESE_NUMERALS}]+)?"
_VALUE = re.compile(
    rf"""(?P<sign>{_SIGN})?[ ]?(?P<currency>{units.CURRENCY})?[ ]?(?P<inner_sign>{_SIGN})?[ ]?
    (?: (?P<share_of>(?:[{normalize.CHINESE_NUMERALS}]+|[0-9]+))分之(?P<share>{_DECIMAL}|{_CHINESE})
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
    """The value that the whole of `text` stands for; None if it is anything else."""
    if len(text) > MAX_VALUE_CHARS:
        return None
    found = _VALUE.fullmatch(" ".join(normalize.expand_fractions(normalize.normalize(text)).split()))
    if not found or (found["sign"] and found["inner_sign"]):
        return None
    number = _chinese_share(found["share_of"], found["share"]) if found["share_of"] else _number(found)
    if number is None:
        return None
    factor, rest = _factor(found["rest"])
    unit = units.normalize_unit(rest)
    if unit is None:
        return None
    if found["currency"]:  # $5 per hour; $5 dollars names the currency twice
        currency = units.normalize_currency(found["currency"])
        unit = unit if unit.startswith(currency) else f"{currency}{'' if unit[:1] in ('', '/') else ' '}{unit}"
    negative = (found["sign"] or found["inner_sign"] or "+") != "+"
    return Value((-number if negative else number) * factor, unit)


def _decimal(text: str) -> Fraction | None:
    return Fraction(text.replace(",", "")) if len(text) <= MAX_VALUE_CHARS else None


def _ratio(numerator: str, denominator: str) -> Fraction | None:
    above, below = _decimal(numerator), _decimal(denominator)
    return above / below if above is not None and below else None


def _chinese_share(share_of: str, share: str) -> Fraction | None:
    """百分之30, 三分之一: the denominator comes first."""
    below, above = (
        _decimal(text) if text[0].isascii() else normalize.parse_chinese(text)
        for text in ({"百": "100", "千": "1000", "万": "10000"}.get(share_of, share_of), share)
    )
    return above / below if above is not None and below else None


def _number(found: re.Match[str]) -> Fraction | None:
    """The unsigned number of a match of _NUMBER; None for x/0, and for a number that is too large to write out."""
    if found.groupdict().get("chinese"):
        return normalize.parse_chinese(found["chinese"])
    if found["whole"]:
        part, whole = _ratio(found["part"], found["parts"]), _decimal(found["whole"])
        return whole + part if part is not None and whole is not None and part < 1 else None
    if found["numerator"]:
        return _ratio(found["numerator"], found["denominator"])
    digits = found["mantissa"] or "1" if found["power"] else found["decimal"]
    exponent = (found["power"] or found["exponent"] or "0").strip("{} ")
    if len(exponent) > 5 or abs(int(exponent)) > _MAX_EXPONENT:
        return None
    number = _decimal(digits)
    return None if number is None else number * Fraction(10) ** int(exponent)


def _factor(rest: str) -> tuple[Fraction, str]:
    """The factor of a percent sign or of multiplier words directly after a number, and the text after them."""
    found = _SUFFIX.match(rest)
    if not found:
        return Fraction(1), rest
    if found["percent"]:
        return Fraction(1, 100), rest[found.end() :]
    factor = 1
    for word in re.findall(r"[a-z]+|[^a-z ]", found["multiplier"].lower()):
        factor *= _SIZES.get(word) or _WORDS[word.removesuffix("s")]
    return Fraction(factor), rest[found.end() :]


# --- equality ---------------------------------------------------------------------------------------------------------

_ASSIGNMENT = re.compile(r"(?:[a-zA-Z] ?)?=([^=]+)")
_CONSTANTS = re.compile(r"\\?(?:frac|sqrt|pi)(?![a-zA-Z])")
_LIST_ITEM = re.compile(r"[0-9][0-9.,/]*+[^0-9.,/][^0-9]*+")  # possessive: 1,1,1,… can be divided in one way only
_TEXT_FOLDS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[、;]", ","),
        (rf"[ ]*([,:])[ ]*|[ ]+(?=[{units.CJK}])|(?<=[{units.CJK}])[ ]+", r"\1"),
        (r"(?<=[0-9])[ ]?([AaPp])\.?[Mm]\b\.?", r"\1m"),  # 10:30 a.m.
        (r"^\\\{([^{}]*)\\\}$", r"\1"),  # \{1, 2\}; `normalize` removes the braces of {1, 2}
    )
]


def mismatch(answer: str, reference: str, tolerance: float = 0) -> str:
    """Why `answer` does not equal `reference`, in a short phrase; '' if it does.

    Args:
        answer: what the response states.
        reference: the right answer.
        tolerance: maximum relative error of a number; 0 requires exact equality.
    """
    text, reference_text = normalize.normalize(answer), normalize.normalize(reference)
    if ("=" in text) != ("=" in reference_text):  # x = 5 and = 5 are the answer 5
        text, reference_text = _strip_assignment(text), _strip_assignment(reference_text)
    value, reference_value = parse(text), parse(reference_text)
    if value and reference_value:
        same = is_close(value.number, reference_value.number, tolerance)
        unit, reference_unit = value.unit, reference_value.unit
    elif not value and not reference_value and _same_text(text, reference_text):
        return ""
    elif max(len(text), len(reference_text)) > MAX_VALUE_CHARS:
        same = False
    elif symbolic.equal(*(whole := (_formula(text, value), _formula(reference_text, reference_value)))):
        return ""
    else:
        formula, unit = _split_unit(text, value)
        reference_formula, reference_unit = _split_unit(reference_text, reference_value)
        same = (formula, reference_formula) != whole and symbolic.equal(formula, reference_formula)
    if not same:
        return f"another value: {_shorten(answer)}"
    return "" if units.compatible(unit, reference_unit) else f"unit differs: {unit}, not {reference_unit}"


def equal(answer: str, reference: str, tolerance: float = 0) -> bool:
    """Whether `answer` equals `reference`; see `mismatch`."""
    return not mismatch(answer, reference, tolerance)


def is_close(answer: Fraction, reference: Fraction, tolerance: float = 0) -> bool:
    """Whether the relative error of `answer` is at most `tolerance`."""
    return abs(answer - reference) <= Fraction(str(tolerance)) * abs(reference)


def _strip_assignment(text: str) -> str:
    found = _ASSIGNMENT.fullmatch(text)
    return found[1] if found else text


def _same_text(text: str, reference: str) -> bool:
    return _fold_text(text) == _fold_text(reference) or _same_list(text, reference)


def _fold_text(text: str) -> str:
    """`text` for comparison as text: lower case unless it is a formula, without white space that means nothing."""
    if not (re.search(r"[-0-9+*/^=<>]", text) and symbolic.to_latex(text)):
        text = text.casefold()
    for pattern, replacement in _TEXT_FOLDS:
        text = pattern.sub(replacement, text)
    return text


def _same_list(text: str, reference: str) -> bool:
    """Whether both texts list the same numbers with units, and nothing else: 8 ft 2 in, 8 feet 2 inches."""
    values, reference_values = _list(text), _list(reference)
    return bool(values) and len(values) == len(reference_values) and all(map(_same_value, values, reference_values))


def _same_value(value: Value, reference: Value) -> bool:
    return value.number == reference.number and units.compatible(value.unit, reference.unit)


def _list(text: str) -> list[Value]:
    """The numbers of a text that consists of numbers with a unit each; empty for any other text."""
    if len(text) > MAX_VALUE_CHARS or not re.fullmatch(f"(?:{_LIST_ITEM.pattern})+", text):
        return []
    values = [parse(re.sub(r"(?:,|\band\b| )+$", "", item)) for item in _LIST_ITEM.findall(text)]
    return [value for value in values if value] if all(value and value.unit for value in values) else []


def _formula(text: str, value: Value | None) -> str:
    """`text` for the symbolic comparison; a number becomes an exact fraction without unit and thousands separators."""
    if value is None:
        return text
    return rf"{'-' if value.number < 0 else ''}\frac{{{abs(value.number.numerator)}}}{{{value.number.denominator}}}"


def _split_unit(text: str, value: Value | None) -> tuple[str, str]:
    """A formula and the unit after it: 36π cm², 2\\sqrt{3} cm; '' for none, as in the product 2x m."""
    if value:
        return _formula(text, value), value.unit
    for gap in re.finditer(rf"[ ]|(?=[{units.CJK}])", text):
        formula, rest = text[: gap.start()], text[gap.end() :]
        # A single letter is a unit after a number, and a factor after letters and sums.
        is_product = re.match("[a-zA-Z](?![a-zA-Z])", rest) and re.search("[-+=<>a-zA-Z]", _CONSTANTS.sub("", formula))
        if is_product or not re.search("[0-9π]|pi", formula) or not symbolic.to_latex(formula):
            continue
        if unit := units.normalize_unit(rest):
            return formula, unit
    return text, ""


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."


# --- numbers in running text ------------------------------------------------------------------------------------------

_LETTER = "A-Za-zÀ-ɏͰ-ӿ"  # of scripts that separate words by spaces; in 共5个 the characters are separate words
# A number in running text. Letters before it (x1, H2O) make it a name. `tail` (3,60 10:30 1.2.3 5^2) makes it something
# that is not parsed as a number.
_STATED = re.compile(
    rf"""(?<![{_LETTER}0-9])(?<![{_LETTER}0-9)\]}}][_^])(?<![_^]\{{)(?<![_^]-)(?<![_^]\{{-)(?<![0-9][.,:/])
    (?:(?<![{_LETTER}0-9)\]}}%-])(?P<sign>-)|(?P<negative>\bnegative[ ]|(?<![0-9)][ ])\bminus[ ]|负)
      |(?P<chinese_percent>百分之))?
    (?:{units.CURRENCY}[ ]?(?P<inner_sign>-)?)?
    {_NUMBER}
    (?P<tail>(?:[,.:/][0-9]+|(?:\^|\*\*)\{{?-?[0-9]+\}}?)+)?
    (?P<suffix>{_PERCENT}|{_MULTIPLIER})?
    (?P<glued>[{_LETTER}][{_LETTER}0-9_]*)?
    (?P<next>[ ](?:and[ ](?:[a-z]+[ ])?)?[a-z]+\b)?""",
    re.VERBOSE | re.IGNORECASE,
)


def last_number(text: str) -> Fraction | None:
    """The last number that running text states; None if there is none, or if it is not a plain number (10:30, 5 dozen).

    Its unit is ignored. A percent sign or multiplier word directly after it applies. A number glued to letters (x1, 3x,
    5th) does not count.
    """
    last: Fraction | None = None
    plain = normalize.expand_fractions(normalize.strip_latex(normalize.fold_characters(text)))
    for found in _STATED.finditer(plain):
        glued, following = found["glued"] or "", (found["next"] or "").split()
        # 11 quarters are coins rather than 11/4; five and a quarter is not five.
        scales = units.SCALES | {"quarter", "quarters"} if following[:1] == ["and"] else units.SCALES
        if glued.lower() in ("st", "nd", "rd", "th") or units.normalize_unit(glued) is None:
            continue
        scaled = following and (following[-1].lower() in scales or following[-1] in ("M", "B"))
        last = None if found["tail"] or scaled else _number(found)
        if last is not None:
            last *= _factor(found["suffix"] or "")[0] / (100 if found["chinese_percent"] else 1)
            last = -last if found["sign"] or found["negative"] or found["inner_sign"] else last
    return last
