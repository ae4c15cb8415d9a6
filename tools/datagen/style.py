"""Rows of the data set `style-sft`, which teaches a style.

A row is a message to a small shop and the reply of the person who looks after its customers. There is no correct
answer. All replies have the same voice: a name, thanks that refer to the message, plain words in short sentences, one
next step, and the same signature. Words and sentences are in `style.yaml`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

from . import resources
from .similarity import NEAR_MESSAGE, is_near_any

SIGNATURE = "– Robin, Juniper Supplies"


class Noun(str):
    """A noun; the placeholder `{thing.a}` is the noun with its article."""

    @property
    def a(self) -> str:
        """The noun with its indefinite article."""
        return f"{'an' if self[0] in 'aeiou' else 'a'} {self}"


class Weekday(str):
    """A day of the week; the placeholder `{soon.hours}` is when the shop is open."""

    @property
    def hours(self) -> str:
        """Opening hours on this day."""
        return "open from ten to four" if self == "Saturday" else "open from nine to six"


@dataclass(frozen=True)
class Subject:
    """A reason to write, and the replies to it.

    Attributes:
        messages: texts of messages, each with what the reply thanks for.
        answers: first sentences of a reply.
        steps: what happens next.
        mood: selects the greetings and endings of the messages.
    """

    messages: dict[str, str]
    answers: tuple[str, ...]
    steps: tuple[str, ...]
    mood: str


@cache
def load_subjects() -> tuple[Subject, ...]:
    """The subjects in the order of `style.yaml`."""
    return tuple(
        Subject(
            {message["text"]: message["thanks"] for message in subject["messages"]},
            tuple(subject["answers"]),
            tuple(subject["steps"]),
            subject.get("mood", "asking"),
        )
        for subject in resources.load("style")["subjects"].values()
    )


def draw_words(rng: random.Random) -> dict[str, str]:
    """Values of the placeholders of one message and its reply.

    `{day}` and `{date}` are past, `{soon}` is to come; `{other}` is a second thing, `{other_color}` a second color,
    `{m}` a second person. A garment of `{size}` that is `{fit}` has to be exchanged for `{new_size}`.
    """
    words, names = resources.load("style")["words"], resources.load("words")
    n, m = rng.sample(names["female_names"] + names["male_names"], 2)
    thing, other = rng.sample(words["things"], 2)
    color, other_color = rng.sample(words["colors"], 2)
    day, soon = rng.sample(words["weekdays"], 2)
    fit, step = rng.choice(words["fits"])
    size = rng.randrange(3) if step > 0 else rng.randrange(1, 4)
    return {
        "n": n,
        "surname": rng.choice(words["surnames"]),
        "m": m,
        "thing": Noun(thing),
        "other": Noun(other),
        "fragile_thing": Noun(rng.choice(words["fragile_things"])),
        "damage": rng.choice(words["damages"]),
        "garment": Noun(rng.choice(words["garments"])),
        "fit": fit,
        "size": Noun(words["sizes"][size]),
        "new_size": Noun(words["sizes"][size + step]),
        "color": color,
        "other_color": other_color,
        "order": f"JS-{rng.randint(10000, 99999)}",
        "day": day,
        "soon": Weekday(soon),
        "date": f"{rng.randint(1, 28)} {rng.choice(words['months'])}",
        "relative": rng.choice(words["relatives"]),
        "amount": f"€{rng.randint(12, 89)}.{rng.choice(['00', '50', '90'])}",
        "street": f"{rng.randint(2, 98)} {rng.choice(words['streets'])}",
        "company": rng.choice(words["companies"]),
        "code": rng.choice(words["codes"]),
        "country": rng.choice(words["countries"]),
    }


def placeholders(text: str) -> set[str]:
    """Names of the placeholders in a text, without their attributes."""
    return {name.split(".")[0] for _, name, _, _ in Formatter().parse(text) if name}


def is_suitable(sentence: str, known: set[str]) -> bool:
    """Whether a sentence of a reply uses only placeholders of the message (`known`) and requests none of them."""
    requests: dict[str, str] = resources.load("style")["requests"]
    requested = {name for name, phrase in requests.items() if phrase in sentence}
    return placeholders(sentence) <= known and not requested & known


def draw_exchange(subject: Subject, text: str, rng: random.Random) -> tuple[str, str, str]:
    """The filled text without greeting and name, the whole message, and the reply."""
    style, words = resources.load("style"), draw_words(rng)
    is_hasty = not text[0].isupper()
    opening = "" if is_hasty else rng.choice(style["openings"][subject.mood])
    ending = rng.choice(style["endings"]["haste" if is_hasty else subject.mood])
    known = placeholders(text) | placeholders(ending)
    answer, step = (
        rng.choice([sentence for sentence in sentences if is_suitable(sentence, known)])
        for sentences in (subject.answers, subject.steps)
    )
    greeting = "Hi {n}," if "n" in known else "Hi there,"
    reply = f"{greeting} thank you for {subject.messages[text]}. {answer} {step}\n{SIGNATURE}".format(**words)
    body, message = (template.format(**words) for template in (text, opening + text + ending))
    return (body.lower(), message.lower(), reply) if is_hasty else (body, message, reply)


def style_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of `style-sft`. Every message text is used once before one of them is used again with other words.

    Raises:
        ValueError: there are fewer than `count` messages that differ sufficiently.
    """
    rng = random.Random(seed)
    texts = [(subject, text) for subject in load_subjects() for text in subject.messages]
    rows: list[dict[str, Any]] = []
    bodies: list[str] = []
    messages: list[str] = []
    while len(rows) < count:
        before = len(rows)
        rng.shuffle(texts)
        for subject, text in texts:
            body, message, reply = draw_exchange(subject, text, rng)
            is_duplicate = is_near_any(body, bodies, NEAR_MESSAGE) or is_near_any(message, messages, NEAR_MESSAGE)
            if len(rows) == count or is_duplicate:
                continue
            bodies.append(body)
            messages.append(message)
            rows.append({"messages": [{"role": "user", "content": message}, {"role": "assistant", "content": reply}]})
        if len(rows) == before:
            raise ValueError(f"{count} messages are required, but only {before} differ sufficiently")
    return rows
