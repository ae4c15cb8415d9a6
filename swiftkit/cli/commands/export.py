"""`swiftkit export`: make a folder to serve from a checkpoint, and print its path."""

from __future__ import annotations

import json
import logging

from swiftkit.config.export import ExportConfig
from swiftkit.errors import Problems
from swiftkit.exports.export import run_export

logger = logging.getLogger(__name__)
CONFIG = ExportConfig
EPILOG = """\
examples:
  swiftkit export --merge_lora
      the best checkpoint of the newest run, merged, in the run's folder
  swiftkit export --ckpt v0:last --merge_lora
  swiftkit export --ckpt_dir output/qwen2_5-1_5b-instruct/v0-20261121-160926/checkpoint-90 --merge_lora true
  swiftkit export --merge_lora --export_dir ./my_model --dtype bf16
  swiftkit export
      the best checkpoint of a run with --sft_type full

The last line of the output is the path of the exported folder. It loads in plain transformers, and has the chat
template and the stop tokens that inference servers read."""


def run(config: ExportConfig, problems: Problems) -> int:
    """Export; returns the exit code."""
    result = run_export(config, problems=problems)
    logger.info("%s", "exported" if result.created else "exists already, from the same checkpoint and settings")
    if config.json_:
        print(json.dumps({**vars(result), "folder": str(result.folder)}))
    else:
        print(result.folder)
    return 0
