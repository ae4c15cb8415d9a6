"""`swiftkit models`: what the registry and ms-swift's catalog have. One file a subcommand."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

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
      creates a family for a model that has none, from the chat template in its folder
  swiftkit models --datasets"""
# Subcommand to module; `adopt` is an alias.
SUBCOMMANDS = {"show": "show", "check": "check", "fetch": "fetch", "import": "importing", "adopt": "importing"}


class ModelsConfig(Config):
    """List known models and datasets; show, check, fetch or import one."""

    words: list[str] = flag(
        [],
        "List only models whose names contain these words; or `show NAME`, `check NAME` (or a model folder), "
        "`fetch NAME [FOLDER]`, `import FOLDER [INTO]`.",
        "Selection",
        metavar="WORD",
        positional=True,
        shown="all",
    )
    family: str | None = flag(None, "Only models of this family.", "Selection", metavar="NAME", shown="all")
    level: Literal["verified", "consistent", "catalog"] | None = flag(
        None,
        "Only models of this level. verified: prompts match published ones; consistent: training, exam and export use "
        "the same tokens; catalog: known to ms-swift only.",
        "Selection",
        shown="all if a WORD is given, else those of the registry",
    )
    datasets: bool = flag(False, "List datasets instead.", "Selection")
    model_type: str | None = flag(
        None,
        "With `check FOLDER`: the model whose family the folder belongs to.",
        "Selection",
        metavar="NAME",
        shown="detected from its files",
    )
    all_: bool = flag(
        False,
        "With `check`: check one model of each family, of those on this machine.",
        "Selection",
        alias="all",
        shown="false",
    )
    lora_rank: int = flag(
        8, "With `show`: LoRA rank for which trainable parameters are counted.", "Selection", "r", "lora_r", ge=1
    )


CONFIG = ModelsConfig


def run(config: ModelsConfig, problems: Problems) -> int:
    """List, or do what the first word says; returns the exit code."""
    problems.raise_any()
    subcommand, words = (
        (config.words[0], config.words[1:]) if config.words[:1] and config.words[0] in SUBCOMMANDS else ("", [])
    )
    options: dict[str, Any] = {}
    if config.datasets:
        subcommand, words = "datasets", config.words
    elif not subcommand:
        subcommand, words = "listing", config.words
        options = {"family": config.family, "level": config.level, "subcommands": tuple(SUBCOMMANDS)}
    elif subcommand == "show":
        options = {"rank": config.lora_rank}
    elif subcommand == "check":
        options = {"model_type": config.model_type, "check_all": config.all_}
    # Imported by name, since a list needs none of what a check or a download needs.
    code: int = import_module(f"{__name__}.{SUBCOMMANDS.get(subcommand, subcommand)}").run(
        words, **options, as_json=config.json_
    )
    return code
