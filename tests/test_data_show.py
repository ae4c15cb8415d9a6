"""`swiftkit data show`: rows as a model reads them, in the terminal, as JSON, and as a page."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.commands import ROOT, SWIFTKIT, stdout_json, swiftkit
from support.rows import write_rows
from swiftkit.chat import template, tokenizer
from swiftkit.chat.encode import ChatEncoder
from swiftkit.exports.token_parity import CONVERSATIONS
from swiftkit.models import registry
from swiftkit.schema import IGNORED

TINY = ("--model_type", "tiny-math")


def show(*words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = stdout_json(swiftkit("data", "show", *words, "--json"))["rows"]
    return rows


@pytest.mark.parametrize("family", ["qwen2_5", "ernie4_5", "phi3", "tinyllama"])
def test_spans_are_the_tokens_of_training(family: str, family_folder: Callable[[str], Path]) -> None:
    chat_template = template.load(registry.families()[family].template)
    encoder = ChatEncoder(tokenizer.read(family_folder(family) / "tokenizer.json"), chat_template)
    conversations = list(CONVERSATIONS.values())
    for messages, encoded in zip(conversations, encoder.encode(conversations), strict=True):
        spans = encoder.spans(messages)
        assert [token for span in spans for token in span.ids] == encoded.ids
        in_loss = [span.in_loss for span in spans for _ in span.ids]
        assert in_loss[1:] == [label != IGNORED for label in encoded.labels][1:]
        text, whole = "".join(span.text for span in spans), chat_template.render(messages)
        assert whole.startswith(text)
        assert not whole[len(text) :].strip()


def test_spans_of_plain_text_are_those_of_training() -> None:
    tokens = tokenizer.load(ROOT / "models" / "tiny-math", use_tokenizer_json=True)
    encoder = ChatEncoder(tokens, template.load("qwen2_5"), "<|im_end|>")
    (encoded,) = encoder.encode_text(["你好 🙂 12"])
    spans = encoder.text_spans("你好 🙂 12")
    assert [token for span in spans for token in span.ids] == encoded.ids
    assert "".join(span.text for span in spans) == "你好 🙂 12<|im_end|>"


def test_text_with_loss_is_between_brackets() -> None:
    done = swiftkit("data", "show", "math-sft", *TINY, "--row", "2")
    assert done.returncode == 0, done.stderr
    answer = json.loads((ROOT / "datasets" / "math-sft.jsonl").read_text().splitlines()[1])["messages"][1]["content"]
    assert re.findall("⟦(.*?)⟧", done.stdout, re.DOTALL) == [f"{answer}<|im_end|>\n"]
    assert "math-sft.jsonl:2" in done.stdout
    assert "text with loss is between ⟦ and ⟧" in done.stderr


def test_counts_in_json_add_up() -> None:
    rows = show("math-sft#4", *TINY)
    assert len(rows) == 4
    for row in rows:
        assert row["num_tokens"] == sum(len(span["ids"]) for span in row["spans"])
        assert row["num_loss_tokens"] == sum(len(span["ids"]) for span in row["spans"] if span["in_loss"])
        assert {span["text"].strip() for span in row["spans"] if span["special"]} >= {"<|im_start|>", "<|im_end|>"}


def test_a_row_that_would_be_dropped_has_a_note() -> None:
    done = swiftkit("data", "show", "math-sft", *TINY, "--row", "1", "--max_length", "20")
    assert "longer than --max_length 20: it would be dropped" in done.stdout


def test_a_page_loads_nothing(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Is 1 < 2 & <b>bold</b>?"},
        {"role": "assistant", "content": "Yes <script>alert(1)</script> <<ans:1>>"},
    ]
    write_rows(tmp_path / "rows.jsonl", [{"messages": messages}])
    done = swiftkit("data", "show", "rows.jsonl", *TINY, "--html", "rows.html")
    assert (done.returncode, done.stdout) == (0, "rows.html\n"), done.stderr
    page = (tmp_path / "rows.html").read_text(encoding="utf-8")
    assert "rows.jsonl:1" in page
    assert not re.search(r"<script|<b>|src=|href=|https?://", page)
    text = re.sub(r"<[^>]*>", "", page.split('<div class="rows">')[1].split("</div>")[0])
    assert "Yes &lt;script&gt;alert(1)&lt;/script&gt; &lt;&lt;ans:1&gt;&gt;" in text


def test_color_on_a_terminal_only() -> None:
    words = [*SWIFTKIT, "data", "show", "math-sft", *TINY, "--row", "1"]
    terminal, stdout = pty.openpty()
    done = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE)
    os.close(stdout)
    text = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert done.returncode == 0
    assert "\x1b[32m" in text
    assert "⟦" not in text
    assert "\x1b" not in swiftkit(*words[3:]).stdout
