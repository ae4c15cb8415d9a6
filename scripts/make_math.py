"""Write datasets/math-sft.jsonl and datasets/math-exam.jsonl: word problems of this project's own making.

    python scripts/make_math.py

Every problem is drawn from a template with a seed, so the files can be made again. No question of the exam
stands in the training set. Answers reason in a line or two and end with `<<ans:…>>`.
"""

import json
import random
from pathlib import Path

NAMES = ["Mia", "Omar", "Lena", "Tom", "Wei", "Sara", "Ivan", "Noor", "Paul", "Aiko", "Juan", "Ella"]
THINGS = ["apples", "pencils", "stamps", "marbles", "cards", "books", "shells", "coins", "stickers", "pears"]
PLACES = ["shelf", "box", "bag", "drawer", "basket", "tray"]


def buys(r):
    n, x, (a, b) = r.choice(NAMES), r.choice(THINGS), (r.randint(3, 60), r.randint(2, 40))
    return f"{n} has {a} {x} and gets {b} more. How many {x} does {n} have now?", f"{a} + {b} = {a + b}", a + b


def gives(r):
    n, x, b = r.choice(NAMES), r.choice(THINGS), r.randint(2, 40)
    a = b + r.randint(1, 50)
    return f"{n} has {a} {x} and gives {b} of them away. How many {x} are left?", f"{a} - {b} = {a - b}", a - b


def groups(r):
    x, p, (a, b) = r.choice(THINGS), r.choice(PLACES), (r.randint(2, 12), r.randint(2, 12))
    return f"There are {a} {x} on each {p}. How many {x} are on {b} of them?", f"{a} * {b} = {a * b}", a * b


def shares(r):
    x, (a, b) = r.choice(THINGS), (r.randint(2, 12), r.randint(2, 9))
    return f"{a * b} {x} are shared equally by {b} children. How many does each get?", f"{a * b} / {b} = {a}", a


def two_steps(r):
    n, x, (a, b) = r.choice(NAMES), r.choice(THINGS), (r.randint(2, 9), r.randint(2, 9))
    c = r.randint(1, 20)
    return (
        f"{n} buys {a} packs of {b} {x} and already has {c}. How many {x} does {n} have in all?",
        f"{a} * {b} = {a * b}\n{a * b} + {c} = {a * b + c}",
        a * b + c,
    )


def half(r):
    n, x, a = r.choice(NAMES), r.choice(THINGS), r.randint(2, 40)
    return (
        f"{n} has {2 * a} {x} and gives away half of them. How many {x} are left?",
        f"{2 * a} / 2 = {a}",
        a,
    )


KINDS = [buys, gives, groups, shares, two_steps, half]


def problems(count, seed, taken):
    """`count` problems with questions that are not in `taken`, which grows."""
    r = random.Random(seed)
    made = []
    while len(made) < count:
        question, steps, answer = KINDS[len(made) % len(KINDS)](r)
        if question not in taken:
            taken.add(question)
            made.append((question, f"{steps}\n<<ans:{answer}>>"))
    return made


def main():
    folder = Path(__file__).parent.parent / "datasets"
    taken = set()
    for name, count, seed in (("math-exam", 200, 1), ("math-sft", 1500, 2)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
            for question, answer in problems(count, seed, taken):
                turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
                stream.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
