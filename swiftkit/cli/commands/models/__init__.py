"""`swiftkit models`: what the registry and ms-swift's catalog have. One file a verb."""

from __future__ import annotations

from typing import Literal

from swiftkit.cli.commands.models import check, datasets, fetch, importing, listing, show
from swiftkit.config.fields import Config, flag
from swiftkit.errors import Problems

EPILOG = """\
examples:
  swiftkit models
  swiftkit models qwen 7b
  swiftkit models --level catalog
  swiftkit models show qwen2_5-1_5b-instruct --lora_rank 16
  swiftkit models check ./model
      whether training, export and ms-swift use the same tokens, with this folder's own tokenizer
  swiftkit models fetch qwen2_5-1_5b-instruct ./model
  swiftkit models import ./model ./mine
      a family for a model that has none, from its folder's own chat template
  swiftkit models --datasets"""
VERBS = ("show", "check", "fetch", "import", "adopt")


class ModelsConfig(Config):
    """List the models and datasets that swiftkit knows, or show one."""

    words: list[str] = flag(
        [],
        "Parts of names to list, or `show NAME`, `check NAME` (or a model folder), `fetch NAME [FOLDER]`, "
        "`import FOLDER [INTO]`.",
        "What",
        metavar="WORD",
        positional=True,
        shown="all",
    )
    family: str | None = flag(None, "Only models of this family.", "What", metavar="NAME", shown="all")
    level: Literal["verified", "consistent", "catalog"] | None = flag(
        None,
        "Only models of this level. verified: tokens compared with published renderings; consistent: training, exam "
        "and export agree; catalog: known to ms-swift.",
        "What",
        shown="all with WORD, else those of the registry",
    )
    datasets: bool = flag(False, "List datasets instead.", "What")
    model_type: str | None = flag(
        None,
        "With `check FOLDER`: the model whose family the folder belongs to.",
        "What",
        metavar="NAME",
        shown="detected from its files",
    )
    all_: bool = flag(
        False, "With `check`: one model of every family that is on this machine.", "What", alias="all", shown="false"
    )
    lora_rank: int = flag(8, "With `show`: rank for the number of trainable parameters.", "What", "r", "lora_r", ge=1)


CONFIG = ModelsConfig


def run(config: ModelsConfig, problems: Problems) -> int:
    """List, or do what the first word says; returns the exit code."""
    problems.raise_any()
    if config.datasets:
        return datasets.run(config.words, as_json=config.json_)
    verb, words = (config.words[0], config.words[1:]) if config.words[:1] and config.words[0] in VERBS else ("", [])
    if verb == "show":
        return show.run(words, rank=config.lora_rank, as_json=config.json_)
    if verb == "check":
        return check.run(words, model_type=config.model_type, check_all=config.all_, as_json=config.json_)
    if verb == "fetch":
        return fetch.run(words, as_json=config.json_)
    if verb:
        return importing.run(words, as_json=config.json_)
    return listing.run(config.words, family=config.family, level=config.level, verbs=VERBS, as_json=config.json_)
