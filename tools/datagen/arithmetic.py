"""English types of problem that only the pre-training of tiny-math contains: comparisons, drills and equations.

A type is a function that draws numbers and sentences from a scene. The order of the random calls fixes the weights
that ship, so it must not change.
"""

from __future__ import annotations

import random

from .scene import Problem, Scene
from .word_problems import table_factors


def more_than(scene: Scene) -> Problem:
    """a - b, as a comparison"""
    b = scene.rng.randint(2, 90)
    a = b + scene.rng.randint(2, 90)
    question = [scene.pick("fact"), scene.pick("question")]
    solution = [scene.vary("step"), scene.vary("closing")]
    return scene.build(question, solution, a - b, a=a, b=b, c=a - b)


def up_and_down(scene: Scene) -> Problem:
    """a + b - c, or a - b + c"""
    rng = scene.rng
    a, b = rng.randint(10, 99), rng.randint(2, 60)
    gain_first = rng.random() < 0.5
    if not gain_first:
        a += b
    d = a + b if gain_first else a - b
    c = rng.randint(2, d - 2) if gain_first else rng.randint(2, 60)
    e = d - c if gain_first else d + c
    fact = scene.pick("fact")
    is_bus = "on a bus" in fact
    gain = scene.pick("bus_gain" if is_bus else "gain")
    loss = scene.pick("bus_loss" if is_bus else "loss")
    first, second = (gain, loss) if gain_first else (loss, gain)
    question = [fact, first.replace("_", "{b}"), second.replace("_", "{c}"), scene.pick("question")]
    signs = "+-" if gain_first else "-+"
    steps = [f"{{a}} {signs[0]} {{b}} = {{d}}", f"{{d}} {signs[1]} {{c}} = {{e}}"]
    counted = "people" if is_bus else scene.words["x"]
    return scene.build(question, [*steps, scene.vary("closing")], e, a=a, b=b, c=c, d=d, e=e, counted=counted)


def halves(scene: Scene) -> Problem:
    """a / 2, a * 2, a * 3"""
    c = scene.rng.randint(2, 60)
    ratio, a, step, b = scene.rng.choice(
        [
            ("half as many", 2 * c, "{a} / 2 = {c}", c),
            ("twice as many", c, "2 * {a} = {c}", 2 * c),
            ("three times as many", min(c, 30), "3 * {a} = {c}", 3 * min(c, 30)),
        ]
    )
    question = [scene.pick("fact"), scene.pick("question")]
    return scene.build(question, [step, scene.vary("closing")], b, a=a, c=b, ratio=ratio)


def weeks(scene: Scene) -> Problem:
    """a * 7, a * 12, a * 60, and back"""
    large, small, size = scene.rng.choice([("weeks", "days", 7), ("dozen", "eggs", 12), ("hours", "minutes", 60)])
    a = scene.rng.randint(2, 12)
    if scene.rng.random() < 0.5:
        question, solution = [scene.pick("to_smaller")], ["{a} * {size} = {c}", "That is {c} {small}."]
        return scene.build(question, solution, a * size, a=a, c=a * size, large=large, small=small, size=size)
    question, solution = [scene.pick("to_larger")], ["{a} / {size} = {c}", "That is {c} {large}."]
    return scene.build(question, solution, a, a=a * size, c=a, large=large, small=small, size=size)


def _operation(rng: random.Random) -> tuple[int, str, int, int]:
    """a, sign, b, result: one operation of the kind and size that the word problems need."""
    sign = rng.choice("++--**//")
    if sign == "+":
        a, b = rng.randint(1, 199), rng.randint(1, 199)
        return a, sign, b, a + b
    if sign == "-":
        b, c = rng.randint(1, 150), rng.randint(0, 150)
        return b + c, sign, b, c
    a, b = table_factors(rng)
    if rng.random() < 0.3:
        a, b = (2, rng.randint(2, 99)) if sign == "*" else (rng.randint(3, 45), rng.choice([2, 3, 3, 3]))
    if sign == "*":
        return a, sign, b, a * b
    return a * b, sign, b, a


def drill(scene: Scene) -> Problem:
    """One operation without a story"""
    a, sign, b, c = _operation(scene.rng)
    spelled = scene.rng.choice(scene.texts["spelled"][sign]).format(a=a, b=b)
    forms = [f"{a} {sign} {b}", f"{a}{sign}{b}", spelled]
    form = scene.rng.randrange(len(forms))
    scene.picks.append(form)
    question = scene.pick("question").format(task=forms[form])
    closing = scene.vary("closing").format(c=c)
    return Problem(scene.type, question, (f"{a} {sign} {b} = {c}",), closing, c, scene.phrasing)


