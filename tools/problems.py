"""Elementary word problems in English: what tiny-math is trained on, and what `math-sft` and `math-exam` are made of.

A type is a function `(r, world) -> Problem`. It draws numbers, then says the same situation in one of several ways:
sentences, order, names, things and units change, and now and then a number that has nothing to do with the question
stands in between. Solutions are worked out line by line, in words and equations, and close with a sentence.

No solution holds an answer marker; only `marked` of `make_datasets.py` writes one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SHE = (
    "Mia Lena Sara Noor Aiko Ella Ines Ruth Olga Priya Zoe Fatima Clara Maya Anna Leila Grace Hanna Yuki Rosa"
).split()
HE = ("Omar Tom Wei Ivan Paul Juan Ben Kofi Luca Amir Sam Felix Diego Noah Ravi Emil Jack Kenji Hugo Ali").split()
SMALL = (
    "apples pencils stamps marbles cards books shells coins stickers pears buttons beads eggs cookies "
    "photos lemons balloons plums keys magnets candles"
).split()
BOXES = "box/boxes bag/bags basket/baskets tray/trays crate/crates tin/tins pack/packs jar/jars".split()
PEOPLE = "children friends pupils players neighbours guests".split()
MEASURES = ["kg of rice", "litres of water", "metres of rope", "kg of sand", "litres of milk", "metres of ribbon"]
GOODS = "notebook mug ticket lamp cap ball sandwich plant poster kite ruler puzzle".split()
SIGNS = [("$", ""), ("€", ""), ("", " dollars"), ("", " euros")]


@dataclass(frozen=True)
class Problem:
    """One question with its solution.

    Attributes:
        type: what is to be done, for instance `average`.
        question: one paragraph.
        steps: lines with the equations.
        closing: a sentence that states the answer and ends with it or names it last.
        answer: the number asked for.
        phrasing: which sentences were chosen; two problems of one phrasing differ in names, things and numbers only.
    """

    type: str
    question: str
    steps: tuple[str, ...]
    closing: str
    answer: int
    phrasing: str = ""

    @property
    def solution(self) -> str:
        """Steps and closing sentence, a line each."""
        return "\n".join([*self.steps, self.closing])


class World:
    """The people, things and units of one problem.

    `fill` says a sentence with them; `{n}` a name, `{he}` and `{his}` the pronouns, `{m}` another name, `{x}` things,
    `{box}` and `{boxes}` what holds them, `{who}` several people, `{good}` and `{goods}` what is for sale.
    """

    def __init__(self, r: random.Random) -> None:
        self.r = r
        she = r.random() < 0.5
        n, m = r.sample(SHE if she else HE, 1)[0], r.choice(HE if she else SHE)
        box, boxes = r.choice(BOXES).split("/")
        good = r.choice(GOODS)
        self.sign = r.choice(SIGNS)
        self.words = {
            "n": n,
            "m": m,
            "he": "she" if she else "he",
            "He": "She" if she else "He",
            "his": "her" if she else "his",
            "x": r.choice(SMALL),
            "box": box,
            "boxes": boxes,
            "who": r.choice(PEOPLE),
            "good": good,
            "goods": good + ("es" if good.endswith("ch") else "s"),
        }
        self.chosen: list[int] = []

    def money(self, amount: int) -> str:
        """An amount in this problem's currency."""
        return f"{self.sign[0]}{amount}{self.sign[1]}"

    def fill(self, sentence: str, **numbers: object) -> str:
        """The sentence with words and numbers in place of its names."""
        return sentence.format(**{**self.words, **numbers})

    def one(self, *sentences: str) -> str:
        """One of the sentences; which one is part of the phrasing."""
        index = self.r.randrange(len(sentences))
        self.chosen.append(index)
        return sentences[index]

    def said(self, *sentences: str) -> str:
        """One of the sentences, for the solution: no part of the phrasing."""
        return self.r.choice(sentences)

    def short(self) -> bool:
        """Whether this question is said in one sentence, facts and all."""
        return self.one("long", "long", "short") == "short"

    def measured(self) -> None:
        """Let the things be an amount with a unit, now and then."""
        if self.r.random() < 0.25:
            self.words["x"] = self.r.choice(MEASURES)

    def problem(
        self,
        type: str,
        sentences: list[str],
        steps: list[str],
        closing: str,
        answer: int,
        *,
        loose: int = 0,
        **numbers: object,
    ) -> Problem:
        """Put sentences together; the first `loose` of them may change places. A distractor comes before or between."""
        said = list(sentences)
        if loose and self.r.random() < 0.5:
            head = said[:loose]
            self.r.shuffle(head)
            said[:loose] = head
            self.chosen.append(sentences.index(head[0]))
        if self.r.random() < 0.25:
            index = self.r.randrange(len(DISTRACTORS))
            said.insert(self.r.randrange(len(said)), DISTRACTORS[index])
            self.chosen.append(100 + index)
        numbers["k"] = self.r.randint(6, 59)
        text = " ".join(self.fill(sentence, **numbers) for sentence in said if sentence)
        phrasing = f"{type}:{'.'.join(map(str, self.chosen))}"
        lines = tuple(self.fill(step, **numbers) for step in steps)
        return Problem(type, text, lines, self.fill(closing, **numbers), answer, phrasing)


