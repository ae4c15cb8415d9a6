"""Real sizes with random weights: what the estimates say, and what a training of that size takes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from support.commands import stdout_json, swiftkit
from support.models import build
from support.rows import chat_rows, only_run, write_rows
from swiftkit.models import registry
from swiftkit.schema import DTYPES, Precision
from swiftkit.system import estimates

LIBRARIES = 0.9e9  # bytes of Python, torch and ms-swift before a model is loaded


@pytest.mark.slow
def test_half_a_billion_parameters_fit_the_memory_estimate(tmp_path: Path) -> None:
    """Qwen2.5-0.5B's shape trains on CPU in the machine's precision, in the memory that was announced."""
    entry = registry.entries()["qwen2_5-0_5b-instruct"][1]
    assert entry.parameters is not None
    folder = build(tmp_path / "model", "qwen2_5", **{**entry.config, "head_dim": 64, "tie_word_embeddings": True})
    rows = chat_rows(40)
    for row in rows:
        row["messages"][1]["content"] *= 20
    data = write_rows(tmp_path / "rows.jsonl", rows)
    words = ("--model_type", "qwen2_5-0_5b-instruct", "--model_id_or_path", str(folder), "--dataset", str(data))
    options = ("--max_steps", "2", "--gradient_accumulation_steps", "2")
    done = swiftkit("sft", *words, *options, process=True, timeout=1500)  # peak memory is that of a fresh process
    assert done.returncode == 0, done.stderr
    record = only_run(Path("output")).read().record
    assert record.trainable == 4_399_104  # 24 * 8 * (2 * 1792 + 2 * 1024 + 3 * 5760), by hand
    dtype, longest = DTYPES[record.dtype], record.tokens.longest
    precision = Precision(dtype, dtype, record.dtype_reason)
    estimate, _ = estimates.training_memory(entry.config, int(entry.parameters), record.trainable, longest, precision)
    assert record.memory is not None
    measured = record.memory["process"]
    print(
        f"estimated {(estimate + LIBRARIES) / 1e9:.2f} GB, measured {measured / 1e9:.2f} GB, {longest} tokens, {dtype}"
    )
    assert 0.4 < measured / (estimate + LIBRARIES) < 1.6
    assert record.best is not None
    assert math.isfinite(record.best.value)
    # The rest of the loop at this size: a vocabulary that is wider than the tokenizer, a merge of a gigabyte.
    questions = write_rows(tmp_path / "questions.jsonl", chat_rows(6, 100))
    options = ("--dataset", str(questions), "--max_new_tokens", "16", "--json")
    best = stdout_json(swiftkit("exam", "--ckpt", "best", *options))
    assert best["num_questions"] == 6
    exported = swiftkit("export", "--merge_lora")
    assert exported.returncode == 0, exported.stderr
    merged = Path(exported.stdout.splitlines()[-1])
    assert (merged / "model.safetensors").stat().st_size > 0.95e9
    again = stdout_json(swiftkit("exam", "--ckpt", str(merged), *options))
    print(f"exam {best['seconds']} s, merged {again['seconds']} s")
