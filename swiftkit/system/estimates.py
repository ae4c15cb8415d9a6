"""How much memory and disk a run needs, and whether there is enough."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swiftkit.errors import SwiftkitError
from swiftkit.schema import DType, Precision
from swiftkit.system import hardware

MEBIBYTE = 1 << 20


def training_memory(
    config: Mapping[str, Any], frozen: int, trainable: int, tokens: int, precision: Precision
) -> tuple[int, int]:
    """Estimated bytes of a training step, without and with gradient checkpointing.

    Args:
        config: the model's config.json.
        frozen: parameters that are not trained.
        trainable: parameters that are trained; weight, gradient and two Adam moments in fp32, 16 bytes each.
        tokens: tokens of a padded batch.
        precision: of weights and activations; weights that are trained in another format than the latter are copied.

    A layer keeps about 34 * tokens * hidden bytes at two bytes a number, without the attention matrix, which SDPA does
    not keep (Korthikanti et al. 2022, https://arxiv.org/abs/2205.05198, section 4). Logits are kept three times, in
    fp32.
    """
    hidden = int(config.get("hidden_size", 0))
    num_layers = int(config.get("num_hidden_layers", 0))
    width = precision.compute.num_bytes
    layer = 17 * width * tokens * hidden
    logits = 3 * 4 * tokens * int(config.get("vocab_size", 0))
    copied = 0 if precision.storage == precision.compute else trainable * width
    fixed = frozen * precision.bytes_per_parameter + trainable * 16 + copied + logits
    boundaries = num_layers * width * tokens * hidden
    return fixed + layer * num_layers, fixed + layer + boundaries


def generation_batch(config: Mapping[str, Any], parameters: int, tokens: int, dtype: DType) -> int:
    """How many sequences of at most `tokens` tokens, responses included, fit into half of the free memory at once.

    Per token and layer the cache keeps a key and a value of `num_key_value_heads * head_dim` numbers.
    """
    heads = int(config.get("num_attention_heads") or 1)
    head_dim = int(config.get("head_dim") or int(config.get("hidden_size") or 0) // heads)
    num_kv_heads = int(config.get("num_key_value_heads") or heads)
    per_token = 2 * dtype.num_bytes * num_kv_heads * head_dim * int(config.get("num_hidden_layers") or 1)
    free = hardware.free_memory() - parameters * dtype.num_bytes
    return max(1, free // 2 // max(1, per_token * tokens))


def run_bytes(trainable: int, tokenizer: int, data: int) -> int:
    """Disk that a run needs, in bytes: three checkpoints (last, best, the one being written) and a copy of the best.

    Args:
        trainable: parameters that are trained: 4 bytes each, and 8 for two Adam moments.
        tokenizer: bytes of the tokenizer's files, which every checkpoint has.
        data: bytes of the rows, which the run keeps.

    While the best is replaced, there are two copies of it.
    """
    checkpoint = 12 * trainable + tokenizer + MEBIBYTE
    return 3 * checkpoint + 2 * (4 * trainable + tokenizer) + data + 8 * MEBIBYTE


def require_disk(
    folder: Path, needed: int, *, flag: str = "--output_dir", what: str = "the run", hint: str | None = None
) -> None:
    """Refuse if the disk of `folder` (which need not exist yet) has less than `needed` bytes free.

    Raises:
        SwiftkitError: it has less, or the folder cannot be written to.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        trouble = "is a file" if not existing.is_dir() else "cannot be written to"
        raise SwiftkitError(f"{flag} {folder}: {existing} {trouble}", hint or "name another folder")
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SwiftkitError(
            f"{what} needs about {needed / 1e9:,.2f} GB on the disk of {folder}, which has {free / 1e9:,.2f} GB free",
            f"free some space, or name another {flag}",
        )
