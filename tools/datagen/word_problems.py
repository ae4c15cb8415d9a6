"""English types of problem that the exam contains: seven that tiny-math is pre-trained on, and three that it is not.

A type is a function that draws numbers and sentences from a scene. The order of the random calls fixes the shipped
data, so it must not change.
"""

from __future__ import annotations

import random

from .scene import Problem, Scene


def table_factors(rng: random.Random) -> tuple[int, int]:
    """Two factors: of a multiplication table, or a number with two digits and one with a single digit."""
    return (rng.randint(2, 12), rng.randint(2, 12)) if rng.random() < 0.7 else (rng.randint(11, 40), rng.randint(2, 9))


# --- types that tiny-math is pre-trained on ---------------------------------------------------------------------------


def gain(scene: Scene) -> Problem:
    """a + b"""
    a, b = scene.rng.randint(3, 150), scene.rng.randint(2, 120)
    scene.draw_measured_thing()
    question = [scene.pick("fact"), scene.pick("event"), scene.pick("question")]
    if scene.draw_short():
        question = [scene.pick("short")]
    solution = [scene.vary("step"), scene.vary("closing")]
    return scene.build(question, solution, a + b, a=a, b=b, c=a + b)


def loss(scene: Scene) -> Problem:
    """a - b"""
    b = scene.rng.randint(2, 120)
    a = b + scene.rng.randint(2, 130)
    scene.draw_measured_thing()
    question = [scene.pick("fact"), scene.pick("event"), scene.pick("question")]
    if scene.draw_short():
        question = [scene.pick("short")]
    solution = [scene.vary("step"), scene.vary("closing")]
    return scene.build(question, solution, a - b, a=a, b=b, c=a - b)


def groups(scene: Scene) -> Problem:
    """a * b"""
    a, b = table_factors(scene.rng)
    question = [scene.pick("fact"), scene.pick("question")]
    solution = [scene.vary("step"), scene.vary("closing")]
    return scene.build(question, solution, a * b, a=a, b=b, c=a * b)


def share(scene: Scene) -> Problem:
    """a / b, without remainder"""
    c, b = table_factors(scene.rng)
    question = [scene.pick("fact"), scene.pick("question")]
    solution = [scene.vary("step"), scene.vary("closing")]
    return scene.build(question, solution, c, a=b * c, b=b, c=c)


def packs(scene: Scene) -> Problem:
    """a * b + c"""
    rng = scene.rng
    a, b, c = rng.randint(2, 12), rng.randint(2, 12), rng.randint(2, 60)
    question = [scene.pick("fact"), scene.pick("event"), scene.pick("question")]
    solution = [scene.vary("first_step"), scene.vary("second_step"), scene.vary("closing")]
    d, e = a * b, a * b + c
    return scene.build(question, solution, e, movable=2, a=a, b=b, c=c, d=d, e=e)


def change(scene: Scene) -> Problem:
    """c - a * b, in money"""
    a, b = scene.rng.randint(2, 9), scene.rng.randint(2, 12)
    c = a * b + scene.rng.randint(2, 60)
    price, purchase, payment = scene.pick("price"), scene.pick("purchase"), scene.pick("payment")
    question, movable = [price, f"{purchase} {payment}"], 0
    if not scene.draw_short():
        question, movable = [scene.pick("budget"), price, f"{purchase}.", scene.pick("question")], 2
    solution = [scene.vary("first_step"), scene.vary("second_step"), scene.vary("closing")]
    d, e = a * b, c - a * b
    amounts = {"B": scene.money(b), "C": scene.money(c), "E": scene.money(e)}
    return scene.build(question, solution, e, movable=movable, a=a, b=b, c=c, d=d, e=e, **amounts)


def fewer(scene: Scene) -> Problem:
    """a + (a - b) or a + (a + b)"""
    rng = scene.rng
    is_less = rng.random() < 0.5
    b = rng.randint(2, 40)
    a = b + rng.randint(2, 60) if is_less else rng.randint(3, 80)
    question = [scene.pick("fact"), scene.pick("comparison")]
    scene.picks.append(int(is_less))
    question.append(scene.pick("question"))
    more, sign, c = ("fewer", "-", a - b) if is_less else ("more", "+", a + b)
    solution = [scene.vary("first_step"), scene.vary("second_step"), scene.vary("closing")]
    return scene.build(question, solution, a + c, a=a, b=b, c=c, d=a + c, more=more, sign=sign)


# --- types that tiny-math is not pre-trained on; each combines operations that it knows -------------------------------


def average(scene: Scene) -> Problem:
    """(a + b + c) / 3"""
    mean = scene.rng.randint(4, 40)
    a, b = (mean + scene.rng.randint(-(mean - 2), mean - 2) // 2 for _ in range(2))
    c = 3 * mean - a - b
    question = [scene.pick("fact"), scene.pick("question")]
    solution = ["{a} + {b} = {d}", "{d} + {c} = {e}", "{e} / 3 = {f}", "The average is {f}."]
    return scene.build(question, solution, mean, a=a, b=b, c=c, d=a + b, e=a + b + c, f=mean)


def perimeter(scene: Scene) -> Problem:
    """2 * (a + b)"""
    a, b = scene.rng.randint(3, 45), scene.rng.randint(2, 40)
    shape = scene.vary("shapes")
    unit = "feet" if shape in ("carpet", "table") else "metres"
    fact, question = scene.pick("fact"), scene.pick("question")
    # The sum names the sides in the order of the fact; this one starts with the width.
    sides = "{b} + {a} = {c}" if fact.startswith("A rectangular") else "{a} + {b} = {c}"
    solution, c = [sides, "2 * {c} = {d}", "The perimeter is {d}."], a + b
    return scene.build([fact, question], solution, 2 * c, a=a, b=b, c=c, d=2 * c, shape=shape, unit=unit)


def rest(scene: Scene) -> Problem:
    """(a - b) / c, without remainder"""
    rng = scene.rng
    q, c = rng.randint(2, 15), rng.randint(2, 9)
    b = rng.randint(3, 90)
    a = b + q * c
    index = rng.randrange(len(scene.texts["tasks"]))
    scene.picks.append(index)
    task = scene.texts["tasks"][index]
    event = scene.pick("event").format(done=task["done"], pace=task["pace"])
    question = [task["fact"], event, scene.pick("question")]
    solution = ["{a} - {b} = {d}", "{d} / {c} = {q}", "That takes {q} {unit}."]
    price, saved, rate = scene.money(a), scene.money(b), scene.money(c)
    numbers = {"a": a, "b": b, "c": c, "d": a - b, "q": q}
    return scene.build(question, solution, q, unit=task["unit"], A=price, B=saved, C=rate, **numbers)
