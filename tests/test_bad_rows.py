"""Datasets as newcomers have them: exit code 2, messages that name file, row and reason, no run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.refused import refused
from support.rows import chat_rows, write_rows

TINY = ("--model_type", "tiny-math")


@pytest.fixture
def valid_rows(tmp_path: Path) -> str:
    return str(write_rows(tmp_path / "valid.jsonl", chat_rows(40)))


def rows_with(tmp_path: Path, bad: Any, number: int = 17) -> str:
    rows: list[Any] = chat_rows(40)
    rows[number - 1] = bad
    return str(write_rows(tmp_path / "rows.jsonl", rows))


# --- files ------------------------------------------------------------------------------------------------------------


def test_missing_file(valid_rows: str) -> None:
    message = refused(*TINY, "--dataset", "./vallid.jsonl")
    assert "vallid.jsonl does not exist" in message
    assert "did you mean `valid.jsonl`" in message


def test_missing_hub_dataset_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "127.0.0.1:9")
    assert "no hub is reachable" in refused(*TINY, "--dataset", "no-one/nothing")


def test_folder_as_dataset(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    assert "is a folder with no file with rows" in refused(*TINY, "--dataset", "rows")
    write_rows(tmp_path / "rows" / "a.jsonl", chat_rows(3))
    (tmp_path / "rows" / "b.csv").write_text("question,answer\na,b\n")
    assert "is a folder with files of several types (.csv, .jsonl)" in refused(*TINY, "--dataset", "rows")


@pytest.mark.parametrize("content", ["", "\n\n"])
@pytest.mark.parametrize("name", ["e.jsonl", "e.json", "e.csv"])
def test_empty_file(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert f"{name} holds no rows" in refused(*TINY, "--dataset", name)


def test_names_that_no_file_can_have() -> None:
    assert "is not a file name" in refused(*TINY, "--dataset", "x" * 300 + ".jsonl")


def test_sample_of_zero_rows(valid_rows: str) -> None:
    assert "#0" in refused(*TINY, "--dataset", f"{valid_rows}#0")


@pytest.mark.parametrize("name", ["latin.jsonl", "latin.csv"])
def test_not_utf8(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'question,answer\n{"question": "a", "answer": "b"}\nGr\xfc\xdfe,b\n')
    message = refused(*TINY, "--dataset", name)
    assert f"{name}:3: not UTF-8 (byte 0xfc" in message
    assert "as cp1252:\n    Grüße,b" in message, "how it would look"
    assert "--encoding NAME" in message


def test_ragged_csv(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("question,answer\na,b\na\n")
    assert "r.csv:3: the row has 1 fields, the header 2" in refused(*TINY, "--dataset", "r.csv")


def test_json_of_other_shapes(tmp_path: Path) -> None:
    several = {"first": chat_rows(3), "second": chat_rows(2)}
    (tmp_path / "one.json").write_text(json.dumps(several, indent=1))
    assert "one JSON object with several lists: 'first', 'second'" in refused(*TINY, "--dataset", "one.json")
    (tmp_path / "array.jsonl").write_text(json.dumps(chat_rows(3)))
    assert "rename it to .json" in refused(*TINY, "--dataset", "array.jsonl")
    (tmp_path / "deep.jsonl").write_text("{" + '"a":[' * 5000)
    assert "deep.jsonl:1: broken JSON" in refused(*TINY, "--dataset", "deep.jsonl")
    (tmp_path / "digits.jsonl").write_text('{"messages": ' + "1" * 5000 + "}")
    assert "digits.jsonl:1: broken JSON" in refused(*TINY, "--dataset", "digits.jsonl")


# --- rows -------------------------------------------------------------------------------------------------------------


def test_broken_json_in_row_17(tmp_path: Path) -> None:
    message = refused(*TINY, "--dataset", rows_with(tmp_path, '{"messages": [}'))
    assert "rows.jsonl:17: broken JSON" in message


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, "no assistant turn"),
        ({"messages": []}, "no assistant turn"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}, "content is empty"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None}]}, "not text"),
        ({"messages": [{"role": "narrator", "content": "a"}, {"role": "assistant", "content": "b"}]}, "unknown role"),
        ({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}, "expected the user"),
        (
            {"messages": [{"role": r, "content": "a"} for r in ("user", "user", "assistant")]},
            "turn 2 is the user's, expected the assistant's",
        ),
        ({"messages": [{"role": r, "content": "a"} for r in ("user", "assistant", "user")]}, "no answer"),
        ({"messages": "hello"}, "text that is not JSON"),
        ({"messages": 7}, "not a list"),
        ({"messages": ["hello"]}, "object with role and content"),
        ({"question": "a", "answer": "b"}, "no `messages`"),
        ({**chat_rows(1)[0], "images": ["x.png"]}, "column `images`"),
        ([1, 2], "not an object"),
        (
            {"messages": [*chat_rows(1)[0]["messages"][:1], {"role": "assistant", "content": "b", "weight": 0.5}]},
            "a turn has weight 0.5; only 0 and 1",
        ),
        ({**chat_rows(1)[0], "weight": 2}, "the row has weight 2; only 0 and 1"),
        ({**chat_rows(1)[0], "label": False}, "`label` says that the answer is not desirable"),
        ({**chat_rows(1)[0], "rejected": "worse"}, "column `rejected`"),
        ({"messages": [{"role": "user", "content": "\ud800"}, {"role": "assistant", "content": "b"}]}, None),
    ],
)
def test_broken_row(tmp_path: Path, bad: Any, reason: str | None) -> None:
    if reason is None:  # half a surrogate pair is valid JSON, but not text
        bad, reason = json.dumps(bad), "lone surrogate"
    message = refused(*TINY, "--dataset", rows_with(tmp_path, bad))
    assert "rows.jsonl:17: " in message
    assert reason in message


def test_many_broken_rows_are_counted(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [*chat_rows(1), *["{"] * 50])
    assert "and 30 more rows like these" in refused(*TINY, "--dataset", str(path))


def test_too_many_rows_are_too_long(tmp_path: Path) -> None:
    rows = chat_rows(40)
    for row in rows[:3]:
        row["messages"][1]["content"] *= 50
    path = write_rows(tmp_path / "long.jsonl", rows)
    message = refused(*TINY, "--dataset", str(path), "--max_length", "100")
    assert "3 of 40 rows are longer than --max_length 100" in message
    assert "long.jsonl:" in message
    assert "--max_dropped 0.08" in message


def test_text_with_half_a_character(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a \\ud800 b"}\n')
    assert "lone surrogate" in refused(*TINY, "--dataset", "t.jsonl", "--format", "text")


# --- formats ----------------------------------------------------------------------------------------------------------


def test_columns_of_no_known_format(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "odd.jsonl", [{"frage": "a", "antwort": "b"}] * 9)
    message = refused(*TINY, "--dataset", str(path))
    assert "`frage`, `antwort`" in message
    assert "--columns question=COLUMN answer=COLUMN" in message


def test_plain_text_requires_its_format_to_be_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "text.jsonl", [{"text": f"Once upon a time {i}"} for i in range(9)])
    assert "--format text" in refused(*TINY, "--dataset", str(path))


def test_loss_on_all_of_a_rendered_chat_is_refused(tmp_path: Path) -> None:
    rendered = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nho<|im_end|>\n"
    path = write_rows(tmp_path / "text.jsonl", [{"text": rendered}] * 9)
    assert "rendered chat" in refused(*TINY, "--dataset", str(path), "--format", "text")
