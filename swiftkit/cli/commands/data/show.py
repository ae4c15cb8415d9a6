"""`swiftkit data show`: rows as a model reads them, token by token."""

from __future__ import annotations

import json
import logging
import sys
from itertools import groupby
from pathlib import Path

from swiftkit import files
from swiftkit.cli.commands.data.options import DataConfig
from swiftkit.data import page, pipeline
from swiftkit.data.page import RowView
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.models.context import ModelContext
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.resolve import resolve_model
from swiftkit.schema import Example
from swiftkit.system.console import use_color

logger = logging.getLogger(__name__)
LOSS_START, LOSS_END = "⟦", "⟧"  # around text with loss, where there is no color


def run(config: DataConfig, problems: Problems) -> None:
    model: ResolvedModel | None = None
    with problems.collect():
        model = resolve_model(config.model_type, config.model_id_or_path)
    loaded = pipeline.load_examples(config.dataset or [pipeline.default_dataset(model)], config, problems)
    problems.raise_any()
    assert model
    context = ModelContext.load(model, trust_remote_code=config.trust_remote_code)
    config = pipeline.clamp_max_length(config, context, [])
    views = [page.view(example, context.encoder, config.max_length) for example in _select(loaded.examples, config)]
    if config.html:
        target = _write_page(config.html, page.render(model.name, model.family.template, views))
        print(json.dumps({"page": str(target)}) if config.json_ else target)
    elif config.json_:
        rows = [view.to_json() for view in views]
        print(json.dumps({"model": model.name, "template": model.family.template, "rows": rows}, ensure_ascii=False))
    else:
        print("\n\n".join(map(_row_text, views)))
        logger.info("%s of %s rows; %s", f"{len(views):,}", f"{len(loaded.examples):,}", _legend())


def _select(examples: list[Example], config: DataConfig) -> list[Example]:
    if config.row is None:
        is_sampled = any("#" in name for name in config.dataset)
        return examples if is_sampled else examples[: config.rows]
    if config.row > len(examples):
        raise SwiftkitError(f"--row {config.row}: there are {len(examples):,} rows")
    return [examples[config.row - 1]]


def _write_page(name: str, content: str) -> Path:
    target = files.parse_path(name, "--html")
    if target.suffix not in (".html", ".htm"):  # `--html my_data.jsonl` must not overwrite a user's data
        raise SwiftkitError(f"--html {name}: the name of a page ends in .html", f"--html {target.stem}.html")
    try:
        files.write(target, content)
    except OSError as error:
        raise SwiftkitError(f"--html {name}: {error.strerror}", "name a file in a folder that you may write") from error
    return target


def _legend() -> str:
    if use_color(sys.stdout):
        return "\x1b[32mwith loss\x1b[0m, \x1b[2mwithout loss\x1b[0m, \x1b[1mspecial token\x1b[0m"
    return f"text with loss is between {LOSS_START} and {LOSS_END}"


def _row_text(view: RowView) -> str:
    head = f"{view.source}: {view.num_tokens:,} tokens, {view.num_loss_tokens:,} of them with loss"
    color = use_color(sys.stdout)
    pieces = []
    for (in_loss, is_special), group in groupby(view.spans, key=lambda item: (item[0].in_loss, item[1])):
        text = "".join(span.text for span, _ in group)
        code = ";".join(["32" if in_loss else "2"] + (["1"] if is_special else []))
        pieces.append((in_loss, f"\x1b[{code}m{text}\x1b[0m" if color else text))
    body = ""
    for in_loss, part in groupby(pieces, key=lambda piece: piece[0]):
        text = "".join(text for _, text in part)
        body += f"{LOSS_START}{text}{LOSS_END}" if in_loss and not color else text
    return head + (f"; {view.note}" if view.note else "") + "\n" + body
