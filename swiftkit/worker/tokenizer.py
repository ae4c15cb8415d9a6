"""`python -m swiftkit.worker.tokenizer FOLDER FILE TRUST …`: write tokenizers as transformers builds them.

Arguments are triples, one for each tokenizer: the model folder, the file to write, and 1 if the folder's code may run.
"""

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


def main(arguments: list[str]) -> None:
    """Convert each of the tokenizers."""
    for index in range(0, len(arguments), 3):
        convert(*arguments[index : index + 3])


if __name__ == "__main__":
    main(sys.argv[1:])
