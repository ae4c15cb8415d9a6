"""Model folders: where the weights of a model are, and whether a folder can be trusted and loaded."""

from __future__ import annotations

import json
import logging
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swiftkit.errors import Problems, SwiftkitError
from swiftkit.model_folder import read_config, read_object
from swiftkit.models import Family, Wanted

logger = logging.getLogger(__name__)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Folder:
    """A checked model folder. `tensors`: name to shape, as the safetensors files declare them."""

    path: Path
    config: dict[str, Any]
    tensors: dict[str, list[int]]

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return sum(_product(shape) for shape in self.tensors.values())

    @property
    def tied(self) -> int:
        """How many of them are stored twice: an output head that is the embedding."""
        return _product(self.tensors.get("lm_head.weight", [0])) if self.config.get("tie_word_embeddings") else 0


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def locate(wanted: Wanted, *, download: bool = True) -> Path:
    """The folder with the weights: named, embedded, under `$SWIFTKIT_MODELS`, in a hub's cache, else downloaded.

    Raises:
        SwiftkitError: it is nowhere and cannot be downloaded, or should not be.
    """
    found = here(wanted)
    if found is not None:
        if wanted.folder is None:
            logger.info("weights: %s", found)
        return found
    if not download:
        raise SwiftkitError(
            f"{wanted.name} is not on this machine",
            f"name a folder, put it under $SWIFTKIT_MODELS, or: swiftkit models fetch {wanted.name}",
        )
    from swiftkit import hub

    return hub.fetch_model(wanted.hub_id or wanted.name, *_per_hub(wanted))


def here(wanted: Wanted) -> Path | None:
    """The folder with the weights, if it is on this machine; looked up without a connection."""
    if wanted.folder is not None:
        return wanted.folder
    ids = [wanted.hub_id] if wanted.hub_id else _ids(wanted)
    home = os.environ.get("SWIFTKIT_MODELS")
    # Where an id was typed, only that is meant, not a folder that is named like the model type.
    tails = [] if wanted.hub_id else [wanted.name, *(hub_id.rpartition("/")[2] for hub_id in ids)]
    if home:
        for name in (*tails, *ids):
            if (folder := Path(home).expanduser() / name).is_dir():
                return folder
    from swiftkit import hub

    return next((cached for hub_id in ids if (cached := hub.cached_model(hub_id))), None)


def _ids(wanted: Wanted) -> list[str]:
    entry = wanted.entry
    return [] if entry is None else [i for i in dict.fromkeys((entry.modelscope, entry.huggingface)) if i]


def _per_hub(wanted: Wanted) -> tuple[str | None, str | None]:
    if wanted.hub_id:
        return wanted.hub_id, wanted.hub_id
    return (None, None) if wanted.entry is None else (wanted.entry.modelscope, wanted.entry.huggingface)


def inspect(path: Path, family: Family, *, trust_remote_code: bool) -> Folder:
    """Check that a model folder is whole, holds safetensors, and needs no code of its own.

    Raises:
        SwiftkitError: everything that is wrong with it.
    """
    config = read_config(path)
    problems = Problems()
    if config.get("quantization_config"):
        problems.add(f"{path} holds quantised weights", "training on those is not offered yet; use unquantised ones")
    if not trust_remote_code:
        with problems.collect():
            _no_code(path, family)
    tensors: dict[str, list[int]] = {}
    with problems.collect():
        for file in files(path):
            with problems.collect():
                tensors |= header(file)
    problems.raise_any()
    return Folder(path, config, tensors)


def _no_code(path: Path, family: Family) -> None:
    wanted: list[str] = []
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        file = path / name
        if not file.is_file():
            continue
        auto_map = read_object(file).get("auto_map") or {}
        for value in auto_map.values() if isinstance(auto_map, dict) else [auto_map]:
            wanted += [str(v) for v in (value if isinstance(value, list) else [value]) if v]
    foreign = sorted(set(wanted) - set(family.auto_map))
    if foreign:
        raise SwiftkitError(
            f"{path} wants to run its own code: {', '.join(foreign)}",
            "read that code; if you trust it with this machine, pass --trust_remote_code true",
        )
    if wanted:
        logger.info("the folder brings code of its own; transformers' built-in %s is used instead", family.name)


def files(path: Path) -> list[Path]:
    """The safetensors files of a model folder.

    Raises:
        SwiftkitError: one is missing, or there are none that transformers would load.
    """
    index = path / "model.safetensors.index.json"
    if index.is_file():
        weight_map = read_object(index).get("weight_map")
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
    whole = path / "model.safetensors"  # the one name that transformers takes without an index
    if whole.is_file():
        return [whole]
    pickles = sorted(p.name for pattern in PICKLES for p in path.glob(pattern))
    if pickles:
        raise SwiftkitError(
            f"{path} holds pickle weights only ({pickles[0]}), which can run code when they are loaded",
            "get the safetensors version of this model, or convert it on a machine that you can lose",
        )
    others = ", ".join(p.name for p in path.glob("*.safetensors"))
    raise SwiftkitError(
        f"{path} holds no model.safetensors and no index of several files" + (f", but {others}" if others else ""),
        "download the model again",
    )


def header(file: Path, hint: str = "download the model again") -> dict[str, list[int]]:
    """Name and shape of every tensor in a safetensors file, without reading the tensors.

    Layout: 8 bytes with the header's length, the header as JSON, then the data
    (https://huggingface.co/docs/safetensors/index#format).

    Raises:
        SwiftkitError: the file is not whole; `hint` is the way out.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > 100_000_000:
                raise ValueError("its header is longer than safetensors allows")
            declared = json.loads(stream.read(length))
        if not isinstance(declared, dict):
            raise ValueError("its header is no object")
        declared.pop("__metadata__", None)
        needed = 8 + length + max((t["data_offsets"][1] for t in declared.values()), default=0)
        if file.stat().st_size < needed:
            raise ValueError(f"it has {file.stat().st_size:,} bytes of {needed:,}")
    except (ValueError, struct.error, KeyError, TypeError) as error:
        raise SwiftkitError(f"{file} is no whole safetensors file: {error}", hint) from error
    return {name: tensor["shape"] for name, tensor in declared.items()}
