"""What this machine computes with, and in which precision."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from swiftkit.errors import SwiftkitError
from swiftkit.schema import DTYPES, DType

NVIDIA_SMI_TIMEOUT_S = 10


@dataclass(frozen=True)
class Device:
    """Where training runs.

    Attributes:
        kind: `cpu` or `cuda`.
        name: of the processor or GPU.
        count: number of GPUs; 1 for a CPU.
        memory: memory in bytes, of one GPU or of the machine, that was free when it was looked at first.
        bf16: whether it computes in bf16.
        bf16_reason: what that was determined from.
    """

    kind: str
    name: str
    count: int
    memory: int
    bf16: bool
    bf16_reason: str

    def to_json(self) -> dict[str, Any]:
        """For records."""
        return asdict(self)


@cache
def device() -> Device:
    """The device that torch will use, determined without torch."""
    gpus = _gpus()
    if gpus:
        name, memory, capability = gpus[0]
        is_ampere = capability >= 8.0
        return Device("cuda", name, len(gpus), memory, is_ampere, f"compute capability {capability}")
    supported = sorted(_cpu_flags() & {"amx_bf16", "avx512_bf16"})
    reason = " and ".join(supported) if supported else "neither AMX nor AVX512-BF16"
    memory = psutil.virtual_memory().available
    return Device("cpu", platform.processor() or platform.machine(), 1, memory, bool(supported), reason)


def free_memory() -> int:
    """Free memory now, in bytes: of one GPU, or of the machine."""
    gpus = _gpus() if device().kind == "cuda" else []
    return gpus[0][1] if gpus else psutil.virtual_memory().available


def _gpus() -> list[tuple[str, int, float]]:
    """Name, free bytes and compute capability of the visible GPUs, by nvidia-smi."""
    tool = shutil.which("nvidia-smi")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if tool is None or visible in ("", "-1") or _torch_is_cpu_only():
        return []
    query = [tool, "--query-gpu=name,memory.free,compute_cap", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return []
    rows = [line.rsplit(",", 2) for line in output.splitlines() if line.count(",") >= 2]
    gpus = [(name.strip(), _mebibytes(free), _number(capability)) for name, free, capability in rows]
    if visible is None:
        return gpus
    names = [name.strip() for name in visible.split(",")]
    if all(name.isdecimal() for name in names):
        return [gpus[int(name)] for name in names if int(name) < len(gpus)]
    return gpus[: len(names)]  # by UUID: the GPUs of a machine are nearly always of one type


def _mebibytes(text: str) -> int:
    """In bytes; a GPU that shares the machine's memory reports [N/A], and has the machine's free memory."""
    return int(text) << 20 if text.strip().isdecimal() else psutil.virtual_memory().available


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _torch_is_cpu_only() -> bool:
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False


def _cpu_flags() -> set[str]:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    except OSError:
        pass
    return set()


def num_processes() -> int:
    """Number of training processes: one per GPU, or `$NPROC_PER_NODE`.

    Raises:
        SwiftkitError: the variable is not a number.
    """
    value = os.environ.get("NPROC_PER_NODE")
    if value is None:
        return device().count
    if not value.isdecimal() or int(value) < 1:
        raise SwiftkitError(f"NPROC_PER_NODE is `{value}`", "set it to the number of training processes")
    return int(value)


def choose_dtype(requested: str) -> tuple[DType, str]:
    """The precision to compute in, and why, for `--dtype`.

    Raises:
        SwiftkitError: fp16 without a GPU.
    """
    found = device()
    if requested == "fp16" and found.kind == "cpu":
        raise SwiftkitError("--dtype fp16 needs a GPU", "on a CPU use bf16 or fp32 (--dtype auto chooses)")
    if requested != "auto":
        return DTYPES[requested], "requested"
    if found.bf16:
        return DTYPES["bf16"], f"the {found.kind} supports it ({found.bf16_reason})"
    if found.kind == "cuda":
        return DTYPES["fp16"], f"this GPU does not support bf16 ({found.bf16_reason})"
    return DTYPES["fp32"], f"this CPU does not support bf16 ({found.bf16_reason})"