DISTRACTORS = [
    "{n} is {k} years old.",
    "{m} lives at number {k}.",
    "There are {k} chairs in the room.",
    "{m} owns {k} pens.",
    "It is {k} minutes past four.",
    "The bus there takes {k} minutes.",
    "It is {k} degrees outside.",
    "{m} waits for {k} minutes.",
    "The house has {k} windows.",
    "{n} was on page {k} of a book.",
]

# --- types that tiny-math is trained on, and that the exam asks -------------------------------------------------------


def gain(r: random.Random, w: World) -> Problem:
    """a + b"""
    a, b = r.randint(3, 150), r.randint(2, 120)
    w.measured()
    first = w.one(
        "{n} has {a} {x}.", "{n} starts the day with {a} {x}.", "This morning {n} had {a} {x}.",
        "{n} keeps {a} {x} in the kitchen.", "Last week {n} bought {a} {x}.",
    )  # fmt: skip
    then = w.one(
        "{m} gives {n} {b} more.", "Then {he} gets another {b}.", "In the afternoon {he} finds {b} more.",
        "{He} buys {b} more.", "Today {m} brings {b} more.",
    )  # fmt: skip
    ask = w.one(
        "How many {x} does {n} have now?", "How many {x} is that in all?", "How many {x} are there altogether?",
        "How many {x} does {he} have after that?",
    )  # fmt: skip
    said = [first, then, ask]
    if w.short():
        said = [
            w.one(
                "How many {x} does {n} have after getting {b} more, when {he} had {a} before?",
                "{n} got {b} {x} from {m} and had {a} before. How many is that now?",
                "To {a} {x} {n} adds {b}. How many are there then?",
            )
        ]
    step = w.said("{a} + {b} = {c}", "Add the new ones: {a} + {b} = {c}", "Together that is {a} + {b} = {c}")
    closing = w.said("{n} has {c} {x} now.", "That makes {c} {x}.", "The answer is {c}.")
    return w.problem("gain", said, [step], closing, a + b, a=a, b=b, c=a + b)


def loss(r: random.Random, w: World) -> Problem:
    """a - b"""
    b = r.randint(2, 120)
    a = b + r.randint(2, 130)
    w.measured()
    first = w.one(
        "{n} has {a} {x}.", "{n} brings {a} {x} to school.", "{n} wants to sell {a} {x}.",
        "{a} {x} belong to {n}.",
    )  # fmt: skip
    then = w.one("{He} gives {b} to {m}.", "{He} uses up {b}.", "{m} takes {b} away.", "By noon {b} are gone.")
    ask = w.one("How many {x} are left?", "How many {x} does {n} still have?", "How many {x} remain?")
    said = [first, then, ask]
    if w.short():
        said = [
            w.one(
                "How many {x} are left when {n} had {a} and gave away {b}?",
                "{n} gives away {b} of {his} {a} {x}; how many are left?",
                "After using {b} of {his} {a} {x}, how many does {n} have left?",
                "{b} of {n}'s {a} {x} are gone. How many are still there?",
            )
        ]
    step = w.said("{a} - {b} = {c}", "Take them away: {a} - {b} = {c}", "What is left: {a} - {b} = {c}")
    closing = w.said("{c} {x} are left.", "{n} has {c} {x} left.", "The answer is {c}.")
    return w.problem("loss", said, [step], closing, a - b, a=a, b=b, c=a - b)


