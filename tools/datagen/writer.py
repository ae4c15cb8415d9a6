"""The files of the data sets that ship with swiftkit, written with fixed seeds: the same bytes every time.

A response solves the problem in words and equations, as in the pre-training of tiny-math, and ends with a line that
the pre-training never contains: `<<ans:…>>`. The exams are drawn first; no training set contains one of their
questions or a near-duplicate of one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import math_rows, preferences, problems, problems_zh, style

FOLDER = Path(__file__).resolve().parents[2] / "datasets"


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write one data set as JSON lines."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_all(folder: Path = FOLDER) -> None:
    """Write the files of all data sets to `folder`, which must exist."""
    english = math_rows.build_sets(problems, exam=200, train=1000, small_train=100, seed=1)
    chinese = math_rows.build_sets(problems_zh, exam=100, train=300, small_train=0, seed=11)
    for name, selected in (
        ("math-exam", english.exam),
        ("math-sft", english.train),
        ("math-sft-100", english.small_train),
        ("math-exam-zh", chinese.exam),
        ("math-sft-zh", chinese.train),
    ):
        write_jsonl(folder / f"{name}.jsonl", [math_rows.to_row(problem) for problem in selected])
    write_jsonl(folder / "style-sft.jsonl", style.style_rows(300, seed=21))
    pairs = preferences.preference_rows(300, seed=22, excluded=[problem.question for problem in english.exam])
    random.Random(23).shuffle(pairs)
    write_jsonl(folder / "prefs.jsonl", pairs)
