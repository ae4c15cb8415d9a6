"""Every text model of ms-swift 4.6 and every model type of ms-swift 2, by name and by hub id.

`catalog.json` (written by `tools/make_catalog.py`) has a line for each. The registry takes precedence.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_QUANTIZED = re.compile(r"(?:^|[-_])(awq|gptq|int4|int8|bnb|4bit|fp8|aqlm)", re.I)
FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class CatalogModel:
    """A model that ms-swift 4.6 trains.

    Attributes:
        name: ms-swift 2's name, else the last part of its hub id, in lower case, with `_` for `.`.
        swift_type, swift_template: ms-swift 4.6's names for its type and template.
        modelscope, huggingface: hub ids.
        former_ids: hub ids that it had before its organization was renamed.
        architectures: as in its config.json.
        is_multimodal: whether it also takes images, audio or video.
        is_base: whether it is pretrained only, without a chat format.
    """

    name: str
    swift_type: str
    swift_template: str
    modelscope: str | None
    huggingface: str | None
    former_ids: tuple[str, ...]
    architectures: tuple[str, ...]
    is_multimodal: bool
    is_base: bool

    @property
    def is_quantized(self) -> bool:
        """Whether its name says that its weights are quantized."""
        return bool(_QUANTIZED.search(self.name))

    @property
    def hub_id(self) -> str:
        """The id to pass to ms-swift."""
        return self.modelscope or self.huggingface or self.name


@cache
def models() -> dict[str, CatalogModel]:
    """All models of the catalog, by name."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    types, base = dict(content["types"]), set(content["base"])
    return {
        name: CatalogModel(
            name,
            model_type,
            template,
            modelscope,
            huggingface,
            tuple(former_ids),
            tuple(types[model_type].get("architectures", ())),
            types[model_type].get("multimodal", False),
            name in base,
        )
        for name, model_type, template, modelscope, huggingface, former_ids in content["models"]
    }


@cache
def by_id() -> dict[str, str]:
    """Hub ids of both hubs, current and former ones, in lower case, each with the model's name."""
    found: dict[str, str] = {}
    for name, model in models().items():
        for hub_id in (model.modelscope, model.huggingface, *model.former_ids):
            if hub_id:
                found.setdefault(hub_id.lower(), name)
    return found