def _table(r: random.Random) -> tuple[int, int]:
    """Two factors: a multiplication table's, or two digits by one."""
    return (r.randint(2, 12), r.randint(2, 12)) if r.random() < 0.7 else (r.randint(11, 40), r.randint(2, 9))


def groups(r: random.Random, w: World) -> Problem:
    """a * b"""
    a, b = _table(r)
    first = w.one(
        "There are {a} {x} in each {box}.", "Each {box} holds {a} {x}.", "{n} puts {a} {x} into every {box}.",
        "{n} packs {a} {x} per {box}.",
    )  # fmt: skip
    ask = w.one(
        "How many {x} are in {b} {boxes}?", "{n} has {b} {boxes}. How many {x} is that?",
        "How many {x} does {n} need for {b} {boxes}?", "There are {b} {boxes}. How many {x} are there in all?",
    )  # fmt: skip
    step = w.said("{a} * {b} = {c}", "{b} {boxes} of {a}: {a} * {b} = {c}", "Multiply: {a} * {b} = {c}")
    closing = w.said("That is {c} {x}.", "There are {c} {x}.", "The answer is {c}.")
    return w.problem("groups", [first, ask], [step], closing, a * b, a=a, b=b, c=a * b)


def share(r: random.Random, w: World) -> Problem:
    """a / b, without remainder"""
    c, b = _table(r)
    first = w.one(
        "{a} {x} are shared equally by {b} {who}.", "{n} shares {a} {x} equally among {b} {who}.",
        "{n} has {a} {x} and shares them equally among {b} {who}.",
        "{b} {who} split {a} {x} evenly.",
    )  # fmt: skip
    ask = w.one("How many {x} does each one get?", "How many {x} are there for each?", "What is each one's share?")
    step = w.said("{a} / {b} = {c}", "Divide by {b}: {a} / {b} = {c}", "Shared by {b}: {a} / {b} = {c}")
    closing = w.said("Each one gets {c} {x}.", "That is {c} for each.", "The answer is {c}.")
    return w.problem("share", [first, ask], [step], closing, c, a=b * c, b=b, c=c)


def packs(r: random.Random, w: World) -> Problem:
    """a * b + c"""
    a, b, c = r.randint(2, 12), r.randint(2, 12), r.randint(2, 60)
    first = w.one(
        "{n} already has {c} {x}.", "{c} {x} lie on the table.", "There are {c} loose {x}.", "At home {n} has {c} {x}."
    )
    then = w.one(
        "{n} buys {a} {boxes} with {b} {x} each.", "{m} brings {a} {boxes} of {b} {x}.",
        "{a} {boxes} are delivered, and in each of them are {b} {x}.", "There are {a} {boxes}, each with {b} {x}.",
    )  # fmt: skip
    ask = w.one(
        "How many {x} is that altogether?", "How many {x} are there in all?", "What is the total number of {x}?"
    )
    one = w.said("{a} * {b} = {d}", "In the {boxes}: {a} * {b} = {d}", "{a} {boxes} of {b}: {a} * {b} = {d}")
    two = w.said("{d} + {c} = {e}", "With the others: {d} + {c} = {e}", "Add {c}: {d} + {c} = {e}")
    closing = w.said("That is {e} {x} altogether.", "The total is {e}.", "The answer is {e}.")
    numbers = {"a": a, "b": b, "c": c, "d": a * b, "e": a * b + c}
    return w.problem("packs", [first, then, ask], [one, two], closing, a * b + c, loose=2, **numbers)


