"""One English word problem, and the scene that it is about: names, things, units and the sentences that use them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from . import resources


@dataclass(frozen=True)
class Problem:
    """One question with its solution.

    Attributes:
        type: the kind of problem, for instance `average`.
        question: one paragraph.
        steps: lines with the equations.
        closing: a sentence that states the answer.
        answer: the number that solves the problem.
        phrasing: which sentences were drawn; two problems with the same phrasing differ in names, things and numbers.
    """

    type: str
    question: str
    steps: tuple[str, ...]
    closing: str
    answer: int
    phrasing: str = ""

    @property
    def solution(self) -> str:
        """Steps and closing sentence, one per line."""
        return "\n".join([*self.steps, self.closing])


class Scene:
    """The people, things and units of one problem.

    Placeholders of the sentences: `{n}` is a name, `{he}` and `{his}` are its pronouns, `{m}` is another name, `{x}`
    things, `{box}` and `{boxes}` their container, `{who}` several people, `{good}` and `{goods}` an article for sale.

    Attributes:
        rng: source of every random choice of this problem.
        type: the kind of problem, a key of `sentences.yaml`.
        texts: the sentences of this type.
        words: values of the placeholders.
        picks: indices of the sentences that were drawn for the question.
    """

    def __init__(self, rng: random.Random, type: str) -> None:
        words = resources.load("words")
        self.rng = rng
        self.type = type
        self.texts: dict[str, Any] = resources.load("sentences")[type]
        self.picks: list[int] = []
        is_female = rng.random() < 0.5
        names, other_names = words["female_names"], words["male_names"]
        if not is_female:
            names, other_names = other_names, names
        name, other_name = rng.choice(names), rng.choice(other_names)
        box, boxes = rng.choice(words["containers"])
        good = rng.choice(words["goods"])
        goods = good + ("es" if good.endswith("ch") else "s")
        self.currency: list[str] = rng.choice(words["currencies"])
        self.words: dict[str, str] = {
            "n": name,
            "m": other_name,
            "he": "she" if is_female else "he",
            "He": "She" if is_female else "He",
            "his": "her" if is_female else "his",
            "x": rng.choice(words["things"]),
            "box": box,
            "boxes": boxes,
            "who": rng.choice(words["people"]),
            "good": good,
            "goods": goods,
            "Goods": goods.capitalize(),
        }

    def money(self, amount: int) -> str:
        """An amount in the currency of this problem."""
        return f"{self.currency[0]}{amount}{self.currency[1]}"

    def pick(self, key: str) -> str:
        """A sentence of the question; its index becomes part of the phrasing."""
        index = self.rng.randrange(len(self.texts[key]))
        self.picks.append(index)
        sentence: str = self.texts[key][index]
        return sentence

    def vary(self, key: str) -> str:
        """A sentence of the solution; it is not part of the phrasing."""
        sentence: str = self.rng.choice(self.texts[key])
        return sentence

    def draw_short(self) -> bool:
        """Whether this question is a single sentence that contains the facts; true for one question of three."""
        index = self.rng.randrange(3)
        self.picks.append(index)
        return index == 2

    def draw_measured_thing(self) -> None:
        """Replace the things by an amount with a unit, for one problem of four."""
        if self.rng.random() < 0.25:
            self.words["x"] = self.rng.choice(resources.load("words")["measured_things"])

    def fill(self, sentence: str, **values: object) -> str:
        """The sentence with words and numbers in place of its placeholders."""
        return sentence.format(**{**self.words, **values})

    @property
    def phrasing(self) -> str:
        """Type and picks as one text."""
        return f"{self.type}:{'.'.join(map(str, self.picks))}"

    def build(
        self, question: list[str], solution: list[str], answer: int, *, movable: int = 0, **values: object
    ) -> Problem:
        """The problem made of these sentences. One question of four gets a distractor, never as its last sentence.

        Args:
            question: sentences of the question.
            solution: the steps, then the closing sentence.
            answer: the number that solves the problem.
            movable: number of leading sentences of the question whose order may change.
            values: values of the placeholders that are not words of the scene.
        """
        sentences = list(question)
        if movable and self.rng.random() < 0.5:
            head = sentences[:movable]
            self.rng.shuffle(head)
            sentences[:movable] = head
            self.picks.append(question.index(head[0]))
        if self.rng.random() < 0.25:
            distractors = resources.load("sentences")["distractors"]
            index = self.rng.randrange(len(distractors))
            sentences.insert(self.rng.randrange(len(sentences)), distractors[index])
            self.picks.append(100 + index)
        values["k"] = self.rng.randint(6, 59)
        text = " ".join(self.fill(sentence, **values) for sentence in sentences)
        *steps, closing = (self.fill(line, **values) for line in solution)
        return Problem(self.type, text, tuple(steps), closing, answer, self.phrasing)
