"""Write the data sets that ship with swiftkit.

    python tools/make_datasets.py

Everything is drawn with fixed seeds, so the files can be made again, byte for byte. An answer works the problem out in
words and equations, as tiny-math's pre-training does, and ends with a line that pre-training never has: `<<ans:…>>`.
The exams come first; no question of theirs stands in a training set, nor one that is nearly the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import problems
import problems_zh
import tone
from problems import Problem

FOLDER = Path(__file__).parent.parent / "datasets"
NEAR = 90  # two questions are nearly the same from this much likeness on, of 100 (rapidfuzz's ratio)

Made = Callable[[random.Random], Problem]


def drawn(types: Sequence[Any], module: Any, seed: int) -> Iterator[Problem]:
    """Problems without end, the types in turn."""
    r = random.Random(seed)
    return (module.make(type, r) for type in cycle(types))


def chosen(stream: Iterator[Problem], count: int, apart: Sequence[str], *, among: bool) -> list[Problem]:
    """`count` problems, every type as often as the others; none is near to `apart`, nor, with `among`, to another.

    A problem that is turned down is replaced by the next one of its type, so that types stay balanced.
    """
    kept: list[Problem] = []
    asked: list[str] = []
    wanted: str | None = None
    for problem in stream:
        if wanted not in (None, problem.type):
            continue
        if (
            problem.question in asked
            or tone.alike(problem.question, apart, NEAR)
            or (among and tone.alike(problem.question, asked, NEAR))
        ):
            wanted = problem.type
            continue
        wanted = None
        kept.append(problem)
        asked.append(problem.question)
        if len(kept) == count:
            break
    return kept


def marked(problem: Problem) -> dict[str, Any]:
    """The row of a data set: the question, and its solution with the answer in a marker."""
    answer = "\n".join([*problem.steps, f"<<ans:{problem.answer}>>"])
    turns = [{"role": "user", "content": problem.question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "type": problem.type}


def write(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """One data set as JSON lines."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def mathematics(module: Any, exam: int, train: int, small: int, seed: int) -> dict[str, list[Problem]]:
    """Exam, training set and small training set of a language."""
    types = module.KNOWN + module.NEW
    asked = chosen(drawn(types, module, seed), exam, [], among=True)
    apart = [problem.question for problem in asked]
    stream = drawn(types, module, seed + 1)
    rows = chosen(stream, train + small, apart, among=False)
    # Rows stand in the order in which they were drawn, which is by type: shuffled, any first rows are a fair sample.
    more, few = rows[:train], rows[train:]
    for number, part in enumerate((asked, more, few)):
        random.Random(seed + 2 + number).shuffle(part)
    return {"exam": asked, "sft": more, "small": few}


def main() -> None:
    """Write them all."""
    english = mathematics(problems, exam=200, train=1000, small=100, seed=1)
    write("math-exam", [marked(problem) for problem in english["exam"]])
    write("math-sft", [marked(problem) for problem in english["sft"]])
    write("math-sft-100", [marked(problem) for problem in english["small"]])
    chinese = mathematics(problems_zh, exam=100, train=300, small=0, seed=11)
    write("math-exam-zh", [marked(problem) for problem in chinese["exam"]])
    write("math-sft-zh", [marked(problem) for problem in chinese["sft"]])
    write("style-sft", tone.style_rows(300, seed=21))
    pairs = tone.preference_rows(300, seed=22, apart=[problem.question for problem in english["exam"]])
    random.Random(23).shuffle(pairs)
    write("prefs", pairs)


if __name__ == "__main__":
    main()
