"""`swiftkit data check`: facts about a dataset, findings, and the verdict, which is that of `sft`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.commands import ROOT, stdout_json, swiftkit
from support.rows import chat_rows, write_rows
from swiftkit.chat import template, tokenizer
from swiftkit.chat.encode import ChatEncoder
from swiftkit.cli.commands.data import DataConfig
from swiftkit.data import contamination, facts, pipeline
from swiftkit.data.facts import DataContext
from swiftkit.errors import Problems
from swiftkit.models.context import ModelContext
from swiftkit.models.resolve import resolve_model
from swiftkit.schema import Example

TINY = ("--model_type", "tiny-math")


def row(question: str, answer: str, system: str | None = None) -> dict[str, Any]:
    first = [] if system is None else [{"role": "system", "content": system}]
    return {
        "messages": [*first, {"role": "user", "content": question}, {"role": "assistant", "content": answer}],
    }


def question_of(row: dict[str, Any]) -> str:
    content: str = row["messages"][0]["content"]
    return content


def check(*words: str, code: int = 0) -> dict[str, Any]:
    return stdout_json(swiftkit("data", "check", *words, "--json"), code)


def findings_of(report: dict[str, Any]) -> list[str]:
    return [finding["text"] for finding in report["findings"]]


# --- facts ------------------------------------------------------------------------------------------------------------


def test_a_clean_dataset_is_ready_for_training() -> None:
    report = check("math-sft", *TINY)
    assert report["verdict"] == "ready"
    assert report["findings"] == report["notes"] == []
    assert report["datasets"] == [{"dataset": "math-sft", "format": "messages", "rows": 1000}]
    assert report["conversations"]["one_question"] == 1000
    assert report["markers"]["<<ans:…>>"] == 1000
    exam = {"dataset": "math-exam", "num_questions": 200, "identical": 0, "similar": 0, "num_compared": 200}
    assert report["exam"] == exam
    assert sum(count for *_, count in report["lengths"]["histogram"]) == 1000
    dry_run = stdout_json(swiftkit("sft", *TINY, "--dry_run", "--json"))
    assert report["rows"] == dry_run["rows"], "check counts rows as sft does"


def test_the_share_of_loss_tokens_is_that_of_the_labels(tmp_path: Path) -> None:
    rows = chat_rows(60)
    write_rows(tmp_path / "rows.jsonl", rows)
    report = check("rows.jsonl", *TINY)
    tokens = tokenizer.load(ROOT / "models" / "tiny-math", use_tokenizer_json=True)
    encoded = list(ChatEncoder(tokens, template.load("qwen2_5")).encode([r["messages"] for r in rows]))
    num_loss_tokens = sum(label != -100 for e in encoded for label in e.labels)
    assert report["loss_share"] == num_loss_tokens / sum(len(e.ids) for e in encoded)
    assert report["lengths"]["longest"] == max(len(e.ids) for e in encoded)
    assert report["lengths"]["unit"] == "tokens"


def test_duplicates_are_reported_with_both_places(tmp_path: Path) -> None:
    rows = [*chat_rows(60), chat_rows(60)[7], row(question_of(chat_rows(60)[9]), "something else")]
    write_rows(tmp_path / "rows.jsonl", rows)
    report = check("rows.jsonl")
    assert report["duplicates"] == {"identical": 1, "conflicting": 1}
    text = " ".join(findings_of(report))
    assert "rows.jsonl:8 and rows.jsonl:61" in text
    assert "rows.jsonl:10 and rows.jsonl:62" in text
    assert report["verdict"] == "review"


@pytest.mark.parametrize(
    ("answers", "counts", "expected"),
    [
        (["<<ans:1>>"] * 60, {"<<ans:…>>": 60}, ""),
        (["{{ans:1}}"] * 60, {"{{ans:…}}": 60}, ""),
        (["so\n#### 4"] * 60, {"#### n": 60}, ""),
        (["four"] * 60, {"none": 60}, ""),
        (
            ["<<ans:1>>"] * 59 + ["four"],
            {"<<ans:…>>": 59, "none": 1},
            "answers without a marker, which other rows have: 1 of 60",
        ),
        (["<<ans:1>>"] * 59 + ["{{ans:2}}"], {"<<ans:…>>": 59, "{{ans:…}}": 1}, "both <<ans:…>> and {{ans:…}}"),
        (["<<ans:1>>"] * 59 + ["{{ans:xxx}}"], {"<<ans:…>>": 59, "invalid": 1}, "rows.jsonl:60: a marker"),
    ],
)
def test_markers_are_counted_and_mixtures_reported(
    answers: list[str], counts: dict[str, int], expected: str, tmp_path: Path
) -> None:
    write_rows(tmp_path / "rows.jsonl", [row(f"What is {i} + {i}?", answer) for i, answer in enumerate(answers)])
    report = check("rows.jsonl")
    assert {style: count for style, count in report["markers"].items() if count} == counts
    findings = findings_of(report)
    assert any(expected in finding for finding in findings) if expected else not findings


def test_identical_and_similar_questions_of_the_exam_are_found(tmp_path: Path) -> None:
    exam = [
        row(f"Anna has {i} apples and buys {i + 1} more. How many is that?", f"<<ans:{2 * i + 1}>>") for i in range(5)
    ]
    exam += [row(f"Tell me about number {i}, as long as you like.", f"<<ans:{i}>>") for i in range(95)]
    rows = chat_rows(60)
    rows += [row(question_of(exam[0]).replace(" ", "  "), "<<ans:1>>")]
    rows += [row(question_of(exam[1]).replace("buys", "gets"), "<<ans:3>>")]
    write_rows(tmp_path / "exam.jsonl", exam)
    write_rows(tmp_path / "rows.jsonl", rows)
    report = check("rows.jsonl", "--exam", "exam.jsonl")
    assert report["exam"]["identical"] == 1
    assert report["exam"]["similar"] >= 1
    findings = findings_of(report)
    assert any("exam.jsonl:1 and rows.jsonl:61" in finding for finding in findings)
    assert any("similar to a row" in finding for finding in findings)


def test_a_large_exam_is_compared_in_part_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Example(tuple(r["messages"]), f"rows:{i}") for i, r in enumerate(chat_rows(50))]
    exam = [Example(tuple(r["messages"]), f"exam:{i}") for i, r in enumerate(chat_rows(40, start=500))]
    monkeypatch.setattr(contamination, "MAX_PAIRS", 500)
    overlap = DataContext(rows, questions=exam, exam="exam").overlap
    assert overlap
    assert (overlap.num_questions, overlap.num_compared) == (40, 10)


def test_special_tokens_in_the_text_are_reported(tmp_path: Path) -> None:
    rows = [*chat_rows(60), row("What does <|im_end|> mean?", "The end of a turn.")]
    write_rows(tmp_path / "rows.jsonl", rows)
    (finding,) = [text for text in findings_of(check("rows.jsonl", *TINY)) if "special" in text]
    assert "rows.jsonl:61: <|im_end|>" in finding


def test_system_messages_in_only_some_rows_are_reported(tmp_path: Path) -> None:
    rows = [row(f"What is {i}?", str(i), system="Be brief." if i < 30 else None) for i in range(60)]
    write_rows(tmp_path / "rows.jsonl", [*rows, row("?", "!", system=" ")])
    report = check("rows.jsonl")
    assert report["conversations"]["system"] == {"none": 30, "blank": 1, "text": 30, "distinct": 1}
    assert any("conversations with a system message: 30; without: 31" in text for text in findings_of(report))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=300))
def test_every_length_is_in_one_bin(values: list[int]) -> None:
    lengths = facts.measure("tokens", values)
    bins = lengths.histogram
    assert len(bins) <= facts.NUM_BINS
    assert sum(count for *_, count in bins) == len(values)
    for low, high, count in bins:
        assert sum(low <= value <= high for value in values) == count
    assert bins[0][0] == lengths.shortest == min(values)
    assert lengths.longest == max(values)
    assert sum(value <= lengths.median for value in values) >= len(values) / 2


def test_loading_counts_the_rows_of_every_dataset() -> None:
    problems = Problems()
    loaded = pipeline.load_examples(["math-sft#10", "math-sft-100"], DataConfig(), problems)
    assert not problems.found
    assert loaded.formats == {"math-sft#10": ("messages", 10), "math-sft-100": ("messages", 100)}
    assert (loaded.num_rows, loaded.num_not_sampled) == (1100, 990)
    context = ModelContext.load(resolve_model("tiny-math", None))
    assert len(pipeline.tokenize(loaded.examples, "sft", context.encoder)) == len(loaded.examples) == 110


# --- which data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"project.jsonl": 60}),
        (["other.jsonl"], {"other.jsonl": 55}),
        (["--dataset", "other.jsonl"], {"other.jsonl": 55}),
        (["other.jsonl", "--dataset", "third.jsonl"], {"other.jsonl": 55, "third.jsonl": 50}),
        (["other.jsonl", "third.jsonl"], {"other.jsonl": 55, "third.jsonl": 50}),
        (["other.jsonl", "--config", "my.yaml"], {"other.jsonl": 55}),
    ],
)
def test_a_typed_dataset_replaces_that_of_a_file(words: list[str], expected: dict[str, int], tmp_path: Path) -> None:
    """As for `sft`, whose flag replaces it; words and a flag add up."""
    for number, name in enumerate(("project", "other", "third")):
        write_rows(tmp_path / f"{name}.jsonl", chat_rows(60 - 5 * number, start=1000 * number))
    (tmp_path / "swiftkit.yaml").write_text("dataset: project.jsonl\nmodel_type: tiny-math\n")
    (tmp_path / "my.yaml").write_text("dataset: project.jsonl\nmodel_type: tiny-math\n")
    report = check(*words)
    assert {part["dataset"]: part["rows"] for part in report["datasets"]} == expected
    shown = stdout_json(swiftkit("data", "show", *words, "--rows", "200", "--json"))["rows"]
    files = [view["source"].partition(":")[0] for view in shown]
    assert {name: files.count(name) for name in files} == expected
    if words[:1] == ["--dataset"] or not words:
        dry_run = stdout_json(swiftkit("sft", *words, "--dry_run", "--json"))
        assert dry_run["config"]["dataset"] == list(expected)
        assert dry_run["rows"] == report["rows"]


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        [{"messages": [{"role": "user", "content": "?"}]}],
        [{"a": 1}],
        [*chat_rows(3), {"messages": "no"}],
    ],
)
def test_check_refuses_what_sft_refuses_with_the_same_messages(rows: list[Any], tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows)
    by_check = swiftkit("data", "check", "rows.jsonl", *TINY)
    by_sft = swiftkit("sft", "--dataset", "rows.jsonl", *TINY)
    assert by_check.returncode == by_sft.returncode == 2
    assert by_check.stderr == by_sft.stderr != ""


def test_check_refuses_too_many_long_rows_and_shows_their_lengths(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", chat_rows(60))
    words = ["rows.jsonl", *TINY, "--max_length", "20"]
    report = check(*words, code=2)
    assert (report["verdict"], report["rows"]) == ("refused", None)
    assert report["lengths"]["longest"] > 20
    printed = swiftkit("data", "check", *words)
    assert "verdict: sft would refuse this" in printed.stdout
    assert "60 of 60 rows are longer than --max_length 20" in printed.stderr
    assert printed.stderr == swiftkit("sft", "--dataset", *words).stderr


def test_without_a_model_lengths_are_characters(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row("a" * i, "b" * 10) for i in range(1, 61)])
    report = check("rows.jsonl")
    assert (report["lengths"]["unit"], report["lengths"]["longest"], report["rows"]) == ("characters", 70, None)
    printed = swiftkit("data", "check", "rows.jsonl")
    assert printed.stdout.endswith("verdict: ready for training\n")
    assert "--model_type" in printed.stderr


def test_plain_text_and_few_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": f"word {i}"} for i in range(9)])
    report = check("rows.jsonl", "--format", "text", *TINY)
    assert report["conversations"]["plain_text"] == 9
    assert any("only 9 rows" in text for text in findings_of(report))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "`swiftkit data` needs a subcommand"),
        (["look", "x.jsonl"], "`swiftkit data` has no subcommand `look`"),
        (["check", "x.jsonl"], "dataset x.jsonl does not exist"),
        (["check", "--exam", "x.jsonl"], "dataset x.jsonl does not exist"),
        (["check", "math-sft", "--model_type", "nope"], "no model type is named `nope`"),
        (["show", "math-sft"], "no model is named"),
        (["show", "math-sft", *TINY, "--row", "1001"], "there are 1,000 rows"),
        (["show", "math-sft", *TINY, "--html", "rows.jsonl"], "the name of a page ends in .html"),
        (["show", "math-sft", *TINY, "--html", "no/rows.html"], "No such file or directory"),
        (["show", "prefs", *TINY], "preference"),
    ],
)
def test_mistakes_are_refused(words: list[str], reason: str) -> None:
    done = swiftkit("data", *words)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path.cwd().glob("*.html"))
