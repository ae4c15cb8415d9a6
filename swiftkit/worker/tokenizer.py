"""`python -m swiftkit.worker.tokenizer FOLDER FILE TRUST`: write a tokenizer as transformers builds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def convert(folder: str, file: str, trust_remote_code: str) -> None:
    """Write the tokenizer of `folder` to `file`, whole or not at all; `trust_remote_code` is 0 or 1."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code == "1")
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        sys.exit("it is written in Python, and cannot be used outside of transformers")
    partial = Path(f"{file}.{os.getpid()}")  # two processes may write the same file at once
    backend.save(str(partial))
    partial.replace(file)


if __name__ == "__main__":
    convert(*sys.argv[1:])
