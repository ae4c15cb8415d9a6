"""Real sizes with random weights: what the estimates say, and what a training of that size takes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from conftest import CORPUS, build, chat_rows, swiftkit, write_rows

from swiftkit import hardware, models, runs


@pytest.mark.slow
def test_half_a_billion_parameters_within_the_memory_estimate(tmp_path: Path) -> None:
    """Qwen2.5-0.5B's shape: trains on CPU in the machine's precision, in the memory that was announced."""
    entry = models.entries()["qwen2_5-0_5b-instruct"][1]
    sizes = {**entry.config, "head_dim": 64, "tie_word_embeddings": True}
    folder = build(tmp_path / "model", "qwen2_5", corpus=CORPUS, vocabulary=700, **sizes)
    rows = chat_rows(40)
    for row in rows:
        row["messages"][1]["content"] *= 20
    data = write_rows(tmp_path / "rows.jsonl", rows)
    words = ("--model_type", "qwen2_5-0_5b-instruct", "--model_id_or_path", str(folder), "--dataset", str(data))
    done = swiftkit("sft", *words, "--max_steps", "2", "--gradient_accumulation_steps", "2", timeout=1500)
    assert done.returncode == 0, done.stderr
    (run,) = runs.listed(Path("output"))
    record = run.declared()["record"]
    assert record["trainable"] == 4_399_104  # 24 * 8 * (2 * 1792 + 2 * 1024 + 3 * 5760), by hand
    dtype = record["dtype"].split(":")[0]
    config, longest = entry.config, record["tokens"]["longest"]
    estimate, _ = hardware.training_memory(config, int(entry.parameters), record["trainable"], longest, dtype)
    libraries = 0.9e9  # Python, torch and ms-swift before a model is loaded
    measured = record["memory"]["process"]
    print(
        f"estimated {(estimate + libraries) / 1e9:.2f} GB, measured {measured / 1e9:.2f} GB, {longest} tokens, {dtype}"
    )
    assert 0.4 < measured / (estimate + libraries) < 1.6
    assert math.isfinite(record["best"]["value"])
    # The rest of the loop at this size: a vocabulary that is wider than the tokenizer, a merge of a gigabyte.
    questions = write_rows(tmp_path / "questions.jsonl", chat_rows(6, 100))
    asked = ("--dataset", str(questions), "--max_new_tokens", "16", "--json")
    best = swiftkit("exam", "--ckpt", "best", *asked, timeout=600)
    assert best.returncode == 0, best.stderr
    assert json.loads(best.stdout)["count"] == 6
    exported = swiftkit("export", "--merge_lora", timeout=600)
    assert exported.returncode == 0, exported.stderr
    merged = Path(exported.stdout.splitlines()[-1])
    assert (merged / "model.safetensors").stat().st_size > 0.95e9
    again = swiftkit("exam", "--ckpt", str(merged), *asked, timeout=600)
    assert again.returncode == 0, again.stderr
    print(f"exam {json.loads(best.stdout)['seconds']} s, merged {json.loads(again.stdout)['seconds']} s")
