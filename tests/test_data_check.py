"""`swiftkit data`: what is told of a dataset, and rows as a model sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SWIFTKIT, chat_rows, swiftkit, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftkit import chat, contract, inspection, models, overlap, reading, tokenization
from swiftkit.schema import Example
from swiftkit.weights import inspect


def row(question: str, answer: str, system: str | None = None) -> dict[str, Any]:
    first = [] if system is None else [{"role": "system", "content": system}]
    return {
        "messages": [*first, {"role": "user", "content": question}, {"role": "assistant", "content": answer}],
    }


def checked(*words: str, code: int = 0) -> dict[str, Any]:
    done = swiftkit("data", "check", *words, "--json")
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


# --- check: facts -----------------------------------------------------------------------------------------------------


def test_a_clean_dataset_is_fit_to_train_on() -> None:
    told = checked("math-sft", "--model_type", "tiny-math")
    assert told["verdict"] == "fit"
    assert told["findings"] == told["notes"] == []
    assert told["datasets"] == [{"dataset": "math-sft", "format": "messages", "rows": 1000}]
    assert told["conversations"]["one_question"] == 1000
    assert told["markers"]["<<ans:…>>"] == 1000
    assert told["exam"] == {"dataset": "math-exam", "questions": 200, "same": 0, "near": 0, "compared": 200}
    assert sum(count for *_, count in told["lengths"]["histogram"]) == 1000
    dry = json.loads(swiftkit("sft", "--model_type", "tiny-math", "--dry_run", "--json").stdout)
    assert told["rows"] == dry["rows"], "what check says is what sft does"


def test_the_share_of_learned_tokens_is_that_of_the_labels(tmp_path: Path) -> None:
    rows = chat_rows(60)
    write_rows(tmp_path / "rows.jsonl", rows)
    told = checked("rows.jsonl", "--model_type", "tiny-math")
    tokenizer = tokenization.load(ROOT / "models" / "tiny-math", as_it_stands=True)
    encoded = list(chat.encode([r["messages"] for r in rows], chat.load("qwen2_5"), tokenizer))
    assert told["learned"] == sum(e.learned for e in encoded) / sum(len(e.ids) for e in encoded)
    assert told["lengths"]["longest"] == max(len(e.ids) for e in encoded)
    assert told["lengths"]["unit"] == "tokens"


def test_what_stands_there_twice_is_told_with_both_places(tmp_path: Path) -> None:
    rows = [*chat_rows(60), chat_rows(60)[7], row(chat_rows(60)[9]["messages"][0]["content"], "something else")]
    write_rows(tmp_path / "rows.jsonl", rows)
    told = checked("rows.jsonl")
    assert told["repeats"] == {"identical": 1, "other_answer": 1}
    said = " ".join(f["finding"] for f in told["findings"])
    assert "rows.jsonl:8 and rows.jsonl:61" in said
    assert "rows.jsonl:10 and rows.jsonl:62" in said
    assert told["verdict"] == "look"


@pytest.mark.parametrize(
    ("answers", "counts", "said"),
    [
        (["<<ans:1>>"] * 60, {"<<ans:…>>": 60}, ""),
        (["{{ans:1}}"] * 60, {"{{ans:…}}": 60}, ""),
        (["so\n#### 4"] * 60, {"#### n": 60}, ""),
        (["four"] * 60, {"none": 60}, ""),
        (
            ["<<ans:1>>"] * 59 + ["four"],
            {"<<ans:…>>": 59, "none": 1},
            "answers without a marker, which others have: 1 of 60",
        ),
        (["<<ans:1>>"] * 59 + ["{{ans:2}}"], {"<<ans:…>>": 59, "{{ans:…}}": 1}, "both <<ans:…>> and {{ans:…}}"),
        (["<<ans:1>>"] * 59 + ["{{ans:xxx}}"], {"<<ans:…>>": 59, "faulty": 1}, "rows.jsonl:60: a marker"),
    ],
)
def test_markers_are_counted_and_mixtures_told(
    answers: list[str], counts: dict[str, int], said: str, tmp_path: Path
) -> None:
    write_rows(tmp_path / "rows.jsonl", [row(f"What is {i} + {i}?", answer) for i, answer in enumerate(answers)])
    told = checked("rows.jsonl")
    assert {kind: count for kind, count in told["markers"].items() if count} == counts
    findings = [f["finding"] for f in told["findings"]]
    assert any(said in finding for finding in findings) if said else not findings


def test_questions_of_the_exam_are_found_the_same_and_nearly(tmp_path: Path) -> None:
    exam = [
        row(f"Anna has {i} apples and buys {i + 1} more. How many is that?", f"<<ans:{2 * i + 1}>>") for i in range(5)
    ]
    exam += [row(f"Tell me about number {i}, as long as you like.", f"<<ans:{i}>>") for i in range(95)]
    rows = chat_rows(60)
    rows += [row(exam[0]["messages"][0]["content"].replace(" ", "  "), "<<ans:1>>")]
    rows += [row(exam[1]["messages"][0]["content"].replace("buys", "gets"), "<<ans:3>>")]
    write_rows(tmp_path / "exam.jsonl", exam)
    write_rows(tmp_path / "rows.jsonl", rows)
    told = checked("rows.jsonl", "--exam", "exam.jsonl")
    assert told["exam"]["same"] == 1
    assert told["exam"]["near"] >= 1
    said = [f["finding"] for f in told["findings"]]
    assert any("exam.jsonl:1 and rows.jsonl:61" in finding for finding in said)
    assert any("nearly" in finding for finding in said)


def test_a_long_exam_is_compared_in_part_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Example(tuple(r["messages"]), f"rows:{i}") for i, r in enumerate(chat_rows(50))]
    exam = [Example(tuple(r["messages"]), f"exam:{i}") for i, r in enumerate(chat_rows(40, start=500))]
    monkeypatch.setattr(overlap, "PAIRS", 500)
    facts, _ = inspection.exam(made, exam, "exam")
    assert (facts["questions"], facts["compared"]) == (40, 10)


def test_special_tokens_in_the_text_are_told(tmp_path: Path) -> None:
    rows = [*chat_rows(60), row("What does <|im_end|> mean?", "The end of a turn.")]
    write_rows(tmp_path / "rows.jsonl", rows)
    told = checked("rows.jsonl", "--model_type", "tiny-math")
    (finding,) = [f["finding"] for f in told["findings"] if "special" in f["finding"]]
    assert "rows.jsonl:61: <|im_end|>" in finding


def test_system_messages_of_some_rows_only_are_told(tmp_path: Path) -> None:
    rows = [row(f"What is {i}?", str(i), system="Be brief." if i < 30 else None) for i in range(60)]
    write_rows(tmp_path / "rows.jsonl", [*rows, row("?", "!", system=" ")])
    told = checked("rows.jsonl")
    assert told["conversations"]["system"] == {"none": 30, "blank": 1, "text": 30, "different": 1}
    assert any("conversations with a system message: 30; without: 31" in f["finding"] for f in told["findings"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=300))
def test_every_length_stands_in_one_bin(values: list[int]) -> None:
    told = inspection.lengths(values)
    bins = told["histogram"]
    assert len(bins) <= inspection.BINS
    assert sum(count for *_, count in bins) == len(values)
    for low, high, count in bins:
        assert sum(low <= value <= high for value in values) == count
    assert bins[0][0] == told["shortest"] == min(values)
    assert told["longest"] == max(values)
    assert sum(value <= told["median"] for value in values) >= len(values) / 2


# --- check: verdicts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        [{"messages": [{"role": "user", "content": "?"}]}],
        [{"a": 1}],
        [*chat_rows(3), {"messages": "no"}],
    ],
)
def test_check_refuses_what_sft_refuses_with_the_same_words(rows: list[Any], tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows)
    check = swiftkit("data", "check", "rows.jsonl", "--model_type", "tiny-math")
    sft = swiftkit("sft", "--dataset", "rows.jsonl", "--model_type", "tiny-math")
    assert check.returncode == sft.returncode == 2
    assert check.stderr == sft.stderr


def test_check_refuses_too_many_rows_that_are_too_long_and_shows_how_long_they_are(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(60))
    words = ["rows.jsonl", "--model_type", "tiny-math", "--max_length", "20"]
    told = checked(*words, code=2)
    assert (told["verdict"], told["rows"]) == ("refused", None)
    assert told["lengths"]["longest"] > 20
    shown = swiftkit("data", "check", *words)
    assert "verdict: sft would refuse this" in shown.stdout
    assert "60 of 60 rows are longer than --max_length 20" in shown.stderr
    assert shown.stderr == swiftkit("sft", "--dataset", *words).stderr


def test_without_a_model_lengths_are_characters(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row("a" * i, "b" * 10) for i in range(1, 61)])
    told = checked("rows.jsonl")
    assert (told["lengths"]["unit"], told["lengths"]["longest"], told["rows"]) == ("characters", 70, None)
    shown = swiftkit("data", "check", "rows.jsonl")
    assert shown.stdout.endswith("verdict: fit to train on\n")
    assert "--model_type" in shown.stderr


def test_plain_text_and_few_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": f"word {i}"} for i in range(9)])
    told = checked("rows.jsonl", "--format", "text", "--model_type", "tiny-math")
    assert told["conversations"]["plain_text"] == 9
    assert any("few rows: 9" in f["finding"] for f in told["findings"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to do with the data"),
        (["look", "x.jsonl"], "does not know `look`"),
        (["check", "x.jsonl"], "dataset x.jsonl does not exist"),
        (["check", "--exam", "x.jsonl"], "dataset x.jsonl does not exist"),
        (["check", "math-sft", "--model_type", "nope"], "no model type is named `nope`"),
        (["show", "math-sft"], "no model is named"),
        (["show", "math-sft", "--model_type", "tiny-math", "--row", "1001"], "there are 1,000 rows"),
        (["show", "math-sft", "--model_type", "tiny-math", "--html", "rows.jsonl"], "a page's name ends in .html"),
        (["show", "math-sft", "--model_type", "tiny-math", "--html", "no/rows.html"], "No such file or directory"),
        (["show", "prefs", "--model_type", "tiny-math"], "preference"),
    ],
)
def test_slips_are_refused(words: list[str], said: str) -> None:
    done = swiftkit("data", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# --- show -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen2_5", "ernie4_5", "phi3", "tinyllama"])
def test_spans_are_the_tokens_of_training(family: str, family_folder: Callable[[str], Path], cache: Path) -> None:
    folder = family_folder(family)
    tokenizer = tokenization.read(folder / "tokenizer.json")
    template = chat.load(models.families()[family].template)
    conversations = list(contract.CONVERSATIONS.values())
    for messages, encoded in zip(conversations, chat.encode(conversations, template, tokenizer), strict=True):
        spans = chat.spans(messages, template, tokenizer)
        assert [token for span in spans for token in span.ids] == encoded.ids
        learned = [span.learned for span in spans for _ in span.ids]
        assert learned[1:] == [label != chat.IGNORED for label in encoded.labels][1:]
        shown, whole = "".join(span.text for span in spans), template.render(messages)
        assert whole.startswith(shown)
        assert not whole[len(shown) :].strip()


def test_spans_of_plain_text_are_those_of_training() -> None:
    tokenizer = tokenization.load(ROOT / "models" / "tiny-math", as_it_stands=True)
    (encoded,) = chat.encode_text(["你好 🙂 12"], tokenizer, "<|im_end|>")
    spans = chat.text_spans("你好 🙂 12", tokenizer, "<|im_end|>")
    assert [token for span in spans for token in span.ids] == encoded.ids
    assert "".join(span.text for span in spans) == "你好 🙂 12<|im_end|>"


def test_show_marks_what_is_learned() -> None:
    done = swiftkit("data", "show", "math-sft", "--model_type", "tiny-math", "--row", "2")
    assert done.returncode == 0, done.stderr
    answer = json.loads((ROOT / "datasets" / "math-sft.jsonl").read_text().splitlines()[1])["messages"][1]["content"]
    assert re.findall("⟦(.*?)⟧", done.stdout, re.DOTALL) == [f"{answer}<|im_end|>\n"]
    assert "math-sft.jsonl:2" in done.stdout
    assert "learned text stands between" in done.stderr


def test_show_as_json_adds_up(tmp_path: Path) -> None:
    done = swiftkit("data", "show", "math-sft#4", "--model_type", "tiny-math", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 4
    for told in rows:
        assert told["tokens"] == sum(len(span["ids"]) for span in told["spans"])
        assert told["learned"] == sum(len(span["ids"]) for span in told["spans"] if span["learned"])
        assert {span["text"].strip() for span in told["spans"] if span["special"]} >= {"<|im_start|>", "<|im_end|>"}


def test_show_says_which_row_would_be_dropped() -> None:
    done = swiftkit("data", "show", "math-sft", "--model_type", "tiny-math", "--row", "1", "--max_length", "20")
    assert "longer than --max_length 20: it would be dropped" in done.stdout


def test_show_writes_a_page_that_loads_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row("Is 1 < 2 & <b>bold</b>?", "Yes <script>alert(1)</script> <<ans:1>>")])
    words = ["data", "show", "rows.jsonl", "--model_type", "tiny-math", "--html", "rows.html"]
    done = swiftkit(*words)
    assert (done.returncode, done.stdout) == (0, "rows.html\n"), done.stderr
    page = (tmp_path / "rows.html").read_text(encoding="utf-8")
    assert "rows.jsonl:1" in page
    assert not re.search(r"<script|<b>|src=|href=|https?://", page)
    text = re.sub(r"<[^>]*>", "", page.split('<div class="rows">')[1].split("</div>")[0])
    assert "Yes &lt;script&gt;alert(1)&lt;/script&gt; &lt;&lt;ans:1&gt;&gt;" in text


def test_colour_on_a_terminal_only(tmp_path: Path) -> None:
    import os
    import pty
    import subprocess

    words = [*SWIFTKIT, "data", "show", "math-sft", "--model_type", "tiny-math", "--row", "1"]
    main_end, other_end = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    done = subprocess.run(words, stdout=other_end, stderr=subprocess.PIPE, env=environment)
    os.close(other_end)
    said = os.read(main_end, 65536).decode()
    assert done.returncode == 0
    assert "\x1b[32m" in said
    assert "⟦" not in said


def test_reading_counts_what_every_dataset_gives(tmp_path: Path) -> None:
    from swiftkit.config import DataConfig
    from swiftkit.errors import Problems

    problems = Problems()
    read = reading.read(["math-sft#10", "math-sft-100"], DataConfig(), problems)
    assert not problems.found
    assert read.formats == {"math-sft#10": ("messages", 10), "math-sft-100": ("messages", 100)}
    assert (read.rows, read.not_sampled) == (1100, 990)
    family, _ = models.entries()["tiny-math"]
    wanted = models.find("tiny-math", None)
    folder = inspect(ROOT / "models" / "tiny-math", family, trust_remote_code=False)
    reading.Tokens.of(wanted, folder, trust_remote_code=False).measure(read)
    assert len(read.sized) == len(read.examples) == 110