def drills(scene: Scene) -> Problem:
    """Several operations in a list: much arithmetic in few tokens"""
    operations = [_operation(scene.rng) for _ in range(scene.rng.randint(3, 6))]
    tasks = ", ".join(f"{a} {sign} {b}" for a, sign, b, _ in operations)
    *steps, last = [f"{a} {sign} {b} = {c}" for a, sign, b, c in operations]
    question = scene.pick("question").format(tasks=tasks)
    return Problem(scene.type, question, tuple(steps), last, operations[-1][3], scene.phrasing)


def chain(scene: Scene) -> Problem:
    """Two to four operations on one number, one after the other"""
    rng = scene.rng
    start = value = rng.randint(2, 60)
    verbs, steps = [], []
    for _ in range(rng.randint(2, 4)):
        sign, b, result = _next_operation(rng, value)
        verbs.append(scene.texts["verbs"][sign].format(b=b))
        steps.append(f"{value} {sign} {b} = {result}")
        value = result
    values = {
        "start": start,
        "commands": " ".join(f"{verb.capitalize()}." for verb in verbs),
        "successive": ", then ".join(verbs),
        "listed": ", ".join(verbs),
    }
    question = scene.fill(scene.pick("question"), **values)
    closing = scene.vary("closing").format(c=value)
    return Problem(scene.type, question, tuple(steps), closing, value, scene.phrasing)


def _next_operation(rng: random.Random, value: int) -> tuple[str, int, int]:
    """sign, b, result: an operation that keeps `value` a whole number of moderate size."""
    ranges = {"+": (1, 90), "-": (1, max(1, value - 1)), "*": (2, max(2, min(12, 240 // max(value, 1))))}
    divisors = [d for d in range(2, 13) if value % d == 0 and value // d >= 1 and value <= 25 * d]
    sign = rng.choice("+-*/" if divisors else "+-*")
    if (sign == "-" and value < 2) or (sign == "*" and value > 60):
        sign = "+"
    b = rng.choice(divisors) if sign == "/" else rng.randint(*ranges[sign])
    return sign, b, {"+": value + b, "-": value - b, "*": value * b, "/": value // b}[sign]


def unknown(scene: Scene) -> Problem:
    """Equations such as x + a = b"""
    a, sign, b, c = _operation(scene.rng)
    if scene.rng.random() < 0.5:  # the first operand is unknown
        inverse = {"+": "-", "-": "+", "*": "/", "/": "*"}[sign]
        equation, step, x = f"x {sign} {b} = {c}", f"x = {c} {inverse} {b} = {a}", a
    else:
        inverse = {"+": f"{c} - {a}", "-": f"{a} - {c}", "*": f"{c} / {a}", "/": f"{a} / {c}"}[sign]
        equation, step, x = f"{a} {sign} x = {c}", f"x = {inverse} = {b}", b
    question = scene.pick("question").format(equation=equation)
    return Problem(scene.type, question, (step,), f"x is {x}.", x, scene.phrasing)


def bigger(scene: Scene) -> Problem:
    """The larger or smaller of two numbers"""
    a, b = scene.rng.sample(range(1, 400), 2)
    is_larger = scene.rng.random() < 0.5
    word = scene.pick("larger" if is_larger else "smaller")
    question = scene.pick("question").format(word=word, a=a, b=b)
    c = max(a, b) if is_larger else min(a, b)
    step = f"{a} > {b}" if a > b else f"{a} < {b}"
    return Problem(scene.type, question, (step,), f"It is {c}.", c, scene.phrasing)


def sequence(scene: Scene) -> Problem:
    """The next number of an arithmetic sequence"""
    a, b = scene.rng.randint(1, 60), scene.rng.randint(1, 15)
    terms = [a + b * i for i in range(5)]
    question = scene.pick("question").format(terms=", ".join(map(str, terms[:4])))
    steps = (f"{terms[1]} - {terms[0]} = {b}", f"{terms[3]} + {b} = {terms[4]}")
    return Problem(scene.type, question, steps, f"Next is {terms[4]}.", terms[4], scene.phrasing)
