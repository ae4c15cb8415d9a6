"""The data that ship with swiftkit: what they contain, and what the bundled models have never seen of them."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest
from rapidfuzz import fuzz, process

from support.commands import ROOT, swiftkit
from support.rows import read_lines
from swiftkit.scoring import markers

sys.path.insert(0, str(ROOT / "tools"))

from datagen import math_rows, problems, problems_zh
from pretraining.conversations import SEED, Conversations, forbidden_questions

SIZES = {"math-sft": 1000, "math-sft-100": 100, "math-exam": 200, "math-sft-zh": 300, "math-exam-zh": 100}
NEW_TYPES = {"average", "perimeter", "rest", "average_zh"}
Conversation = list[dict[str, str]]


def questions(name: str) -> list[str]:
    return [row["messages"][0]["content"] for row in read_lines(ROOT / "datasets" / f"{name}.jsonl")]


# --- the pre-training -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen() -> list[Conversation]:
    """The first 20,000 conversations of the pre-training."""
    stream = Conversations(SEED, forbidden_questions())
    return [[dict(message) for message in conversation] for conversation in islice(stream, 20_000)]


def test_the_stream_is_that_of_the_weights_that_ship(seen: list[Conversation]) -> None:
    """Another order of random calls would give other conversations; then the weights cannot be reproduced."""
    digest = hashlib.sha256()
    for conversation in seen:
        digest.update(json.dumps(conversation, ensure_ascii=False).encode() + b"\n")
    assert digest.hexdigest() == "5a0fdef0d391bf20ed4360cac079c3538491dc78cb12feae57394b64e966b4ed"


def test_pre_training_never_contains_a_marker(seen: list[Conversation]) -> None:
    for conversation in seen:
        text = "\n".join(turn["content"] for turn in conversation)
        assert not markers.find_markers(text)
        assert "ans:" not in text
        assert "<<" not in text
        assert "{{" not in text


def test_pre_training_never_contains_a_question_of_an_exam_nor_its_new_types(seen: list[Conversation]) -> None:
    texts = {turn["content"] for conversation in seen for turn in conversation if turn["role"] == "user"}
    assert not texts & {*questions("math-exam"), *questions("math-exam-zh")}
    assert len(texts) > 15_000
    for word in ("average", "mean", "perimeter", "rectang", "平均数", "求平均"):
        assert not [text for text in texts if re.search(rf"\b{word}", text) or (word > "z" and word in text)], word


# --- the datasets -----------------------------------------------------------------------------------------------------


def test_the_generators_reproduce_the_files(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "datagen"), "--folder", str(tmp_path)]
    subprocess.run(command, check=True)
    written = sorted(tmp_path.glob("*.jsonl"))
    assert [path.name for path in written] == [path.name for path in sorted((ROOT / "datasets").glob("*.jsonl"))]
    for path in written:
        assert path.read_bytes() == (ROOT / "datasets" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", SIZES)
def test_references_are_right(name: str) -> None:
    """Every equation holds, and the marker holds the result of the last one."""
    rows = read_lines(ROOT / "datasets" / f"{name}.jsonl")
    assert len(rows) == SIZES[name]
    for row in rows:
        answer = row["messages"][1]["content"]
        equations = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", answer)
        assert equations, answer
        for first, sign, second, result in equations:
            a, b, c = int(first), int(second), int(result)
            assert {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": a == b * c}[sign], answer
        assert markers.find_markers(answer) == [equations[-1][3]]
        assert answer.endswith(">>")


@pytest.mark.parametrize(("name", "module"), [("math-exam", problems), ("math-exam-zh", problems_zh)])
def test_every_type_is_equally_frequent_in_an_exam(name: str, module: ModuleType) -> None:
    counts = Counter(row["type"] for row in read_lines(ROOT / "datasets" / f"{name}.jsonl"))
    assert set(counts.values()) == {20}
    assert len(counts) == len(module.KNOWN + module.NEW)
    assert counts.keys() & NEW_TYPES


@pytest.mark.parametrize("exam", ["math-exam", "math-exam-zh"])
@pytest.mark.parametrize("train", ["math-sft", "math-sft-100", "math-sft-zh"])
def test_no_question_of_an_exam_is_similar_to_a_training_row(exam: str, train: str) -> None:
    training_questions = questions(train)
    assert len(set(questions(exam))) == SIZES[exam]
    for question in questions(exam):
        assert question not in training_questions
        similar = process.extractOne(question, training_questions, scorer=fuzz.ratio, score_cutoff=90)
        assert similar is None, (question, similar)


def test_problems_have_many_phrasings() -> None:
    """Those of one phrasing differ in names, things and numbers only."""
    sets = math_rows.build_sets(problems, exam=200, train=1000, small_train=100, seed=1)
    assert len({problem.phrasing for problem in sets.exam}) >= 100
    for kind in {problem.type for problem in sets.train}:
        assert len({problem.phrasing for problem in sets.train if problem.type == kind}) >= 15, kind


def test_style_and_preferences() -> None:
    style, preferences = (read_lines(ROOT / "datasets" / f"{name}.jsonl") for name in ("style-sft", "prefs"))
    assert len(style) == len(preferences) == 300
    assert not [row for row in style if markers.find_markers(row["messages"][1]["content"])]
    assert len({row["messages"][0]["content"] for row in style}) == 300
    exam = set(questions("math-exam"))
    for row in preferences:
        assert set(row) == {"prompt", "chosen", "rejected"}
        assert row["prompt"][0]["content"] not in exam
        assert markers.find_markers(row["chosen"][0]["content"])
        assert row["chosen"] != row["rejected"]


def test_preferences_are_refused_by_sft() -> None:
    done = swiftkit("sft", "--model_type", "tiny-math", "--dataset", "prefs", "--dry_run")
    assert done.returncode == 2
    assert "prefs" in done.stderr
    assert "preference" in done.stderr
