"""`python -m swiftkit.worker.merge JOB.json`: merge a LoRA adapter into copies of its base model's weight files.

Without an adapter, the copies are the model itself, in the requested precision.

File by file and tensor by tensor: W + scale * B A, computed in fp32. The merged folder has the same files, names and
order as the base, and memory is needed for one file at a time.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from swiftkit.models import adapter as adapters
from swiftkit.system import events
from swiftkit.system.events import Failed, Finished


class Merger:
    """An adapter, ready to be merged; None is one that changes nothing."""

    def __init__(self, adapter: Path | None) -> None:
        self.modules: dict[str, dict[str, str]] = {}
        if adapter is None:
            return
        self.config = json.loads((adapter / adapters.CONFIG).read_text(encoding="utf-8"))
        with safe_open(adapter / adapters.WEIGHTS, "pt") as file:
            self.tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        self.modules = adapters.factors(list(self.tensors))

    def scale(self, rank: int) -> float:
        """The factor of B A: alpha / rank, or alpha / sqrt(rank) with rsLoRA.

        https://arxiv.org/abs/2106.09685 section 4.1; https://arxiv.org/abs/2312.03732.
        """
        alpha = float(self.config["lora_alpha"])
        return alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank

    def merge(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The tensor with the adapter merged, in fp32; unchanged if no adapter belongs to it."""
        module = name.removesuffix(".weight")
        if module not in self.modules:
            return weight
        factors = self.modules.pop(module)
        a, b = self.tensors[factors["A"]], self.tensors[factors["B"]]
        whole = weight.float() + self.scale(a.shape[0]) * (b @ a)
        magnitude = self.tensors.get(f"base_model.model.{module}.lora_magnitude_vector")
        if magnitude is None:
            return whole
        # DoRA scales every row of the sum to its trained length (https://arxiv.org/abs/2402.09353, equation 5).
        return magnitude[:, None] * whole / torch.linalg.norm(whole, dim=1, keepdim=True)


def merge(base: list[Path], adapter: Path | None, target: Path, dtype: torch.dtype) -> None:
    """Write merged copies of the base's weight files into `target`.

    Args:
        base: the base's safetensors files.
        adapter: the adapter's folder, if there is one.
        target: an existing folder.
        dtype: format of stored floating-point weights.

    Raises:
        RuntimeError: a part of the adapter belongs to no tensor, or a result is not finite.
    """
    merger = Merger(adapter)
    for path in base:
        tensors: dict[str, torch.Tensor] = {}
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {"format": "pt"}
            for name in file.keys():  # noqa: SIM118
                tensors[name] = _to_storage(merger.merge(name, file.get_tensor(name)), name, dtype)
        save_file(tensors, target / path.name, metadata=metadata)
    if merger.modules:
        raise RuntimeError(f"no weights for {', '.join(sorted(merger.modules))}")


def _to_storage(tensor: torch.Tensor, name: str, dtype: torch.dtype) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    stored = tensor.to(dtype).contiguous()
    if not bool(torch.isfinite(stored).all()):
        raise RuntimeError(f"{name} is not finite in {dtype}")
    return stored


def main(path: str) -> int:
    """Merge as the job file says; 0 if the merge is complete, else 1."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    adapter = Path(job["adapter"]) if job["adapter"] else None
    reported = Path(job["events"])
    try:
        merge([Path(p) for p in job["base"]], adapter, Path(job["target"]), getattr(torch, job["dtype"]))
    except Exception as error:
        traceback.print_exc()
        events.append(reported, Failed(error=f"{type(error).__name__}: {error}"))
        return 1
    events.append(reported, Finished())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
