"""Every text model of ms-swift 4.6 and every model type of ms-swift 2, by name and by hub id.

`catalogue.json` (written by `tools/make_catalogue.py`) has a line for each. What is in `registry/` counts more.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_QUANTISED = re.compile(r"(?:^|[-_])(awq|gptq|int4|int8|bnb|4bit|fp8|aqlm)", re.I)
FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Known:
    """A model that ms-swift 4.6 trains.

    Attributes:
        name: that of ms-swift 2, else the last part of its hub id, in small letters, `_` for `.`.
        swift_type, swift_template: what ms-swift 4.6 calls its type and template.
        modelscope, huggingface: hub ids, where it is there.
        former: ids that it had before its organisation was renamed.
        architectures: as in its config.json.
        base: whether it was trained on text alone and has learned no chat format.
        multimodal: whether it also takes pictures, sound or video.
    """

    name: str
    swift_type: str
    swift_template: str
    modelscope: str | None
    huggingface: str | None
    former: tuple[str, ...]
    architectures: tuple[str, ...]
    multimodal: bool
    base: bool

    @property
    def quantised(self) -> bool:
        """Whether its name says that its weights are; training on those is not offered."""
        return bool(_QUANTISED.search(self.name))


@cache
def models() -> dict[str, Known]:
    """All of them, by name."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    types, base = dict(content["types"]), set(content["base"])
    return {
        name: Known(
            name,
            kind,
            template,
            modelscope,
            huggingface,
            tuple(former),
            tuple(types[kind].get("architectures", ())),
            types[kind].get("multimodal", False),
            name in base,
        )
        for name, kind, template, modelscope, huggingface, former in content["models"]
    }


@cache
def by_id() -> dict[str, str]:
    """Hub ids of both hubs, today's and former ones, in small letters, each with the model's name."""
    found: dict[str, str] = {}
    for name, known in models().items():
        for hub_id in (known.modelscope, known.huggingface, *known.former):
            if hub_id:
                found.setdefault(hub_id.lower(), name)
    return found
