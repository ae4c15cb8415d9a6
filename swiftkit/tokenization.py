"""The tokenizer of a model folder as transformers makes it, without importing transformers.

transformers 5 does not always take a folder's tokenizer.json as it stands: for some architectures (Qwen2) it builds
the tokenizer anew from vocabulary and merges, for others it has to convert sentence pieces. What it comes to is
written down once, by a process of its own, and kept under the hash of everything that it was made from.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftkit.errors import SwiftkitError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)
MADE_FROM = ("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map.json", "config.json")


def load(folder: Path, *, as_it_stands: bool = False, trust_remote_code: bool = False) -> Tokenizer:
    """The tokenizer of a model folder; arguments and errors are those of `file`."""
    return read(file(folder, as_it_stands=as_it_stands, trust_remote_code=trust_remote_code))


def file(folder: Path, *, as_it_stands: bool = False, trust_remote_code: bool = False) -> Path:
    """Where the tokenizer of a model folder is written down.

    Args:
        folder: a model folder.
        as_it_stands: its tokenizer.json; for embedded models, where a test says that nothing is changed.
        trust_remote_code: let transformers run the folder's own tokenizer code.

    Raises:
        SwiftkitError: transformers cannot read it.
    """
    return folder / "tokenizer.json" if as_it_stands else _converted(folder, trust_remote_code)


def read(file: Path) -> Tokenizer:
    """The tokenizer in a tokenizer.json.

    Raises:
        SwiftkitError: it is none.
    """
    from tokenizers import Tokenizer

    try:
        made = Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers library raises no narrower one
        raise SwiftkitError(f"{file} is no tokenizer: {error}", "download the model again") from error
    made.no_padding()
    made.no_truncation()
    return made


def special(tokenizer: Tokenizer) -> list[str]:
    """The tokens that the tokenizer takes out of a text before it looks at the rest, in the order of their ids."""
    return [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items())]


def check(tokenizer: Tokenizer, folder: Path, config: Mapping[str, Any], special: Iterable[str] = ()) -> None:
    """Refuse a tokenizer that is another model's.

    Args:
        tokenizer: of that folder.
        folder: named in what is said.
        config: its config.json.
        special: what the family's template writes as tokens of their own.

    Raises:
        SwiftkitError: it has more tokens than the model, or lacks a special one and would train on pieces of it.
    """
    vocabulary = int(config.get("vocab_size") or 0)
    # Tokens that were added behind the vocabulary may be of another use, as Gemma 3's for pictures is.
    needed = [tokenizer.get_vocab_size(with_added_tokens=False)]
    needed += [1 + token for text in special if (token := tokenizer.token_to_id(text)) is not None]
    if vocabulary and max(needed) > vocabulary:
        raise SwiftkitError(
            f"{folder}: the tokenizer has {tokenizer.get_vocab_size():,} tokens, the model {vocabulary:,}",
            "tokenizer and weights are not of the same model",
        )
    lacking = [token for token in special if len(tokenizer.encode(token, add_special_tokens=False).ids) != 1]
    if lacking:
        raise SwiftkitError(
            f"{folder}: the tokenizer has no token for {', '.join(lacking)}, which the chat template writes; "
            "it would be trained on in pieces",
            "this is no model of that family; --model_type says of which it is, the folder's own chat template what "
            "it was trained on",
        )


def _converted(folder: Path, trust_remote_code: bool) -> Path:
    digest = hashlib.sha256(f"{version('transformers')} {trust_remote_code}".encode())
    sources = sorted({p for pattern in MADE_FROM for p in folder.glob(pattern) if p.is_file()})
    for path in sources:
        digest.update(path.name.encode() + path.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "swiftkit" / "tokenizers"
    kept = home / f"{digest.hexdigest()[:32]}.json"
    if kept.is_file():
        return kept
    if not any(path.name != "config.json" for path in sources):
        raise SwiftkitError(f"{folder} has no tokenizer (tokenizer.json)", "download the model again")
    logger.info("reading the tokenizer of %s for the first time", folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SwiftkitError(
            f"{home} cannot be made: {error.strerror}", "XDG_CACHE_HOME names another folder"
        ) from error
    command = [sys.executable, "-m", "swiftkit.worker.tokenizer", str(folder.resolve()), str(kept)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*command, str(int(trust_remote_code))], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise SwiftkitError(f"{folder}: transformers cannot read the tokenizer: {said[-1]}", "download the model again")
    return kept