def change(r: random.Random, w: World) -> Problem:
    """c - a * b, in money"""
    a, b = r.randint(2, 9), r.randint(2, 12)
    c = a * b + r.randint(2, 60)
    price = w.one("One {good} costs {B}.", "A {good} is {B}.", "Each {good} costs {B}.", "{goods} cost {B} each.")
    if price.startswith("{goods}"):
        w.words["goods"], price = w.words["goods"], price.replace("{goods}", w.words["goods"].capitalize())
    buys = w.one("{n} buys {a} of them", "{n} takes {a} {goods}", "{n} wants {a} {goods}")
    pays = w.one(
        "and pays with {C}. How much change does {he} get?", "and has {C}. How much money is left?",
        "and gives the seller {C}. How much does {he} get back?",
    )  # fmt: skip
    said = [price, f"{buys} {pays}"]
    if not w.short():
        own = w.one("{n} goes shopping with {C}.", "{n} has {C} in {his} purse.", "{n} has {C} in {his} pocket.")
        ask = w.one("How much money is left?", "How much does {he} have left?", "What remains?")
        said = [own, price, f"{buys}.", ask]
    one = w.said("{a} * {b} = {d}", "The price: {a} * {b} = {d}", "{a} {goods} cost {a} * {b} = {d}")
    two = w.said("{c} - {d} = {e}", "The rest: {c} - {d} = {e}", "Take that from {c}: {c} - {d} = {e}")
    closing = w.said("{E} are left.", "{n} has {E} left.", "The answer is {e}.")
    numbers: dict[str, Any] = {"a": a, "b": b, "c": c, "d": a * b, "e": c - a * b}
    numbers |= {"B": w.money(b), "C": w.money(c), "E": w.money(c - a * b)}
    loose = 2 if len(said) == 4 else 0
    return w.problem("change", said, [one, two], closing, c - a * b, loose=loose, **numbers)


def fewer(r: random.Random, w: World) -> Problem:
    """a + (a - b) or a + (a + b)"""
    less = r.random() < 0.5
    b = r.randint(2, 40)
    a = b + r.randint(2, 60) if less else r.randint(3, 80)
    first = w.one("{n} has {a} {x}.", "{n} collects {a} {x}.", "{n} picks up {a} {x}.")
    word = "fewer" if less else "more"
    then = w.one(f"{{m}} has {{b}} {{x}} {word} than {{n}}.", f"{{m}} has {{b}} {word} than that.")
    w.chosen.append(int(less))
    ask = w.one(
        "How many {x} do they have together?", "How many {x} is that in total?", "How many {x} do the two have in all?"
    )
    sign, c = ("-", a - b) if less else ("+", a + b)
    one = w.said(f"{{a}} {sign} {{b}} = {{c}}", f"{{m}} has {{a}} {sign} {{b}} = {{c}}")
    two = w.said("{a} + {c} = {d}", "Together: {a} + {c} = {d}", "Both together: {a} + {c} = {d}")
    closing = w.said("Together they have {d} {x}.", "That is {d} {x}.", "The answer is {d}.")
    return w.problem("fewer", [first, then, ask], [one, two], closing, a + c, a=a, b=b, c=c, d=a + c)


# --- types of the exam that tiny-math has never met; each puts together what it knows ---------------------------------


