"""Elementary word problems in Chinese, made like those in English (`problems.py`): same `Problem`, same rules."""

from __future__ import annotations

import random
from collections.abc import Callable

from problems import Problem

NAMES = "小明 小红 小丽 小刚 小华 小芳 小军 小林 小燕 小强 小美 小云".split()
# What is counted, and its measure word.
THINGS = "苹果/个 梨/个 铅笔/支 邮票/张 卡片/张 书/本 鸡蛋/个 气球/个 糖/颗 橘子/个 本子/本 照片/张".split()
BOXES = ["盒", "箱", "袋", "包", "筐"]
PEOPLE = ["小朋友", "同学", "学生", "孩子"]
DISTRACTORS = ["{n}今年{k}岁。", "教室里有{k}把椅子。", "{m}家住{k}号。", "车票{k}元。", "学校有{k}扇窗户。"]


class World:
    """The people and things of one problem; `{x}` a thing, `{g}` its measure word."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        n, m = r.sample(NAMES, 2)
        x, g = r.choice(THINGS).split("/")
        self.words = {"n": n, "m": m, "x": x, "g": g, "box": r.choice(BOXES), "who": r.choice(PEOPLE)}
        self.chosen: list[int] = []

    def one(self, *sentences: str) -> str:
        """One of the sentences; which one is part of the phrasing."""
        index = self.r.randrange(len(sentences))
        self.chosen.append(index)
        return sentences[index]

    def problem(
        self, type: str, sentences: list[str], steps: list[str], closing: str, answer: int, **numbers: int
    ) -> Problem:
        """Put sentences together, one time in four with a number before or between them that is not needed."""
        said = list(sentences)
        if self.r.random() < 0.25:
            # Not where a sentence goes on: behind a comma it would take the subject away from what follows.
            places = [0, *(place for place in range(1, len(said)) if said[place - 1].endswith("。"))]
            said.insert(self.r.choice(places), self.one(*DISTRACTORS))
        words = {**self.words, **numbers, "k": self.r.randint(6, 59)}
        text, *lines, last = (line.format(**words) for line in ["".join(said), *steps, closing])
        return Problem(type, text, tuple(lines), last, answer, f"{type}:{'.'.join(map(str, self.chosen))}")


def gain(r: random.Random, w: World) -> Problem:
    """a + b"""
    a, b = r.randint(3, 150), r.randint(2, 120)
    first = w.one("{n}有{a}{g}{x}，", "{n}早上有{a}{g}{x}，", "{n}原来有{a}{g}{x}，")
    then = w.one("{m}又给了{b}{g}。", "后来又买了{b}{g}。", "下午又得到{b}{g}。")
    ask = w.one("现在一共有多少{g}{x}？", "{n}现在有多少{g}{x}？", "合起来是多少{g}？")
    closing = r.choice(["一共有{c}{g}{x}。", "答案是{c}。"])
    return w.problem("gain_zh", [first, then, ask], ["{a} + {b} = {c}"], closing, a + b, a=a, b=b, c=a + b)


def loss(r: random.Random, w: World) -> Problem:
    """a - b"""
    b = r.randint(2, 120)
    a = b + r.randint(2, 130)
    first = w.one("{n}有{a}{g}{x}，", "{n}带来了{a}{g}{x}，", "桌上有{a}{g}{x}，")
    then = w.one("给了{m}{b}{g}。", "送掉了{b}{g}。", "{m}拿走了{b}{g}。")
    ask = w.one("还剩多少{g}{x}？", "现在还有多少{g}？", "剩下多少{g}{x}？")
    closing = r.choice(["还剩{c}{g}{x}。", "答案是{c}。"])
    return w.problem("loss_zh", [first, then, ask], ["{a} - {b} = {c}"], closing, a - b, a=a, b=b, c=a - b)


def _table(r: random.Random) -> tuple[int, int]:
    return (r.randint(2, 12), r.randint(2, 12)) if r.random() < 0.7 else (r.randint(11, 40), r.randint(2, 9))


def groups(r: random.Random, w: World) -> Problem:
    """a * b"""
    a, b = _table(r)
    first = w.one("每{box}有{a}{g}{x}，", "{n}在每{box}里放{a}{g}{x}，", "一{box}装{a}{g}{x}，")
    ask = w.one("{b}{box}一共有多少{g}{x}？", "{b}{box}有多少{g}？")
    closing = r.choice(["一共有{c}{g}{x}。", "答案是{c}。"])
    return w.problem("groups_zh", [first, ask], ["{a} * {b} = {c}"], closing, a * b, a=a, b=b, c=a * b)


def share(r: random.Random, w: World) -> Problem:
    """a / b, without remainder"""
    c, b = _table(r)
    first = w.one(
        "把{a}{g}{x}平均分给{b}个{who}，", "{n}有{a}{g}{x}，平均分给{b}个{who}，", "{b}个{who}平分{a}{g}{x}，"
    )
    ask = w.one("每人分到多少{g}？", "每个人得到多少{g}{x}？", "每人有多少{g}{x}？")
    closing = r.choice(["每人分到{c}{g}。", "答案是{c}。"])
    return w.problem("share_zh", [first, ask], ["{a} / {b} = {c}"], closing, c, a=b * c, b=b, c=c)


def packs(r: random.Random, w: World) -> Problem:
    """a * b + c"""
    a, b, c = r.randint(2, 12), r.randint(2, 12), r.randint(2, 60)
    first = w.one("{n}已经有{c}{g}{x}，", "{n}家里有{c}{g}{x}，")
    then = w.one("又买了{a}{box}，每{box}{b}{g}。", "{m}又送来{a}{box}，每{box}有{b}{g}。")
    ask = w.one("一共有多少{g}{x}？", "现在共有多少{g}？")
    closing = r.choice(["一共有{e}{g}{x}。", "答案是{e}。"])
    d = a * b
    steps = ["{a} * {b} = {d}", "{d} + {c} = {e}"]
    return w.problem("packs_zh", [first, then, ask], steps, closing, d + c, a=a, b=b, c=c, d=d, e=d + c)


def average(r: random.Random, w: World) -> Problem:
    """(a + b + c) / 3"""
    mean = r.randint(4, 40)
    a, b = (mean + r.randint(-(mean - 2), mean - 2) // 2 for _ in range(2))
    c = 3 * mean - a - b
    first = w.one(
        "{n}三天分别得到{a}、{b}和{c}{g}{x}。",
        "三{box}分别有{a}、{b}和{c}{g}{x}。",
        "{n}、{m}和老师分别有{a}、{b}和{c}{g}{x}。",
    )
    ask = w.one("平均是多少{g}？", "平均数是多少？", "求平均数。")
    steps = ["{a} + {b} = {d}", "{d} + {c} = {e}", "{e} / 3 = {f}"]
    numbers = {"a": a, "b": b, "c": c, "d": a + b, "e": a + b + c, "f": mean}
    return w.problem("average_zh", [first, ask], steps, "平均是{f}。", mean, **numbers)


Type = Callable[[random.Random, World], Problem]
KNOWN: list[Type] = [gain, loss, share, packs]
NEW: list[Type] = [average]
ONLY_PRETRAINING: list[Type] = [groups]


def make(type: Type, r: random.Random) -> Problem:
    """One problem of the type."""
    return type(r, World(r))
