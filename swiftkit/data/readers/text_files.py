"""The text of a file: decompressed, decoded, and refused by name where it is something else."""

from __future__ import annotations

import gzip
import io
import unicodedata
from pathlib import Path

from swiftkit.errors import SwiftkitError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}
NUM_LINES_SHOWN = 3
MAX_LINE_SHOWN = 100  # characters
MAX_DETECTION_BYTES = 1 << 20
MAX_ENCODINGS_SHOWN = 3


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, decompressed if they are gzip or zstd, whatever its name is.

    Raises:
        SwiftkitError: the file is no data at all: a pointer of git-lfs, or a web page; or it is damaged.
    """
    content = path.read_bytes()
    try:
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        elif content.startswith(_ZSTD):
            import pyarrow

            content = pyarrow.CompressedInputStream(io.BytesIO(content), "zstd").read()
    except (OSError, EOFError) as error:
        raise SwiftkitError(f"{path}: the compressed file is damaged: {error}", "download it again") from error
    start = content[:200].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise SwiftkitError(f"{path} is a pointer of git-lfs, not the data", "fetch the data: git lfs pull")
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise SwiftkitError(f"{path} is a web page, not the data", "download the file itself (the `raw` link)")
    return content


def start_of(path: Path) -> bytes:
    """The first bytes of a file's content without white space, by which its type may be recognized."""
    return read_bytes(path)[:64].removeprefix(b"\xef\xbb\xbf").lstrip() if path.is_file() else b""


def read_text(path: Path, encoding: str | None = None) -> str:
    """The text of a file.

    Args:
        path: the file.
        encoding: None: by its byte order mark, else UTF-8.

    Raises:
        SwiftkitError: it is not text in that encoding; the message shows it in those that it may be.
    """
    content = read_bytes(path)
    mark = next((name for start, name in _BYTE_ORDER_MARKS.items() if content.startswith(start)), None)
    name = encoding or mark or "utf-8"
    try:
        return content.decode(name)
    except LookupError as error:
        raise SwiftkitError(f"--encoding {name} is not known", "for example utf-8, cp1252, gb18030, latin-1") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SwiftkitError(
            f"{path}:{line}: not {name.upper()} (byte {content[error.start]:#04x}){_previews(content)}",
            "choose the encoding in which the text is right: --encoding NAME; or save the file as UTF-8",
        ) from error


def _previews(content: bytes) -> str:
    """The first lines that are not ASCII, in each encoding that they may have."""
    shown = ""
    lines = [line for line in content[:MAX_DETECTION_BYTES].splitlines() if not line.isascii()][:NUM_LINES_SHOWN]
    for name in _likely_encodings(content):
        try:
            text = "\n".join("    " + line.decode(name)[:MAX_LINE_SHOWN] for line in lines)
        except UnicodeDecodeError:
            continue
        if any(unicodedata.category(character) in ("Cc", "Cn", "Co") for character in text if character not in "\n\t"):
            continue  # not a text in this encoding, and not for a terminal
        shown += f"\n  as {name}:\n{text}"
    return shown


def _likely_encodings(content: bytes) -> list[str]:
    """Likely encodings, best first; of those that give the same text, one."""
    from charset_normalizer import from_bytes

    start = content[:MAX_DETECTION_BYTES]
    detected = [match.encoding for match in from_bytes(start)][:2]
    by_text: dict[str, str] = {}
    for name in ("cp1252", "gb18030", "shift_jis", *detected):  # the common name for what several decode alike
        try:
            by_text.setdefault(start.decode(name), name)
        except UnicodeDecodeError:
            continue
    best = [text for name in detected for text in by_text if text == start.decode(name)]
    return list(dict.fromkeys(by_text[text] for text in (*best, *by_text)))[:MAX_ENCODINGS_SHOWN]
