"""`python -m swiftkit.worker.merge JOB.json`: fold a LoRA adapter into copies of its base model's weight files.

Without an adapter the copies are the model itself, in the precision that was asked for.

File by file and tensor by tensor: W + scale * B A, computed in fp32. So the merged folder has the same files, names and
order as the base, and memory is needed for one file at a time.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from swiftkit import adapters

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


class Merger:
    """An adapter, ready to be folded in; None is one that changes nothing."""

    def __init__(self, adapter: Path | None) -> None:
        self.modules: dict[str, dict[str, str]] = {}
        if adapter is None:
            return
        self.config = json.loads((adapter / adapters.CONFIG).read_text(encoding="utf-8"))
        with safe_open(adapter / adapters.WEIGHTS, "pt") as file:
            self.tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        self.modules = adapters.factors(list(self.tensors))

    def scale(self, module: str, rank: int) -> float:
        """What B A is multiplied by: alpha / rank, or alpha / sqrt(rank) with rsLoRA.

        https://arxiv.org/abs/2106.09685 section 4.1; https://arxiv.org/abs/2312.03732.
        """
        alpha = float(self.config["lora_alpha"])
        return alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank

    def merged(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The tensor with the adapter in it, in fp32; as it is where no adapter sits on it."""
        module = name.removesuffix(".weight")
        if module not in self.modules:
            return weight
        factors = self.modules.pop(module)
        a, b = self.tensors[factors["A"]], self.tensors[factors["B"]]
        whole = weight.float() + self.scale(module, a.shape[0]) * (b @ a)
        magnitude = self.tensors.get(f"base_model.model.{module}.lora_magnitude_vector")
        if magnitude is None:
            return whole
        # DoRA gives every row of the sum the length that was learned (https://arxiv.org/abs/2402.09353, equation 5).
        return magnitude[:, None] * whole / torch.linalg.norm(whole, dim=1, keepdim=True)


def merge(base: list[Path], adapter: Path | None, target: Path, dtype: str) -> int:
    """Write merged copies of the base's weight files into `target`; returns how many numbers they hold.

    Args:
        base: the base's safetensors files.
        adapter: the adapter's folder, if there is one.
        target: an existing folder.
        dtype: what floating point weights are stored in.

    Raises:
        RuntimeError: a part of the adapter belongs to no tensor, or a result is not finite.
    """
    merger, numbers = Merger(adapter), 0
    for path in base:
        tensors: dict[str, torch.Tensor] = {}
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {"format": "pt"}
            for name in file.keys():  # noqa: SIM118
                tensors[name] = _stored(merger.merged(name, file.get_tensor(name)), name, DTYPES[dtype])
                numbers += tensors[name].numel()
        save_file(tensors, target / path.name, metadata=metadata)
    if merger.modules:
        raise RuntimeError(f"no weights for {', '.join(sorted(merger.modules))}")
    return numbers


def _stored(tensor: torch.Tensor, name: str, dtype: torch.dtype) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    stored = tensor.to(dtype).contiguous()
    if not bool(torch.isfinite(stored).all()):
        raise RuntimeError(f"{name} is not finite in {dtype}")
    return stored


def main(path: str) -> None:
    """Merge as `path` says."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    adapter = Path(job["adapter"]) if job["adapter"] else None
    numbers = merge([Path(p) for p in job["base"]], adapter, Path(job["target"]), job["dtype"])
    print(json.dumps({"parameters": numbers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
