"""Versions for records."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("ms-swift", "torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "modelscope")


def versions() -> dict[str, str]:
    """Versions of Python, swiftkit and the libraries that results depend on."""
    found = {"python": sys.version.split()[0]}
    for name in ("swiftkit", *PACKAGES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
