"""What this machine computes with, in which precision, and whether a run fits into its memory and disk."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from swiftkit.errors import SwiftkitError


@dataclass(frozen=True)
class Device:
    """Where training runs: `cpu` or `cuda`; memory in bytes; `count` of them."""

    kind: str
    name: str
    count: int
    memory: int
    bf16: bool
    why: str  # what the precision was read from

    def record(self) -> dict[str, Any]:
        """For the run's record."""
        return asdict(self)


@cache
def device() -> Device:
    """The device that ms-swift will use, found without torch."""
    gpus = _gpus()
    if gpus:
        name, memory, capability = gpus[0]
        ampere = capability >= 8.0
        return Device("cuda", name, len(gpus), memory, ampere, f"compute capability {capability}")
    flags = _cpu_flags()
    found = sorted(flags & {"amx_bf16", "avx512_bf16"})
    why = " and ".join(found) if found else "neither AMX nor AVX512-BF16"
    memory = psutil.virtual_memory().available
    return Device("cpu", platform.processor() or platform.machine(), 1, memory, bool(found), why)


def _gpus() -> list[tuple[str, int, float]]:
    tool = shutil.which("nvidia-smi")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if tool is None or visible in ("", "-1") or _torch_is_for_cpu():
        return []
    query = [tool, "--query-gpu=name,memory.free,compute_cap", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return []
    rows = [line.rsplit(",", 2) for line in said.splitlines() if line.count(",") >= 2]
    found = [(name.strip(), _mebibytes(free), _number(capability)) for name, free, capability in rows]
    if visible is None:
        return found
    named = [word.strip() for word in visible.split(",")]
    if all(word.isdecimal() for word in named):
        return [found[int(word)] for word in named if int(word) < len(found)]
    return found[: len(named)]  # by UUID: the GPUs of a machine are of one kind nearly always


def _mebibytes(said: str) -> int:
    """Bytes; a GPU that shares the machine's memory says [N/A], and has what that has free."""
    return int(said) << 20 if said.strip().isdecimal() else psutil.virtual_memory().available


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        return 0.0


def _torch_is_for_cpu() -> bool:
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False


def processes() -> int:
    """How many processes train together: one a GPU, or as many as `$NPROC_PER_NODE` says.

    Raises:
        SwiftkitError: the variable is no number.
    """
    said = os.environ.get("NPROC_PER_NODE")
    if said is None:
        return device().count
    if not said.isdecimal() or int(said) < 1:
        raise SwiftkitError(f"NPROC_PER_NODE is `{said}`", "it is the number of processes that train together")
    return int(said)


def _cpu_flags() -> set[str]:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    except OSError:
        pass
    return set()


def precision(asked: str) -> tuple[str, str]:
    """The precision to compute in (bf16, fp16, fp32) and the reason, for `--dtype`.

    Raises:
        SwiftkitError: fp16 without a GPU.
    """
    if asked == "fp16" and device().kind == "cpu":
        raise SwiftkitError("--dtype fp16 needs a GPU", "on a CPU train in bf16 or fp32 (--dtype auto chooses)")
    if asked != "auto":
        return asked, "asked for"
    found = device()
    if found.bf16:
        return "bf16", f"the {found.kind} computes in it ({found.why})"
    if found.kind == "cuda":
        return "fp16", f"this GPU does not compute in bf16 ({found.why})"
    return "fp32", f"this CPU does not compute in bf16 ({found.why})"


def training_memory(
    config: Mapping[str, Any], parameters: int, trainable: int, tokens: int, dtype: str
) -> tuple[int, int]:
    """Estimated bytes of a training step, without and with gradient checkpointing.

    Args:
        config: the model's config.json.
        parameters: numbers in the model as it is computed with.
        trainable: numbers that are trained; weight, gradient and two moments of Adam in fp32, 16 bytes each.
        tokens: tokens of a padded batch.
        dtype: precision of the base model and the activations.

    A layer keeps about 34 * tokens * hidden bytes at two bytes a number, without the attention matrix, which
    SDPA does not keep (Korthikanti et al. 2022, https://arxiv.org/abs/2205.05198, section 4). Logits are kept
    three times, in fp32.
    """
    width = 4 if dtype == "fp32" else 2
    layer = 17 * width * tokens * int(config.get("hidden_size", 0))
    count = int(config.get("num_hidden_layers", 0))
    logits = 3 * 4 * tokens * int(config.get("vocab_size", 0))
    fixed = parameters * width + trainable * 16 + logits
    boundaries = count * width * tokens * int(config.get("hidden_size", 0))
    return fixed + layer * count, fixed + layer + boundaries


def answering_rows(config: Mapping[str, Any], parameters: int, tokens: int, dtype: str) -> int:
    """How many questions of at most `tokens` tokens, answers included, fit into half of the free memory at once.

    Per token and layer the cache keeps a key and a value of `num_key_value_heads * head_dim` numbers.
    """
    width = 4 if dtype == "fp32" else 2
    heads = int(config.get("num_attention_heads") or 1)
    size = int(config.get("head_dim") or int(config.get("hidden_size") or 0) // heads)
    kept = (
        2 * width * int(config.get("num_key_value_heads") or heads) * size * int(config.get("num_hidden_layers") or 1)
    )
    free = device().memory - parameters * width
    return max(1, free // 2 // max(1, kept * tokens))


def run_bytes(trainable: int, tokenizer: int, data: int) -> int:
    """Disk that a run needs, in bytes: three checkpoints (last, best, the one being written) and a copy of the best.

    A checkpoint is what is trained (4 bytes a number), two moments of Adam (8) and the tokenizer's files; two copies of
    the best exist for a moment. `data` is the size of the rows, which the run keeps.
    """
    megabyte = 1 << 20
    return 3 * (12 * trainable + tokenizer + megabyte) + 2 * (4 * trainable + tokenizer) + data + 8 * megabyte


def need_disk(
    folder: Path, needed: int, *, flag: str = "--output_dir", what: str = "the run", way_out: str | None = None
) -> None:
    """Refuse when the disk under `folder` (which need not exist yet) has less than `needed` bytes free.

    Raises:
        SwiftkitError: it has less.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        trouble = "is a file" if not existing.is_dir() else "cannot be written to"
        raise SwiftkitError(f"{flag} {folder}: {existing} {trouble}", way_out or "name another folder")
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SwiftkitError(
            f"{what} needs about {needed / 1e9:,.2f} GB on the disk of {folder}, which has {free / 1e9:,.2f} GB free",
            f"free some space, or name another {flag}",
        )
