"""The tokenizer of a model folder: converted once, and a folder without one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import ROOT, warm_workers
from swiftkit.chat import tokenizer
from swiftkit.errors import SwiftkitError


def test_a_tokenizer_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = ROOT / "models" / "tiny-math"
    with warm_workers():
        first = tokenizer.load(folder)
        (cached,) = (tmp_path / "cache" / "swiftkit" / "tokenizers").iterdir()
        written = cached.stat().st_mtime_ns
        second = tokenizer.load(folder)
    assert cached.stat().st_mtime_ns == written
    assert first.to_str() == second.to_str()


def test_a_folder_without_a_readable_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with warm_workers(), pytest.raises(SwiftkitError, match="has no tokenizer"):
        tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with warm_workers(), pytest.raises(SwiftkitError, match="cannot read the tokenizer"):
        tokenizer.load(tmp_path)
