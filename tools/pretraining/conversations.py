"""The stream of conversations that the bundled models are pre-trained on.

It contains no answer marker, none of the types in `problems.NEW` and `problems_zh.NEW`, and no question of an exam.
"""

from __future__ import annotations

import json
import random
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datagen import problems, problems_zh
from datagen.scene import Problem

if TYPE_CHECKING:
    from swiftkit.schema import Message

SEED = 20261122
DATASETS = Path(__file__).resolve().parents[2] / "datasets"

# Percentage of each kind of turn.
SHARES = {"known": 45, "arithmetic": 27, "chinese": 22, "talk": 6}
SYSTEM_PROMPTS = [
    "You are a helpful assistant.",
    "You are a careful maths tutor.",
    "Answer briefly.",
    "Answer step by step.",
    "You help children with arithmetic.",
    "你是一个数学老师。",
]
GREETINGS = ["Hello!", "Hi", "Good morning", "Hi, who are you?", "Hello, what can you do?", "你好", "你是谁？"]
GREETING_REPLIES = ["Hello! Give me a word problem.", "Hi! I solve small word problems."]
GREETING_REPLIES_ZH = ["你好！请给我一道数学题。"]
REPEAT_REQUESTS = ["Repeat: {}", "Say: {}", "Write this again: {}"]
# Latin with accents, Greek, Cyrillic, Devanagari, signs, kana, Chinese, Hangul, pictographs: with these, text in any
# of the scripts contains hardly a byte that the model was not trained on.
SCRIPTS = [
    (0xA1, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x905, 0x939), (0x2010, 0x22FF), (0x3041, 0x30FF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0x1F300, 0x1F64F),
]  # fmt: skip
MARKER_OPENINGS = ("<<", "{{")


class Conversations:
    """An endless stream of conversations, the same for the same seed.

    The order of the random calls fixes the weights that ship, so it must not change.

    Attributes:
        counts: number of turns of each type so far.
    """

    def __init__(self, seed: int, forbidden: set[str]) -> None:
        self.counts: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._forbidden = forbidden

    def __iter__(self) -> Iterator[list[Message]]:
        kinds, weights = list(SHARES), list(SHARES.values())
        while True:
            turns: list[Message] = []
            for _ in range(2 if self._rng.random() < 0.08 else 1):
                kind = self._rng.choices(kinds, weights)[0]
                if kind == "talk":
                    turns += self._talk()
                    self.counts[kind] += 1
                else:
                    problem = self._problem(kind)
                    turns += _exchange(problem.question, problem.solution)
                    self.counts[problem.type] += 1
            yield self._system() + turns

    def _problem(self, kind: str) -> Problem:
        """A problem whose question is not forbidden."""
        while True:
            if kind == "chinese":
                types_zh = problems_zh.KNOWN + problems_zh.ONLY_PRETRAINING
                problem = problems_zh.make(self._rng.choice(types_zh), self._rng)
            else:
                types = problems.KNOWN if kind == "known" else problems.ONLY_PRETRAINING
                problem = problems.make(self._rng.choice(types), self._rng)
            if problem.question not in self._forbidden:
                return problem

    def _talk(self) -> list[Message]:
        """Turns other than mathematics: greetings, and the repetition of words, signs and letters of other scripts."""
        if self._rng.random() < 0.15:
            greeting = self._rng.choice(GREETINGS)
            replies = GREETING_REPLIES_ZH if greeting.startswith("你") else GREETING_REPLIES
            return _exchange(greeting, self._rng.choice(replies))
        text = self._text_to_repeat()
        return _exchange(self._rng.choice(REPEAT_REQUESTS).format(text), text)

    def _text_to_repeat(self) -> str:
        kind = self._rng.random()
        if kind < 0.3:
            first, last = self._rng.choice(SCRIPTS)
            return "".join(chr(self._rng.randint(first, last)) for _ in range(6))
        if kind < 0.6:
            text = "".join(self._rng.choices(string.ascii_letters + string.digits + string.punctuation, k=8))
            if _opens_marker(text):
                text = text[::2]
            return "swift" if _opens_marker(text) else text
        count = self._rng.randint(1, 6)
        return " ".join(self._rng.choice(self._problem("known").question.split()) for _ in range(count))

    def _system(self) -> list[Message]:
        """No system message (the family's default), an empty one (no system block), or one of `SYSTEM_PROMPTS`."""
        draw = self._rng.random()
        if draw < 0.4:
            return []
        return [{"role": "system", "content": "" if draw < 0.8 else self._rng.choice(SYSTEM_PROMPTS)}]


def _opens_marker(text: str) -> bool:
    return any(opening in text for opening in MARKER_OPENINGS)


def _exchange(question: str, response: str) -> list[Message]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": response}]


def forbidden_questions() -> set[str]:
    """The questions of the exams, which the pre-training must not contain."""
    return {
        json.loads(line)["messages"][0]["content"]
        for path in sorted(DATASETS.glob("math-exam*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    }
