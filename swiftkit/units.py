"""What may stand behind a number as its unit, and what may not because it makes the number another one.

Units are never converted. They are brought to one spelling, so that those that a person would call the same agree:
`Meters`, `metre` and `m`; `$` and `dollars`; `km/h` and `kilometers per hour`; `m²` and `square meters`.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Signs and words that may stand in front of a number, longest first.
_SIGN = r"(?:US|HK)?\$|[€£¥₹]"
CURRENCY = rf"(?:{_SIGN}|(?:USD|HKD|EUR|GBP|RMB|CNY|JPY|INR|Rs|dollars?|euros?|yuan|rupees?)\b\.?|人民币|美元)"

_SPELLINGS = {
    "dollar": "$ us$ usd buck 美元",
    "hk dollar": "hk$ hkd",
    "yuan": "¥ cny rmb 元 人民币 块 块钱",
    "yen": "jpy 日元 円",
    "euro": "€ eur 欧元",
    "pound": "£ gbp lb lbs 英镑",
    "rupee": "₹ inr rs",
    "cent": "¢",
    "mm": "millimeter",
    "cm": "centimeter",
    "dm": "decimeter",
    "m": "meter mtr",
    "km": "kilometer kms",
    "mg": "milligram",
    "g": "gram gm",
    "kg": "kilogram kgs kilo",
    "t": "tonne",
    "ml": "milliliter mls",
    "l": "liter",
    "s": "second sec secs",
    "min": "minute mins",
    "h": "hour hr hrs",
    "year": "yr yrs",
    "week": "wk wks",
    "foot": "ft feet",
    "inch": "in inches",
    "yard": "yd yds",
    "mile": "mi",
    "ounce": "oz",
    "square": "sq",
    "cubic": "cu",
    "celsius": "centigrade",
    "km/h": "kmh kph kmph",
    "mile/h": "mph",
}
_SPELLED = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
# Plurals that no rule gives, and singulars that the rules would break.
_SINGULAR = {
    word: single
    for single, words in {
        "person": "people persons",
        "child": "children",
        "man": "men",
        "woman": "women",
        "foot": "feet",
        "tooth": "teeth",
        "goose": "geese",
        "mouse": "mice",
        "leaf": "leaves",
        "loaf": "loaves",
        "knife": "knives",
        "shelf": "shelves",
        "wolf": "wolves",
        "life": "lives",
        "die": "dice",
        "shoe": "shoes",
        "bus": "buses busses",
        "gas": "gas gases",
        "lens": "lens lenses",
        "cookie": "cookies",
        "movie": "movies",
        "calorie": "calories",
        "brownie": "brownies",
    }.items()
    for word in words.split()
}
# Short forms that may touch their number; other letters there are variables (3xy) or multipliers (5k).
_SHORT = {short for unit, spellings in _SPELLINGS.items() for short in (unit, *spellings.split())} | _words(
    "nm kl cl dl ms kw kwh kv ma mv kj cal kcal hz khz mhz ghz kb mb gb tb kbps mbps gbps pa kpa pcs pts pt qt gal tsp "
    "tbsp ha px rpm am pm deg day th st nd rd"
)
_ONE_LETTER = set("mgshlLtWVNJA")
# Words that make another number of the one before them: 5 dozen, 3 quarters, 5 hundredths.
SCALES = _words(
    "k bn mn mln mil bln tn trn thou lakh lakhs lac crore crores half halves third thirds fourth fourths fifth fifths "
    "sixth sixths seventh sevenths eighth eighths ninth ninths tenth tenths tens dozen dozens hundred "
    "hundreds hundredth hundredths thousand thousands thousandth thousandths million millions billion billions "
    "trillion trillions"
)
# Words that join another number to it, or make it a part of a calculation.
_CALCULATION = _words(
    "or and to plus minus negative over mod modulo factorial choose root squared cubed percent inf infinity nan zero "
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty "
    "ninety gross quarter quarters theta alpha beta"
)
_MATHS = re.compile(r"(?:arc)?(?:sin|cos|tan|cot|log|ln|exp|sqrt)[nxyzθ]?|pi[rxy]?|\w*teen|[mbt]r?illi(?:on|ard)\w*")
# Chinese: numerals, and signs for tenths, dozens, halves, "and some more".
_NO_CHINESE_UNIT = set("〇零一二两三四五六七八九十百千万亿点分半多几余成折打又")
_CHINESE_UNITS = ("千米", "千克", "千瓦", "千卡", "千字", "分钟", "分米", "分", "千帕")
_WORD = re.compile(rf"([^\W\d_]+(?:'[^\W\d_]+)?|¢|{_SIGN})(?:\^\{{?([23])\}}?)?|((?:[mcdk]?m|ft|in|yd|mi))([23])")
_MOST_WORDS = 6


def _is_cjk(char: str) -> bool:
    """Whether `char` is of a script that is written without blanks between words."""
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af"


def normal(text: str) -> str | None:
    """The one spelling of the unit `text`, as it stands behind a number: '' for none, None when it is no unit.

    Args:
        text: everything behind the number, in plain characters (`notation.plain`). A blank at its start matters:
            without one, only well-known short forms are units (5cm, and not 3xy).
    """
    glued = text[:1].isalpha() and not _is_cjk(text[0])
    text = re.sub(r"\(e?s\)", "s", text)  # apple(s)
    text = re.sub(r"°\s*([CF])\b", r" degree \1", text).replace("°", " degree ")
    text = re.sub(r"(?<=[^\W\d_])\.(?=\s|$)", "", re.sub(r"\(([^()]*)\)", r" \1 ", text))  # sq. ft.
    text = re.sub(r"\bper\b|/", " / ", text.replace("·", " "))
    words = re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", " ", text).split()
    if len(words) > _MOST_WORDS or (words and words[-1] == "/"):
        return None
    spelled = [_word(word, words[:place], place == len(words) - 1) for place, word in enumerate(words)]
    if None in spelled or (glued and len(words[0]) <= 3 and words[0].rstrip("^23").casefold() not in _SHORT):
        return None
    return _joined([part for part in spelled if part])


def _word(word: str, before: list[str], last: bool) -> str | None:
    """One word of a unit in its one spelling; None when it cannot be a part of a unit."""
    if word == "/":
        return None if before[-1:] == ["/"] else "/"
    if before[-1:] == ["degree"] and word in ("C", "F"):
        return "celsius" if word == "C" else "fahrenheit"
    found = _WORD.fullmatch(word)
    if not found:
        return None
    name, power = found[1] or found[3], found[2] or found[4]
    if _is_cjk(name[0]):
        start = next((unit for unit in _CHINESE_UNITS if name.startswith(unit)), "")
        if set(name[len(start) :]) & _NO_CHINESE_UNIT:
            return None
    elif len(name) == 1 and name.isalpha() and name not in _ONE_LETTER and not (name == "a" and before and not last):
        return None  # a variable; but 3 times a week
    low = name.casefold()
    if low in ("squared", "cubed") and before:
        return low
    if low in SCALES or low in _CALCULATION or _MATHS.fullmatch(low):
        return None
    return f"{_single(low)}^{power}" if power else _single(low)


def _single(word: str) -> str:
    """A word without its plural, in its one spelling."""
    word = re.sub(r"(met|lit)re(s?)$", r"\1er\2", word)
    if word in _SPELLED or word in _SINGULAR:
        word = _SINGULAR.get(word, word)
    elif word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("xes", "ches", "shes", "sses", "zzes", "oes")):
        word = word[:-2]
    elif len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return _SPELLED.get(word, word)


def _joined(words: list[str]) -> str:
    """Words of a unit as one text: m^2 and meters squared as `square m`, degree celsius as `°c`."""
    parts: list[str] = []
    for word in words:
        name, _, power = word.partition("^")
        if word in ("squared", "cubed"):
            parts.insert(len(parts) - 1, "square" if word == "squared" else "cubic")
            continue
        if power:
            parts.append("square" if power == "2" else "cubic")
        parts.append(name)
    text = " ".join(parts).replace(" / ", "/").replace("/ ", "/")
    return re.sub(r"(?:degree )?(celsius|fahrenheit)", lambda found: "°" + found[1][0], text)


def currency(sign: str) -> str:
    """The one spelling of a match of CURRENCY."""
    return _single(sign.casefold().rstrip("."))


def agree(one: str, other: str) -> bool:
    """Whether two units, in their one spelling, are the same or one of them is not given; blanks aside."""
    return not one or not other or one.replace(" ", "") == other.replace(" ", "")
