"""`python -m swiftkit.worker.download model|dataset HUB ID [PLACE]`: download, print the path as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def model(hub: str, hub_id: str, folder: str | None = None) -> str:
    """Download a model's safetensors, configs and tokenizer, without pickles and code.

    Args:
        hub: `modelscope` or `huggingface`.
        hub_id: the model.
        folder: target; None: the cache of the hub's client.
    """
    excluded = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.gguf", "*.py"]
    excluded += ["original/*", "consolidated*"]  # second copies of the weights
    if hub == "modelscope":
        from modelscope import snapshot_download

        return str(snapshot_download(hub_id, local_dir=folder, ignore_patterns=excluded))
    from huggingface_hub import snapshot_download as from_huggingface

    return str(from_huggingface(hub_id, local_dir=folder, ignore_patterns=excluded))


def dataset(hub: str, name: str, file: str) -> str:
    """Download `org/name[:subset[:split]]` and write its rows to `file`, one JSON object a line."""
    hub_id, _, rest = name.partition(":")
    subset, _, split = rest.partition(":")
    if hub == "modelscope":
        from modelscope import MsDataset

        rows: Any = MsDataset.load(hub_id, subset_name=subset or None, split=split or "train")
    else:
        from datasets import load_dataset

        rows = load_dataset(hub_id, subset or None, split=split or "train")
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(f"{file}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    partial.replace(target)
    return file


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    try:
        print(json.dumps(model(*arguments) if kind == "model" else dataset(*arguments)))
    except Exception as error:  # each client has its own errors, for the same few reasons
        sys.exit(f"{type(error).__name__}: {error}")
