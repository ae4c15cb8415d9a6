"""Exams that are refused: questions, options and tokenizers that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.models import build
from support.refused import refused
from support.rows import chat_rows, write_rows

TINY = ["--model_type", "tiny-math"]
VALID = chat_rows(1)[0]


def answered(text: str, question: str = "1 + 1?") -> dict[str, Any]:
    """A row with that reference."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": text}]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([answered("two"), answered("three")], "none of the 2 reference answers can be scored"),
        ([VALID, answered("<<ans:>>")], "rows.jsonl:2: a marker of the reference holds nothing"),
        ([VALID, answered("{{ans:xxx}}")], "rows.jsonl:2: a marker of the reference holds the placeholder 'xxx'"),
        ([VALID, answered("no marker")], "rows.jsonl:2: the reference has no marker"),
        ([VALID, {"text": "plain"}], "rows.jsonl:2: no `messages`"),
        ([VALID, "{broken"], "rows.jsonl:2: broken JSON"),
        ([], "holds no rows"),
        ([VALID, answered("<<ans:1>>", "word " * 3000)], "1 of 2 questions do not fit"),
    ],
)
def test_questions_that_cannot_be_used(rows: list[Any], message: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows) if rows else (tmp_path / "rows.jsonl").write_text("")
    assert message in refused(*TINY, "--dataset", "rows.jsonl", command="exam")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no run under"),
        (["--ckpt", "best"], "there is no run under"),
        (["--ckpt", "last"], "there is no run under"),
        (["--ckpt", "v3"], "no run is named `v3`"),
        (["--ckpt", "nowhere/checkpoint-3/x"], "does not exist"),
        (["--model_type", "tiny-moth"], "did you mean `tiny-math` or"),
        ([*TINY, "--scorer", "anz"], "no scorer is named `anz`"),
        ([*TINY, "--engine", "transformer"], "did you mean `transformers`?"),
        ([*TINY, "--dataset", "none.jsonl"], "none.jsonl does not exist"),
        ([*TINY, "--max_new_tokens", "0"], "greater than or equal to 1"),
        ([*TINY, "--max_new_tokens", "4000"], "do not fit"),
        ([*TINY, "--examples", "9999"], "--few_shot 9999: the training data has 1000 rows"),
        ([*TINY, "--learning_rate", "1"], "unknown flag `--learning_rate`"),
        ([*TINY, "--dtype", "fp16"], "--dtype fp16 needs a GPU"),
        ([*TINY, "--dataset", ""], "--dataset needs a value"),
        ([*TINY, "--output_dir", "~nobody-of-this-name/x"], "is not a usable path"),
        ([*TINY, "--system", "\udcff"], "must be UTF-8"),
    ],
)
def test_options_that_cannot_be_used(words: list[str], message: str) -> None:
    assert message in refused(*words, command="exam")


def test_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    base = build(tmp_path / "model", "qwen2_5", vocab_size=100)
    words = ["--model_type", "qwen2_5-0_5b-instruct", "--model_id_or_path", str(base), "--dataset", "math-exam#3"]
    assert "tokenizer and weights do not belong to the same model" in refused(*words, command="exam")
