"""Formats, reading, accounting, split: the light half, in the parent."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import chat_rows, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swiftkit import data, plugins, sources
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Example

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chat(pairs: list[tuple[str, str]], system: str | None = None) -> list[dict[str, str]]:
    said = [] if system is None else [{"role": "system", "content": system}]
    for question, answer in pairs:
        said += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return said


def rendered(pairs: list[tuple[str, str]]) -> str:
    return "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in chat(pairs))


def spelled(name: str, pairs: list[tuple[str, str]], system: str | None) -> dict[str, Any]:
    """A conversation as a row of a format."""
    question, answer = pairs[-1]
    history = [list(pair) for pair in pairs[:-1]]
    rows: dict[str, dict[str, Any]] = {
        "messages": {"messages": chat(pairs, system)},
        "sharegpt": {
            "conversations": [
                {"from": {"user": "human", "assistant": "gpt"}[m["role"]], "value": m["content"]} for m in chat(pairs)
            ],
            "system": system,
        },
        "alpaca": {"instruction": question, "input": "", "output": answer, "history": history, "system": system},
        "query_response": {"query": question, "response": answer, "history": history, "system": system},
        "question_answer": {"question": question, "answer": answer, "history": history, "system": system},
        "prompt_completion": {"prompt": chat(pairs, system)[:-1], "completion": chat(pairs)[-1:]},
    }
    return rows[name]


@pytest.mark.parametrize(
    "name", ["messages", "sharegpt", "alpaca", "query_response", "question_answer", "prompt_completion"]
)
@quick
@given(pairs=PAIRS, system=st.none() | TEXT)
def test_every_format_gives_the_same_conversation(
    name: str, pairs: list[tuple[str, str]], system: str | None, tmp_path: Path
) -> None:
    row = spelled(name, pairs, system)
    assert data.recognise(row, "x:1") == name
    path = write_rows(tmp_path / "rows.jsonl", [row])
    (example,) = data.examples(sources.read(sources.find(str(path)), 0), None, None)
    assert list(example.messages) == chat(pairs, system)
    assert example.source == f"{path}:1"


@quick
@given(pairs=PAIRS)
def test_rendered_text_is_taken_apart(pairs: list[tuple[str, str]]) -> None:
    plain = [(q.replace("<|im", ""), a.replace("<|im", "")) for q, a in pairs]
    if all(q.strip() and a.strip() for q, a in plain):
        assert plugins.get("formats", "rendered")({"text": rendered(plain)}) == chat(plain)


def test_human_and_assistant_headings_are_taken_apart() -> None:
    row = {"text": "### Human: What is 1 + 1?\n### Assistant: 2\n### Human: Sure?\n### Assistant: Yes."}
    assert data.recognise(row, "x:1") == "rendered"
    expected = chat([("What is 1 + 1?", "2"), ("Sure?", "Yes.")])
    assert plugins.get("formats", "rendered")(row) == expected


@quick
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_csv_and_jsonl_are_read_alike(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    cleaned = [(q.replace("\r", " ").replace("\0", " "), a.replace("\r", " ").replace("\0", " ")) for q, a in rows]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerows([("question", "answer"), *cleaned])
    (tmp_path / "a.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
    write_rows(tmp_path / "a.jsonl", [{"question": q, "answer": a} for q, a in cleaned])
    one = sources.read(sources.find(str(tmp_path / "a.csv")), 0)
    other = sources.read(sources.find(str(tmp_path / "a.jsonl")), 0)
    assert [row for _, row in one.rows] == [row for _, row in other.rows]


def test_bom_crlf_and_blank_lines(tmp_path: Path) -> None:
    lines = "\r\n\r\n".join(json.dumps(row) for row in chat_rows(3))
    (tmp_path / "w.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    rows = sources.read(sources.find("w.jsonl"), 0)
    assert [place for place, _ in rows.rows] == ["w.jsonl:1", "w.jsonl:3", "w.jsonl:5"]


def test_separators_inside_of_text_are_no_line_ends(tmp_path: Path) -> None:
    row = chat_rows(1)[0]
    row["messages"][0]["content"] = "a\u2028b\x85c\x0cd"
    path = write_rows(tmp_path / "u.jsonl", [row])
    assert len(sources.read(sources.find(str(path)), 0).rows) == 1


def test_json_array_and_json_lines_under_one_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(chat_rows(3), indent=1))
    write_rows(tmp_path / "b.json", chat_rows(3))
    first, second = (sources.read(sources.find(name), 0) for name in ("a.json", "b.json"))
    assert [row for _, row in first.rows] == [row for _, row in second.rows]


def test_a_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", chat_rows(50))
    taken = sources.read(sources.find(f"{path}#10"), 7)
    again = sources.read(sources.find(f"{path}#10"), 7)
    other = sources.read(sources.find(f"{path}#10"), 8)
    assert taken.rows == again.rows != other.rows
    assert (taken.read, len(taken.rows), taken.not_sampled) == (50, 10, 40)


def test_a_file_with_a_hash_in_its_name(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "set#2.jsonl", chat_rows(3))
    assert sources.find(str(path)).sample is None
    assert len(sources.read(sources.find(f"{path}#2"), 0).rows) == 2


def test_unused_columns_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{**row, "id": 1} for row in chat_rows(2)])
    with caplog.at_level("INFO"):
        data.examples(sources.read(sources.find(str(path)), 0), None, None)
    assert "columns not used: id" in caplog.text


def test_columns_that_fit_two_formats_are_refused(tmp_path: Path) -> None:
    row = {"query": "a", "response": "b", "question": "c", "answer": "d"}
    with pytest.raises(SwiftkitError, match="query_response, question_answer"):
        data.recognise(row, "x:1")


def test_system_prompt_of_the_command_line_reaches_rows_without_one(tmp_path: Path) -> None:
    rows = chat_rows(2)
    rows[1]["messages"].insert(0, {"role": "system", "content": "mine"})
    path = write_rows(tmp_path / "rows.jsonl", rows)
    made = data.examples(sources.read(sources.find(str(path)), 0), None, "yours")
    assert [example.messages[0]["content"] for example in made] == ["yours", "mine"]


# --- sizes and split ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "ratio", "expected"),
    [
        (3, None, 0),
        (5, None, 1),
        (100, None, 20),
        (1115, None, 64),
        (4000, None, 64),
        (20000, None, 200),
        (100000, None, 1000),
        (10**6, None, 1000),
        (100, 0.0, 0),
        (100, 0.1, 10),
        (3, 0.01, 1),
    ],
)
def test_validation_size(rows: int, ratio: float | None, expected: int) -> None:
    assert data.validation_size(rows, ratio) == expected


SIZED = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 300)).map(
        lambda pair: data.Sized(Example(tuple(chat([(f"q{pair[0]}", "a")])), "x:1"), pair[1], 1)
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(made=SIZED, size=st.integers(0, 30), seed=st.integers(0, 5))
def test_split_loses_nothing_and_keeps_questions_together(made: list[data.Sized], size: int, seed: int) -> None:
    train, validation = data.split(made, size, seed)
    assert sorted(map(id, train + validation)) == sorted(map(id, made))
    assert len(validation) <= size
    assert train
    asked = [{sized.example.messages[0]["content"] for sized in part} for part in (train, validation)]
    assert not asked[0] & asked[1]


@settings(max_examples=100, deadline=None)
@given(made=SIZED, seed=st.integers(0, 5))
def test_split_hangs_on_content_not_on_order(made: list[data.Sized], seed: int) -> None:
    one = data.split(made, 10, seed)[1]
    other = data.split(made[::-1], 10, seed)[1]
    assert {s.example.messages[0]["content"] for s in one} == {s.example.messages[0]["content"] for s in other}


@settings(max_examples=200, deadline=None)
@given(made=SIZED, length=st.integers(1, 300), share=st.floats(0, 1))
def test_dropping_accounts_for_every_row(made: list[data.Sized], length: int, share: float) -> None:
    long = sum(sized.tokens > length for sized in made)
    if long > share * len(made):
        with pytest.raises(SwiftkitError, match=f"{long} of {len(made)} rows"):
            data.fitting(made, length, share)
    else:
        kept = data.fitting(made, length, share)
        assert len(kept) == len(made) - long
        assert all(sized.tokens <= length for sized in kept)


@settings(max_examples=60, deadline=None)
@given(made=SIZED, share=st.floats(0, 0.9))
def test_the_way_out_of_too_long_rows_is_one(made: list[data.Sized], share: float) -> None:
    """The lengths that the hint names do what it says of them."""
    longest = max(sized.tokens for sized in made)
    try:
        data.fitting(made, 1, share)
    except SwiftkitError as error:
        hint = error.problems[0].hint or ""
        assert f"--max_length {longest} keeps all" in hint
        enough = int(hint.split("keeps all, ")[1].split(" ")[0])
        assert data.fitting(made, enough, share)
        assert len(data.fitting(made, longest, 0)) == len(made)
