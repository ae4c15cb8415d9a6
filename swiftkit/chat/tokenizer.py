"""The tokenizer of a model folder as transformers builds it, without importing transformers.

transformers 5 does not always use a folder's tokenizer.json as it is: for some architectures (Qwen2) it rebuilds the
tokenizer from vocabulary and merges, for others it converts a SentencePiece model. The result is written to a file
once, by a process of its own, and cached under the hash of everything that it was built from.
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
WORKER = "swiftkit.worker.tokenizer"
SOURCE_FILES = ("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map.json", "config.json")


def load(folder: Path, *, use_tokenizer_json: bool = False, trust_remote_code: bool = False) -> Tokenizer:
    """The tokenizer of a model folder; arguments and errors are those of `find`."""
    return read(find(folder, use_tokenizer_json=use_tokenizer_json, trust_remote_code=trust_remote_code))


def find(folder: Path, *, use_tokenizer_json: bool = False, trust_remote_code: bool = False) -> Path:
    """The tokenizer.json to use for a model folder.

    Args:
        folder: a model folder.
        use_tokenizer_json: use its own tokenizer.json; for bundled models, for which a test shows that transformers
            changes nothing.
        trust_remote_code: let transformers run the folder's own tokenizer code.

    Raises:
        SwiftkitError: transformers cannot read it.
    """
    return folder / "tokenizer.json" if use_tokenizer_json else _converted(folder, trust_remote_code)


def read(path: Path) -> Tokenizer:
    """The tokenizer in a tokenizer.json.

    Raises:
        SwiftkitError: the file does not hold one.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise SwiftkitError(f"{path} is not a tokenizer: {error}", "download the model again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def special_tokens(tokenizer: Tokenizer) -> list[str]:
    """The tokens that the tokenizer splits off before it looks at the rest of a text, in the order of their ids."""
    return [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items())]


def check(tokenizer: Tokenizer, folder: Path, config: Mapping[str, Any], special: Iterable[str] = ()) -> None:
    """Refuse a tokenizer that belongs to another model.

    Args:
        tokenizer: the folder's.
        folder: for messages.
        config: its config.json.
        special: what the family's template writes as single tokens.

    Raises:
        SwiftkitError: it has more tokens than the model, or splits a special token into pieces.
    """
    vocab_size = int(config.get("vocab_size") or 0)
    # Tokens added beyond the vocabulary may serve another purpose, such as Gemma 3's for images.
    needed = [tokenizer.get_vocab_size(with_added_tokens=False)]
    needed += [1 + token for text in special if (token := tokenizer.token_to_id(text)) is not None]
    if vocab_size and max(needed) > vocab_size:
        raise SwiftkitError(
            f"{folder}: the tokenizer has {tokenizer.get_vocab_size():,} tokens, the model {vocab_size:,}",
            "tokenizer and weights do not belong to the same model",
        )
    missing = [token for token in special if len(tokenizer.encode(token, add_special_tokens=False).ids) != 1]
    if missing:
        raise SwiftkitError(
            f"{folder}: the tokenizer has no token for {', '.join(missing)}, which the chat template writes; "
            "the model would be trained on pieces of it",
            "the model belongs to another family: choose it with --model_type; the folder's own chat template shows "
            "which format it was trained on",
        )


def _converted(folder: Path, trust_remote_code: bool) -> Path:
    """The cached result of transformers' conversion, built on first use."""
    digest = hashlib.sha256(f"{version('transformers')} {trust_remote_code}".encode())
    sources = sorted({p for pattern in SOURCE_FILES for p in folder.glob(pattern) if p.is_file()})
    for path in sources:
        digest.update(path.name.encode() + path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "swiftkit" / "tokenizers"
    cached = cache / f"{digest.hexdigest()[:32]}.json"
    if cached.is_file():
        return cached
    if not any(path.name != "config.json" for path in sources):
        raise SwiftkitError(f"{folder} has no tokenizer (tokenizer.json)", "download the model again")
    logger.info("converting the tokenizer of %s (first use)", folder)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SwiftkitError(
            f"{cache} cannot be created: {error.strerror}", "name another folder with XDG_CACHE_HOME"
        ) from error
    command = [sys.executable, "-m", WORKER, str(folder.resolve()), str(cached), str(int(trust_remote_code))]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason reported"])[-1]
        raise SwiftkitError(f"{folder}: transformers cannot read the tokenizer: {reason}", "download the model again")
    return cached
