"""Word lists and sentence templates: the YAML files of this folder, each read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def load(name: str) -> dict[str, Any]:
    """Contents of `<name>.yaml`. They are shared between callers, so they must not be modified."""
    content: dict[str, Any] = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))
    return content
