"""Units after a number: their normalized spelling, and the words that are not units because they change the number.

Units are never converted. Spellings of the same unit become one: `Meters`, `metre` and `m`; `$` and `dollars`; `km/h`
and `kilometers per hour`; `m²` and `square meters`.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Signs and words that may precede a number, longest first.
_CURRENCY_SIGN = r"(?:US|HK)?\$|[€£¥₹]"
CURRENCY = rf"(?:{_CURRENCY_SIGN}|(?:USD|HKD|EUR|GBP|RMB|CNY|JPY|INR|Rs|dollars?|euros?|yuan|rupees?)\b\.?|人民币|美元)"

_SPELLINGS = {
    "dollar": "$ us$ usd buck 美元",
    "hk dollar": "hk$ hkd",
    "yuan": "¥ cny rmb 元 人民币 块 块钱",
    "yen": "jpy 日元 円",
    "euro": "€ eur 欧元",
    "pound": "£ gbp lb lbs 英镑",
    "rupee": "₹ inr rs",
    "cent": "¢",
    "mm": "millimeter 毫米",
    "cm": "centimeter 厘米",
    "dm": "decimeter 分米",
    "m": "meter mtr 米",
    "km": "kilometer kms 千米 公里",
    "mg": "milligram 毫克",
    "g": "gram gm 克",
    "kg": "kilogram kgs kilo 千克 公斤",
    "t": "tonne 吨",
    "ml": "milliliter mls 毫升",
    "l": "liter 升",
    "ha": "hectare 公顷",
    "ms": "millisecond msec 毫秒",
    "s": "second sec secs 秒",
    "min": "minute mins 分钟",
    "h": "hour hr hrs 小时 时",
    "day": "天",
    "week": "wk wks 周 星期",
    "year": "yr yrs 年",
    "foot": "ft feet 英尺",
    "inch": "in inches 英寸",
    "yard": "yd yds",
    "mile": "mi 英里",
    "ounce": "oz",
    "gallon": "gal",
    "quart": "qt",
    "pint": "pt",
    "tablespoon": "tbsp",
    "teaspoon": "tsp",
    "point": "pts",
    "time": "倍",
    "degree": "deg 度",
    "newton": "n 牛顿",
    "joule": "j 焦耳",
    "watt": "w 瓦",
    "volt": "v 伏",
    "kw": "kilowatt 千瓦",
    "hz": "hertz 赫兹",
    "khz": "kilohertz",
    "mhz": "megahertz",
    "ghz": "gigahertz",
    "kb": "kilobyte",
    "mb": "megabyte",
    "gb": "gigabyte",
    "tb": "terabyte",
    "square": "sq 平方",
    "cubic": "cu 立方",
    "celsius": "centigrade 摄氏度",
    "fahrenheit": "华氏度",
    "km/h": "kmh kph kmph",
    "mile/h": "mph",
}
_UNIT_OF_SPELLING = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
# Irregular plurals, and plurals and singulars for which the rules of `_singular` are wrong.
_IRREGULAR = {
    word: singular
    for singular, words in {
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
# Short forms that may directly follow a number; other letters there are variables (3xy) or multipliers (5k).
_SHORT_FORMS = {short for unit, spellings in _SPELLINGS.items() for short in (unit, *spellings.split())} | _words(
    "nm kl cl dl kwh kv ma mv kj cal kcal kbps mbps gbps pa kpa pcs px rpm am pm th st nd rd"
)
_ONE_LETTER = set("mgshlLtWVNJA")
# Words that multiply or divide the number before them: 5 dozen, 3 quarters, 5 hundredths.
SCALES = _words(
    "k bn mn mln mil bln tn trn thou lakh lakhs lac crore crores half halves third thirds fourth fourths fifth fifths "
    "sixth sixths seventh sevenths eighth eighths ninth ninths tenth tenths tens dozen dozens score bp bps hundred "
    "hundreds hundredth hundredths thousand thousands thousandth thousandths million millions billion billions "
    "trillion trillions"
)
# Words that add another number, make the number a part of a calculation, or retract it.
_NOT_UNITS = _words(
    "not no wrong incorrect false less fewer than approx approximately about around roughly nearly almost "
    "or and to plus minus negative over mod modulo factorial choose root squared cubed percent inf infinity nan zero "
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty "
    "ninety gross quarter quarters theta alpha beta"
)
_MATH = re.compile(
    r"(?:arc)?(?:sin|cos|tan|cot|log|ln|exp|sqrt)[nxyzθ]?|pi[rxy]?"
    r"|\w*teen|\w*(?:teen|eleven|twelf|tie)ths?|[mbt]r?illi(?:on|ard)\w*"
)
# Chinese numerals, and characters for tenths, dozens, halves and "and some more".
_NOT_UNITS_CHINESE = set("〇零一二两三四五六七八九十百千万亿点分半多几余成折打又")
_CHINESE_UNITS = ("千米", "千克", "千瓦", "千卡", "千字", "分钟", "分米", "分", "千帕")
CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # for a character class: scripts without spaces between words
# Words after a unit that change neither number nor unit; and phrases for what is counted.
_DESCRIPTIVE = _words("left total altogether each old tall long wide high deep away more remaining")
_OF = re.compile(r"\b(?:of|in (?:total|all|the(?! (?:morning|afternoon|evening|night))))\b(.*)", re.IGNORECASE)
_WORD = re.compile(
    rf"([^\W\d_]+(?:'[^\W\d_]+)?|¢|{_CURRENCY_SIGN})(?:\^\{{?([23])\}}?)?|((?:[mcdk]?m|ft|in|yd|mi))([23])"
)
_MAX_WORDS = 6


def _is_cjk(char: str) -> bool:
    return bool(re.match(f"[{CJK}]", char))


def normalize_unit(text: str) -> str | None:
    """The normalized spelling of a unit: '' for none, None if `text` is not a unit.

    Args:
        text: everything after the number, as `normalize.normalize` returns it. A space at its start matters: without
            one, only well-known short forms are units (5cm, but not 3xy).
    """
    glued = text[:1].isalpha() and not _is_cjk(text[0])
    if counted := _OF.search(text):
        if re.search("[0-9]", counted[1]) or (SCALES | _NOT_UNITS) & _words(counted[1].casefold()):
            return None  # 5 of 6
        text = text[: counted.start()]
    words = _split(text)
    while words and words[-1].casefold() in _DESCRIPTIVE:
        words.pop()
    if len(words) > _MAX_WORDS or (words and words[-1] == "/"):
        return None
    normalized = [_normalize_word(word, words[:index]) for index, word in enumerate(words)]
    if None in normalized or (glued and words and not _may_touch_number(words[0])):
        return None
    return _join([word for word in normalized if word])


def _split(text: str) -> list[str]:
    """The words of a unit, with `/` for every "per"."""
    text = re.sub(r"\b([ap])\.m\b", r"\1m", re.sub(r"\(e?s\)", "s", text), flags=re.IGNORECASE)  # apple(s), 10 a.m.
    text = re.sub(r"°\s*([CF])\b", r" degree \1", text).replace("°", " degree ")
    text = re.sub(r"(?<=[^\W\d_])\.(?=\s|$)", "", re.sub(r"\(([^()]*)\)", r" \1 ", text))  # sq. ft.
    text = re.sub(r"\bper\b|(?<=\s)an?(?=\s+[^\W\d_])|/|每", " / ", text.replace("·", " "))  # $5 a day
    text = re.sub("平方|立方", r"\g<0> ", text)
    return re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", " ", text).split()


def _may_touch_number(word: str) -> bool:
    return len(word) > 3 or word.rstrip("^23").casefold() in _SHORT_FORMS


def _normalize_word(word: str, before: list[str]) -> str | None:
    """The normalized spelling of one word of a unit; None if it cannot be a part of a unit."""
    if word == "/":
        return None if before[-1:] == ["/"] else "/"
    if before and _singular(before[-1].casefold()) == "degree" and word in ("C", "F"):
        return "celsius" if word == "C" else "fahrenheit"
    found = _WORD.fullmatch(word)
    if not found:
        return None
    name, power = found[1] or found[3], found[2] or found[4]
    if _is_cjk(name[0]):
        known = next((unit for unit in _CHINESE_UNITS if name.startswith(unit)), "")
        if set(name[len(known) :]) & _NOT_UNITS_CHINESE:
            return None
    elif len(name) == 1 and name.isalpha() and name not in _ONE_LETTER:
        return None  # a variable
    lower = name.casefold()
    if lower in ("squared", "cubed") and before:
        return lower
    if lower in SCALES or lower in _NOT_UNITS or _MATH.fullmatch(lower):
        return None
    return f"{_singular(lower)}^{power}" if power else _singular(lower)


def _singular(word: str) -> str:
    """The singular of a word, in its normalized spelling."""
    word = re.sub(r"(met|lit)re(s?)$", r"\1er\2", word)
    if word in _UNIT_OF_SPELLING or word in _IRREGULAR:
        word = _IRREGULAR.get(word, word)
    elif word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("xes", "ches", "shes", "sses", "zzes", "oes")):
        word = word[:-2]
    elif len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return _UNIT_OF_SPELLING.get(word, word)


def _join(words: list[str]) -> str:
    """The words of a unit as one text: m^2 and meters squared as `square m`, degree celsius as `°c`."""
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


def normalize_currency(sign: str) -> str:
    """The normalized spelling of a match of CURRENCY."""
    return _singular(sign.casefold().rstrip("."))


def compatible(unit: str, other: str) -> bool:
    """Whether two normalized units are equal, spaces aside, or at least one of them is missing."""
    return not unit or not other or unit.replace(" ", "") == other.replace(" ", "")
