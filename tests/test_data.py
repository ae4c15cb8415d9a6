"""Formats, reading, row counts, split: the light half of data, in the parent process."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.rows import chat_rows, write_rows
from swiftkit import plugins
from swiftkit.data import catalog, examples, readers, split
from swiftkit.data.source import RawRows
from swiftkit.data.split import TokenizedExample
from swiftkit.data.tasks import sft
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Example

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda text: not sft.is_blank(text)
)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chat(pairs: list[tuple[str, str]], system: str | None = None) -> list[dict[str, str]]:
    messages = [] if system is None else [{"role": "system", "content": system}]
    for question, answer in pairs:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages


def rendered(pairs: list[tuple[str, str]]) -> str:
    return "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in chat(pairs))


def row_of_format(name: str, pairs: list[tuple[str, str]], system: str | None) -> dict[str, Any]:
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
        "question_answer": {"question": question, "answer": answer, "history": history, "system": system},
        "prompt_completion": {"prompt": chat(pairs, system)[:-1], "completion": chat(pairs)[-1:]},
    }
    return rows[name]


def read(name: str | Path, seed: int = 0) -> RawRows:
    return readers.read(catalog.resolve_dataset(str(name)), seed)


def to_examples(name: str | Path, system: str | None = None) -> list[Example]:
    return examples.to_examples(read(name), check=sft.check, system=system).examples


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["messages", "sharegpt", "alpaca", "question_answer", "prompt_completion"])
@quick
@given(pairs=PAIRS, system=st.none() | TEXT)
def test_every_format_gives_the_same_conversation(
    name: str, pairs: list[tuple[str, str]], system: str | None, tmp_path: Path
) -> None:
    row = row_of_format(name, pairs, system)
    assert examples.recognize(row, "x:1") == name
    path = write_rows(tmp_path / "rows.jsonl", [row])
    (example,) = to_examples(path)
    assert list(example.messages) == chat(pairs, system)
    assert example.source == f"{path}:1"


@quick
@given(pairs=PAIRS)
def test_rendered_text_is_parsed_into_turns(pairs: list[tuple[str, str]]) -> None:
    plain = [(q.replace("<|im", ""), a.replace("<|im", "")) for q, a in pairs]
    if all(q.strip() and a.strip() for q, a in plain):
        assert plugins.get("formats", "rendered")({"text": rendered(plain)}) == chat(plain)


def test_human_and_assistant_headings_are_parsed_into_turns() -> None:
    row = {"text": "### Human: What is 1 + 1?\n### Assistant: 2\n### Human: Sure?\n### Assistant: Yes."}
    assert examples.recognize(row, "x:1") == "rendered"
    expected = chat([("What is 1 + 1?", "2"), ("Sure?", "Yes.")])
    assert plugins.get("formats", "rendered")(row) == expected


def test_columns_that_may_matter_are_reported_and_harmless_ones_are_not(tmp_path: Path) -> None:
    further = {"id": 1, "Source": "x", "created_at": "2026", "topic_id": 3, "hint": "think", "note": None}
    path = write_rows(tmp_path / "rows.jsonl", [{**row, **further} for row in chat_rows(2)])
    assert examples.to_examples(read(path), check=sft.check).unused == {"hint": 2}


def test_columns_that_fit_two_formats_are_refused() -> None:
    row = {"query": "a", "response": "b", "question": "c", "answer": "d"}
    with pytest.raises(SwiftkitError, match="question, answer; query, response"):
        examples.recognize(row, "x:1")


def test_the_system_prompt_option_applies_to_rows_without_one(tmp_path: Path) -> None:
    rows = chat_rows(2)
    rows[1]["messages"].insert(0, {"role": "system", "content": "of the row"})
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found = to_examples(path, system="of the option")
    assert [example.messages[0]["content"] for example in found] == ["of the option", "of the row"]


# --- reading ----------------------------------------------------------------------------------------------------------


@quick
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_csv_and_jsonl_give_the_same_rows(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    cleaned = [(q.replace("\r", " ").replace("\0", " "), a.replace("\r", " ").replace("\0", " ")) for q, a in rows]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerows([("question", "answer"), *cleaned])
    (tmp_path / "a.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
    write_rows(tmp_path / "a.jsonl", [{"question": q, "answer": a} for q, a in cleaned])
    from_csv, from_jsonl = read(tmp_path / "a.csv"), read(tmp_path / "a.jsonl")
    assert [row for _, row in from_csv.rows] == [row for _, row in from_jsonl.rows]


def test_bom_crlf_and_blank_lines(tmp_path: Path) -> None:
    lines = "\r\n\r\n".join(json.dumps(row) for row in chat_rows(3))
    (tmp_path / "w.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert [place for place, _ in read("w.jsonl").rows] == ["w.jsonl:1", "w.jsonl:3", "w.jsonl:5"]


def test_separators_inside_of_text_do_not_end_a_line(tmp_path: Path) -> None:
    row = chat_rows(1)[0]
    row["messages"][0]["content"] = "a\u2028b\x85c\x0cd"
    path = write_rows(tmp_path / "u.jsonl", [row])
    assert len(read(path).rows) == 1


def test_json_array_and_json_lines_with_the_same_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(chat_rows(3), indent=1))
    write_rows(tmp_path / "b.json", chat_rows(3))
    first, second = read("a.json"), read("b.json")
    assert [row for _, row in first.rows] == [row for _, row in second.rows]


def test_a_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", chat_rows(50))
    sample, same_seed, other_seed = (read(f"{path}#10", seed) for seed in (7, 7, 8))
    assert sample.rows == same_seed.rows != other_seed.rows
    assert (sample.num_read, len(sample.rows), sample.num_not_sampled) == (50, 10, 40)


def test_a_file_with_a_hash_in_its_name(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "set#2.jsonl", chat_rows(3))
    assert catalog.resolve_dataset(str(path)).sample is None
    assert len(read(f"{path}#2").rows) == 2


# --- sizes and split --------------------------------------------------------------------------------------------------


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
    assert split.validation_size(rows, ratio) == expected


TOKENIZED = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 300)).map(
        lambda pair: TokenizedExample(Example(tuple(chat([(f"q{pair[0]}", "a")])), "x:1"), pair[1], 1)
    ),
    min_size=1,
    max_size=60,
)


def questions(tokenized: list[TokenizedExample]) -> set[str]:
    return {example.example.messages[0]["content"] for example in tokenized}


@settings(max_examples=200, deadline=None)
@given(tokenized=TOKENIZED, size=st.integers(0, 30), seed=st.integers(0, 5))
def test_split_loses_no_row_and_keeps_questions_together(
    tokenized: list[TokenizedExample], size: int, seed: int
) -> None:
    train, validation = split.split_rows(tokenized, size, seed)
    assert sorted(map(id, train + validation)) == sorted(map(id, tokenized))
    assert len(validation) <= size
    assert train
    assert not questions(train) & questions(validation)


@settings(max_examples=100, deadline=None)
@given(tokenized=TOKENIZED, seed=st.integers(0, 5))
def test_split_depends_on_content_and_not_on_order(tokenized: list[TokenizedExample], seed: int) -> None:
    validation, of_reversed = (split.split_rows(rows, 10, seed)[1] for rows in (tokenized, tokenized[::-1]))
    assert questions(validation) == questions(of_reversed)


@settings(max_examples=200, deadline=None)
@given(tokenized=TOKENIZED, length=st.integers(1, 300), share=st.floats(0, 1))
def test_every_dropped_row_is_counted(tokenized: list[TokenizedExample], length: int, share: float) -> None:
    long = sum(example.num_tokens > length for example in tokenized)
    if long > share * len(tokenized):
        with pytest.raises(SwiftkitError, match=f"{long} of {len(tokenized)} rows"):
            split.drop_too_long(tokenized, length, share)
    else:
        kept = split.drop_too_long(tokenized, length, share)
        assert len(kept) == len(tokenized) - long
        assert all(example.num_tokens <= length for example in kept)


@settings(max_examples=60, deadline=None)
@given(tokenized=TOKENIZED, share=st.floats(0, 0.9))
def test_the_hint_about_too_long_rows_is_right(tokenized: list[TokenizedExample], share: float) -> None:
    """With the lengths that it names, rows are kept as it says."""
    longest = max(example.num_tokens for example in tokenized)
    try:
        split.drop_too_long(tokenized, 1, share)
    except SwiftkitError as error:
        hint = error.problems[0].hint or ""
        assert f"--max_length {longest} keeps all of them" in hint
        sufficient = int(hint.split("keeps all of them, ")[1].split(" ")[0]) if "keeps enough" in hint else longest
        assert split.drop_too_long(tokenized, sufficient, share)
        if sufficient > 1:
            with pytest.raises(SwiftkitError):
                split.drop_too_long(tokenized, sufficient - 1, share)
        assert len(split.drop_too_long(tokenized, longest, 0)) == len(tokenized)