def average(r: random.Random, w: World) -> Problem:
    """(a + b + c) / 3"""
    mean = r.randint(4, 40)
    a, b = (mean + r.randint(-(mean - 2), mean - 2) // 2 for _ in range(2))
    c = 3 * mean - a - b
    first = w.one(
        "{n} finds {a} {x} on Monday, {b} on Tuesday and {c} on Wednesday.",
        "Three {boxes} hold {a}, {b} and {c} {x}.",
        "In three games {n} scores {a}, {b} and {c} points.",
        "{n} has {a} {x}, {m} has {b} and a friend has {c}.",
        "The three pupils are given {a}, {b} and {c} {x}.",
    )
    ask = w.one("What is the average?", "What is the mean?", "How many is that on average?", "Find the average.")
    steps = ["{a} + {b} = {d}", "{d} + {c} = {e}", "{e} / 3 = {f}"]
    numbers = {"a": a, "b": b, "c": c, "d": a + b, "e": a + b + c, "f": mean}
    return w.problem("average", [first, ask], steps, "The average is {f}.", mean, **numbers)


def perimeter(r: random.Random, w: World) -> Problem:
    """2 * (a + b)"""
    a, b = r.randint(3, 45), r.randint(2, 40)
    what = w.r.choice(["garden", "field", "playground", "carpet", "yard", "pool", "park", "table"])
    unit = "metres"
    if what in ("carpet", "table"):
        unit = "feet"
    first = w.one(
        f"A {what} is {{a}} {unit} long and {{b}} {unit} wide.",
        f"{{n}}'s {what} measures {{a}} by {{b}} {unit}.",
        f"{{n}}'s {what} is a rectangle with sides of {{a}} and {{b}} {unit}.",
        f"A rectangular {what} has a width of {{b}} {unit} and a length of {{a}} {unit}.",
    )
    ask = w.one(
        "What is its perimeter?", "How long is the way once around it?", f"How many {unit} is it all the way around?",
        f"How many {unit} of tape go once around it?",
    )  # fmt: skip
    one = "{b} + {a} = {c}" if first.startswith("A rectangular") else "{a} + {b} = {c}"
    steps, closing, c = [one, "2 * {c} = {d}"], "The perimeter is {d}.", a + b
    return w.problem("perimeter", [first, ask], steps, closing, 2 * c, a=a, b=b, c=c, d=2 * c)


def rest(r: random.Random, w: World) -> Problem:
    """(a - b) / c, without remainder"""
    q, c = r.randint(2, 15), r.randint(2, 9)
    b = r.randint(3, 90)
    a = b + q * c
    who, pages, did, does, ask = r.choice(
        [
            ("book", "A book has {a} pages.", "{n} has read {b} of them", "{he} reads {c} a day", "days"),
            ("save", "A bike costs {A}.", "{n} has {B} already", "{he} saves {C} a week", "weeks"),
            ("walk", "A trail is {a} km long.", "{n} has walked {b} km", "{he} walks {c} km a day", "days"),
            ("pack", "{n} has to pack {a} {x}.", "{b} are packed already", "{he} packs {c} a minute", "minutes"),
            ("fill", "{n} fills a tank of {a} litres.", "{b} litres are in it", "{c} more flow in a minute", "minutes"),
            ("knit", "{n} knits a scarf of {a} rows.", "{b} rows are done", "{he} knits {c} rows an hour", "hours"),
        ]
    )
    w.chosen.append(["book", "save", "walk", "pack", "fill", "knit"].index(who))
    middle = w.one(f"{did}, and {does} from now on.", f"{did}. From now on, {does}.", f"{did}, and {does}.")
    last = w.one(f"How many more {ask} does it take?", f"How many {ask} are still needed?", f"How many {ask} are left?")
    steps = ["{a} - {b} = {d}", "{d} / {c} = {q}"]
    numbers: dict[str, Any] = {"a": a, "b": b, "c": c, "d": a - b, "q": q}
    numbers |= {"A": w.money(a), "B": w.money(b), "C": w.money(c)}
    return w.problem("rest", [pages, middle, last], steps, f"That takes {{q}} {ask}.", q, **numbers)


# --- types of the pre-training only -----------------------------------------------------------------------------------


def more_than(r: random.Random, w: World) -> Problem:
    """a - b, as a comparison"""
    b = r.randint(2, 90)
    a = b + r.randint(2, 90)
    first = w.one("{n} has {a} {x} and {m} has {b}.", "{m} has {b} {x}, {n} has {a}.")
    ask = w.one("How many more does {n} have?", "How many {x} does {m} have less than {n}?", "What is the difference?")
    step = w.said("{a} - {b} = {c}", "The difference: {a} - {b} = {c}")
    closing = w.said("The difference is {c}.", "{n} has {c} more.", "The answer is {c}.")
    return w.problem("more_than", [first, ask], [step], closing, a - b, a=a, b=b, c=a - b)


def up_and_down(r: random.Random, w: World) -> Problem:
    """a + b - c, or a - b + c"""
    a, b = r.randint(10, 99), r.randint(2, 60)
    up = r.random() < 0.5
    if not up:
        a += b
    d = a + b if up else a - b
    c = r.randint(2, d - 2) if up else r.randint(2, 60)
    e = d - c if up else d + c
    first = w.one("{n} has {a} {x}.", "{a} people are on a bus.", "There are {a} {x} in a {box}.")
    bus = first.startswith("{a} people")
    plus = w.one("{} get on.", "{} more come in.") if bus else w.one("{} are added.", "{m} brings {} more.")
    minus = w.one("{} get off.", "{} leave.") if bus else w.one("{} are taken away.", "{} get lost.")
    order = [(plus, "{b}"), (minus, "{c}")] if up else [(minus, "{b}"), (plus, "{c}")]
    events = [sentence.replace("{}", number) for sentence, number in order]
    what = "people" if bus else "{x}"
    ask = w.one(f"How many {what} are there at the end?", f"How many {what} are there now?")
    signs = "+-" if up else "-+"
    steps = [f"{{a}} {signs[0]} {{b}} = {{d}}", f"{{d}} {signs[1]} {{c}} = {{e}}"]
    closing = w.said(f"There are {{e}} {what}.", "The answer is {e}.")
    return w.problem("up_and_down", [first, *events, ask], steps, closing, e, a=a, b=b, c=c, d=d, e=e)


def halves(r: random.Random, w: World) -> Problem:
    """a / 2, a * 2, a * 3"""
    c = r.randint(2, 60)
    word, a, step, b = r.choice(
        [
            ("half as many", 2 * c, "{a} / 2 = {c}", c),
            ("twice as many", c, "2 * {a} = {c}", 2 * c),
            ("three times as many", min(c, 30), "3 * {a} = {c}", 3 * min(c, 30)),
        ]
    )
    first = w.one("{n} has {a} {x}.", "There are {a} {x} on {n}'s table.")
    ask = w.one(f"{{m}} has {word}. How many {{x}} does {{m}} have?", f"How many {{x}} has {{m}}, who has {word}?")
    closing = w.said("{m} has {c} {x}.", "The answer is {c}.")
    return w.problem("halves", [first, ask], [step], closing, b, a=a, c=b)


def weeks(r: random.Random, w: World) -> Problem:
    """a * 7, a * 12, a * 60, and back"""
    one, many, size = r.choice([("week", "days", 7), ("dozen", "eggs", 12), ("hour", "minutes", 60)])
    a = r.randint(2, 12)
    few = one + ("" if one == "dozen" else "s")
    if r.random() < 0.5:
        said = w.one(f"How many {many} are {{a}} {few}?", f"{{n}} counts {{a}} {few}. How many {many} is that?")
        return w.problem(
            "weeks", [said], [f"{{a}} * {size} = {{c}}"], f"That is {{c}} {many}.", a * size, a=a, c=a * size
        )
    said = w.one(f"How many {few} are {{a}} {many}?", f"{{n}} counts {{a}} {many}. How many {few} is that?")
    return w.problem("weeks", [said], [f"{{a}} / {size} = {{c}}"], f"That is {{c}} {few}.", a, a=a * size, c=a)


def _operation(r: random.Random) -> tuple[int, str, int, int]:
    """a, sign, b, result: one operation of the kind and size that the problems need."""
    sign = r.choice("++--**//")
    if sign == "+":
        a, b = r.randint(1, 199), r.randint(1, 199)
        return a, sign, b, a + b
    if sign == "-":
        b, c = r.randint(1, 150), r.randint(0, 150)
        return b + c, sign, b, c
    a, b = _table(r)
    if r.random() < 0.3:
        a, b = (2, r.randint(2, 99)) if sign == "*" else (r.randint(3, 45), r.choice([2, 3, 3, 3]))
    if sign == "*":
        return a, sign, b, a * b
    return a * b, sign, b, a


SPELLED = {
    "+": ["{a} plus {b}", "the sum of {a} and {b}"],
    "-": ["{a} minus {b}", "{a} take away {b}"],
    "*": ["{a} times {b}", "the product of {a} and {b}"],
    "/": ["{a} divided by {b}", "{a} over {b}"],
}


def drill(r: random.Random, w: World) -> Problem:
    """One operation, asked for plainly"""
    a, sign, b, c = _operation(r)
    what = w.one(f"{a} {sign} {b}", f"{a}{sign}{b}", r.choice(SPELLED[sign]).format(a=a, b=b))
    said = w.one(f"What is {what}?", f"Calculate {what}.", f"{what} = ?", f"How much is {what}?", f"Work out {what}.")
    closing = w.said(f"The answer is {c}.", f"It is {c}.")
    return Problem("drill", said, (f"{a} {sign} {b} = {c}",), closing, c, f"drill:{w.chosen}")


def drills(r: random.Random, w: World) -> Problem:
    """Several operations in a list: much arithmetic in few tokens"""
    rows = [_operation(r) for _ in range(r.randint(3, 6))]
    asked = ", ".join(f"{a} {sign} {b}" for a, sign, b, _ in rows)
    *lines, last = [f"{a} {sign} {b} = {c}" for a, sign, b, c in rows]
    said = w.one(f"Calculate: {asked}", f"Work out each of these: {asked}")
    return Problem("drills", said, tuple(lines), last, rows[-1][3], f"drills:{w.chosen}")


def chain(r: random.Random, w: World) -> Problem:
    """Two to four operations, one after the other, on one number"""
    start = value = r.randint(2, 60)
    told, lines = [], []
    for _ in range(r.randint(2, 4)):
        known = {"+": (1, 90), "-": (1, max(1, value - 1)), "*": (2, max(2, min(12, 240 // max(value, 1))))}
        divisors = [d for d in range(2, 13) if value % d == 0 and value // d >= 1 and value <= 25 * d]
        sign = r.choice("+-*/" if divisors else "+-*")
        if (sign == "-" and value < 2) or (sign == "*" and value > 60):
            sign = "+"
        b = r.choice(divisors) if sign == "/" else r.randint(*known[sign])
        after = {"+": value + b, "-": value - b, "*": value * b, "/": value // b if b else 0}[sign]
        verb = {"+": "add {b}", "-": "subtract {b}", "*": "multiply by {b}", "/": "divide by {b}"}[sign].format(b=b)
        told.append(verb)
        lines.append(f"{value} {sign} {b} = {after}")
        value = after
    said = w.one(
        f"Start with {start}. " + " ".join(f"{verb.capitalize()}." for verb in told) + " What is the result?",
        f"Take {start}, then {', then '.join(told)}. What do you get?",
        f"{{n}} thinks of {start}. {{He}} has to {', '.join(told)}. Where does {{he}} end?",
    )
    closing = w.said("The result is {c}.", "The answer is {c}.")
    text = w.fill(said)
    return Problem("chain", text, tuple(lines), closing.format(c=value), value, f"chain:{w.chosen}")


def unknown(r: random.Random, w: World) -> Problem:
    """x + a = b and its like"""
    a, sign, b, c = _operation(r)
    if r.random() < 0.5:  # the first number is sought
        back = {"+": "-", "-": "+", "*": "/", "/": "*"}[sign]
        said, line, x = f"x {sign} {b} = {c}", f"x = {c} {back} {b} = {a}", a
    else:
        back = {"+": f"{c} - {a}", "-": f"{a} - {c}", "*": f"{c} / {a}", "/": f"{a} / {c}"}[sign]
        said, line, x = f"{a} {sign} x = {c}", f"x = {back} = {b}", b
    if "/ 0" in line:
        return drill(r, w)
    ask = w.one(f"Solve {said}.", f"What is x if {said}?", f"Find x: {said}")
    return Problem("unknown", ask, (line,), f"x is {x}.", x, f"unknown:{w.chosen}")


def bigger(r: random.Random, w: World) -> Problem:
    """The larger or smaller of two numbers"""
    a, b = r.sample(range(1, 400), 2)
    big = r.random() < 0.5
    word = w.one("larger", "bigger", "greater") if big else w.one("smaller", "lower")
    ask = w.one(f"Which is {word}, {a} or {b}?", f"Which number is {word}: {a} or {b}?")
    c = max(a, b) if big else min(a, b)
    line = f"{a} > {b}" if a > b else f"{a} < {b}"
    return Problem("bigger", ask, (line,), f"It is {c}.", c, f"bigger:{w.chosen}")


def sequence(r: random.Random, w: World) -> Problem:
    """The next number of an arithmetic sequence"""
    a, b = r.randint(1, 60), r.randint(1, 15)
    rows = [a + b * i for i in range(5)]
    shown = ", ".join(map(str, rows[:4]))
    ask = w.one(f"What comes next: {shown}?", f"Continue: {shown}", f"Which number follows {shown}?")
    lines = (f"{rows[1]} - {rows[0]} = {b}", f"{rows[3]} + {b} = {rows[4]}")
    return Problem("sequence", ask, lines, f"Next is {rows[4]}.", rows[4], f"sequence:{w.chosen}")


Type = Callable[[random.Random, World], Problem]
KNOWN: list[Type] = [gain, loss, groups, share, packs, change, fewer]
NEW: list[Type] = [average, perimeter, rest]
ONLY_PRETRAINING: list[Type] = [
    more_than, up_and_down, halves, weeks, drill, drills, chain, unknown, bigger, sequence
]  # fmt: skip


def make(type: Type, r: random.Random) -> Problem:
    """One problem of the type."""
    return type(r, World(r))
