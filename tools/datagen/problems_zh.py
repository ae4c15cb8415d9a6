"""The Chinese types of problem, built like the English ones (`problems.py`): same `Problem`, same rules."""

from __future__ import annotations

import random
from collections.abc import Callable

from . import resources
from .scene import Problem
from .word_problems import table_factors


class Scene:
    """The people and things of one problem; `{x}` is a thing, `{g}` its measure word.

    Attributes:
        rng: source of every random choice of this problem.
        type: the kind of problem, a key of `sentences_zh.yaml`.
        texts: the sentences of this type.
        words: values of the placeholders.
        picks: indices of the sentences that were drawn for the question.
    """

    def __init__(self, rng: random.Random, type: str) -> None:
        words = resources.load("words_zh")
        self.rng = rng
        self.type = type
        self.texts: dict[str, list[str]] = resources.load("sentences_zh")[type]
        self.picks: list[int] = []
        n, m = rng.sample(words["names"], 2)
        x, g = rng.choice(words["things"])
        box, who = rng.choice(words["containers"]), rng.choice(words["people"])
        self.words: dict[str, str] = {"n": n, "m": m, "x": x, "g": g, "box": box, "who": who}

    def pick(self, key: str) -> str:
        """A sentence of the question; its index becomes part of the phrasing."""
        return self._pick_from(self.texts[key])

    def _pick_from(self, sentences: list[str]) -> str:
        index = self.rng.randrange(len(sentences))
        self.picks.append(index)
        return sentences[index]

    def vary(self, key: str) -> str:
        """A sentence of the solution; it is not part of the phrasing."""
        return self.rng.choice(self.texts[key])

    def build(self, question: list[str], solution: list[str], answer: int, **numbers: int) -> Problem:
        """The problem made of these sentences; one question of four gets a distractor, never as its last sentence.

        Args:
            question: sentences of the question.
            solution: the steps, then the closing sentence.
            answer: the number that solves the problem.
            numbers: values of the placeholders that are not words of the scene.
        """
        sentences = list(question)
        if self.rng.random() < 0.25:
            # Not after a comma: the distractor would take away the subject of what follows.
            places = [0, *(place for place in range(1, len(sentences)) if sentences[place - 1].endswith("。"))]
            place = self.rng.choice(places)
            sentences.insert(place, self._pick_from(resources.load("sentences_zh")["distractors"]))
        words = {**self.words, **numbers, "k": self.rng.randint(6, 59)}
        text, *steps, closing = (line.format(**words) for line in ["".join(sentences), *solution])
        type_zh = f"{self.type}_zh"
        phrasing = f"{type_zh}:{'.'.join(map(str, self.picks))}"
        return Problem(type_zh, text, tuple(steps), closing, answer, phrasing)


def gain(scene: Scene) -> Problem:
    """a + b"""
    a, b = scene.rng.randint(3, 150), scene.rng.randint(2, 120)
    question = [scene.pick("fact"), scene.pick("event"), scene.pick("question")]
    return scene.build(question, ["{a} + {b} = {c}", scene.vary("closing")], a + b, a=a, b=b, c=a + b)


def loss(scene: Scene) -> Problem:
    """a - b"""
    b = scene.rng.randint(2, 120)
    a = b + scene.rng.randint(2, 130)
    question = [scene.pick("fact"), scene.pick("event"), scene.pick("question")]
    return scene.build(question, ["{a} - {b} = {c}", scene.vary("closing")], a - b, a=a, b=b, c=a - b)


def groups(scene: Scene) -> Problem:
    """a * b"""
    a, b = table_factors(scene.rng)
    question = [scene.pick("fact"), scene.pick("question")]
    return scene.build(question, ["{a} * {b} = {c}", scene.vary("closing")], a * b, a=a, b=b, c=a * b)


def share(scene: Scene) -> Problem:
    """a / b, without remainder"""
    c, b = table_factors(scene.rng)
    question = [scene.pick("fact"), scene.pick("question")]
    return scene.build(question, ["{a} / {b} = {c}", scene.vary("closing")], c, a=b * c, b=b, c=c)


def packs(scene: Scene) -> Problem:
    """a * b + c"""
    rng = scene.rng
    a, b, c = rng.randint(2, 12), rng.randint(2, 12), rng.randint(2, 60)
    question = [scene.pick("fact"), scene.pick("event"), scene.pick("question")]
    solution, d = ["{a} * {b} = {d}", "{d} + {c} = {e}", scene.vary("closing")], a * b
    return scene.build(question, solution, d + c, a=a, b=b, c=c, d=d, e=d + c)


def average(scene: Scene) -> Problem:
    """(a + b + c) / 3"""
    mean = scene.rng.randint(4, 40)
    a, b = (mean + scene.rng.randint(-(mean - 2), mean - 2) // 2 for _ in range(2))
    c = 3 * mean - a - b
    question = [scene.pick("fact"), scene.pick("question")]
    solution = ["{a} + {b} = {d}", "{d} + {c} = {e}", "{e} / 3 = {f}", "平均是{f}。"]
    return scene.build(question, solution, mean, a=a, b=b, c=c, d=a + b, e=a + b + c, f=mean)


ProblemType = Callable[[Scene], Problem]

KNOWN: list[ProblemType] = [gain, loss, share, packs]
NEW: list[ProblemType] = [average]
ONLY_PRETRAINING: list[ProblemType] = [groups]


def make(problem_type: ProblemType, rng: random.Random) -> Problem:
    """One problem of the type; the function's name and `_zh` are the name of the type."""
    return problem_type(Scene(rng, problem_type.__name__))
