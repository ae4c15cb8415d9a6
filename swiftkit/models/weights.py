"""Model folders: where a model's weights are, and whether a folder can be trusted and loaded."""

from __future__ import annotations

import json
import logging
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swiftkit import files
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.models import hub
from swiftkit.models.folder import read_config
from swiftkit.models.registry import Family, ResolvedModel

logger = logging.getLogger(__name__)
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
MAX_HEADER_BYTES = 100_000_000  # the safetensors library's own limit


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that was checked.

    Attributes:
        path: the folder.
        config: its config.json.
        tensors: name to shape of every tensor, as the safetensors headers declare them.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, list[int]]

    @property
    def parameters(self) -> int:
        """Number of stored weights."""
        return sum(math.prod(shape) for shape in self.tensors.values())

    @property
    def tied_parameters(self) -> int:
        """How many of them are stored twice: an output head that is the embedding."""
        return math.prod(self.tensors.get("lm_head.weight", [0])) if self.config.get("tie_word_embeddings") else 0


def resolve_folder(model: ResolvedModel, *, download: bool = True) -> Path:
    """The folder with a model's weights: named, bundled, under `$SWIFTKIT_MODELS`, in a hub's cache, else downloaded.

    Raises:
        SwiftkitError: it is nowhere and cannot be downloaded, or must not be.
    """
    local = find_local(model)
    if local is not None:
        if model.folder is None:
            logger.info("weights: %s", local)
        return local
    if not download:
        raise SwiftkitError(
            f"{model.name} is not on this machine",
            f"name a folder, put it under $SWIFTKIT_MODELS, or: swiftkit models fetch {model.name}",
        )
    entry = model.entry
    ids = (
        (model.hub_id, model.hub_id)
        if model.hub_id
        else (entry.modelscope, entry.huggingface)
        if entry
        else (None,) * 2
    )
    return hub.fetch_model(model.hub_id or model.name, *ids)


def find_local(model: ResolvedModel) -> Path | None:
    """The folder with a model's weights, if it is on this machine; no connection is made."""
    if model.folder is not None:
        return model.folder
    ids = [model.hub_id] if model.hub_id else model.entry.hub_ids if model.entry else []
    if home := os.environ.get("SWIFTKIT_MODELS"):
        # A typed hub id means that model only, not a folder that has the model type's name.
        names = [] if model.hub_id else [model.name, *(hub_id.rpartition("/")[2] for hub_id in ids)]
        for name in (*names, *ids):
            if (path := Path(home).expanduser() / name).is_dir():
                return path
    return next((cached for hub_id in ids if (cached := hub.cached_model(hub_id))), None)


def load_model_folder(path: Path, family: Family, *, trust_remote_code: bool) -> ModelFolder:
    """Check that a model folder is complete, holds safetensors, and needs no code of its own.

    Raises:
        SwiftkitError: everything that is wrong with it.
    """
    config = read_config(path)
    problems = Problems()
    if config.get("quantization_config"):
        problems.add(f"{path} holds quantized weights", "training on those is not supported yet; use unquantized ones")
    if not trust_remote_code:
        with problems.collect():
            _refuse_code(path, family)
    tensors: dict[str, list[int]] = {}
    with problems.collect():
        for file in weight_files(path):
            with problems.collect():
                tensors |= read_header(file)
    problems.raise_any()
    return ModelFolder(path, config, tensors)


def _refuse_code(path: Path, family: Family) -> None:
    """Refuse a folder whose configs name Python code, unless the family says that transformers has it built in."""
    references: list[str] = []
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        file = path / name
        if not file.is_file():
            continue
        auto_map = files.read_object(file).get("auto_map") or {}
        for value in auto_map.values() if isinstance(auto_map, dict) else [auto_map]:
            references += [str(v) for v in (value if isinstance(value, list) else [value]) if v]
    foreign = sorted(set(references) - set(family.auto_map))
    if foreign:
        raise SwiftkitError(
            f"{path} requests to run its own code: {', '.join(foreign)}",
            "read that code; if you trust it with this machine, pass --trust_remote_code true",
        )
    if references:
        logger.info("the folder contains code; transformers' built-in %s is used instead", family.name)


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a model folder.

    Raises:
        SwiftkitError: one is missing, or there are none that transformers would load.
    """
    index = path / INDEX
    if index.is_file():
        weight_map = files.read_object(index).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise SwiftkitError(f"{index} has no weight_map", "download the model again")
        names = sorted(set(weight_map.values()))
        missing = [name for name in names if not (path / name).is_file()]
        if missing:
            raise SwiftkitError(
                f"{path}: {len(missing)} of {len(names)} weight files are missing: {', '.join(missing[:4])}",
                "download the model again",
            )
        return [path / name for name in names]
    if (path / WEIGHTS).is_file():  # the one name that transformers accepts without an index
        return [path / WEIGHTS]
    pickles = sorted(p.name for pattern in PICKLES for p in path.glob(pattern))
    if pickles:
        raise SwiftkitError(
            f"{path} holds pickle weights only ({pickles[0]}), which can run code when they are loaded",
            "get the safetensors version of this model, or convert it in an isolated environment",
        )
    others = ", ".join(p.name for p in path.glob("*.safetensors"))
    raise SwiftkitError(
        f"{path} contains neither {WEIGHTS} nor an index of several files" + (f", but {others}" if others else ""),
        "download the model again",
    )


def read_header(file: Path, hint: str = "download the model again") -> dict[str, list[int]]:
    """Name and shape of every tensor in a safetensors file, without reading the tensors.

    Layout: 8 bytes with the header's length, the header as JSON, then the data
    (https://huggingface.co/docs/safetensors/index#format).

    Raises:
        SwiftkitError: the file is not complete.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > MAX_HEADER_BYTES:
                raise ValueError("its header is longer than safetensors allows")
            declared = json.loads(stream.read(length))
        if not isinstance(declared, dict):
            raise ValueError("its header is not an object")
        declared.pop("__metadata__", None)
        needed = 8 + length + max((t["data_offsets"][1] for t in declared.values()), default=0)
        if file.stat().st_size < needed:
            raise ValueError(f"it has {file.stat().st_size:,} bytes of {needed:,}")
        return {name: tensor["shape"] for name, tensor in declared.items()}
    except KeyError as error:
        raise SwiftkitError(f"{file} is not a safetensors file: a tensor has no {error}", hint) from error
    except (ValueError, struct.error, TypeError) as error:
        raise SwiftkitError(f"{file} is not a complete safetensors file: {error}", hint) from error
