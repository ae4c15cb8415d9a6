"""What columns mean: names of other tools, `--columns`, and those that must never be dropped silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from swiftkit.errors import SwiftkitError

TYPE_COLUMN = "type"  # in any format: the type of question, by which exam scores are broken down
SYSTEM = ("system", "system_prompt")
# In front of the question, in this order, each followed by a blank line.
CONTEXT = ("schema", "table", "context", "passage", "document", "documents")
CHOICES = ("choices", "options")  # below the question, one a line: `A. …`
REASONING = ("reasoning_content", "reasoning", "thinking", "thought", "cot")  # in front of the answer
LOSS = ("weight", "loss", "train")  # of a row or a turn: 0 or 1
# Columns to which other tools give a meaning that would be lost here, with what to do about them.
REFUSED = {
    **dict.fromkeys(
        ("images", "image", "videos", "video", "audios", "audio", "objects"), "swiftkit trains on text only"
    ),
    **dict.fromkeys(("tools", "functions", "tool_calls", "function_call"), "tool calls are not supported"),
    **dict.fromkeys(
        ("chosen", "rejected", "rejected_response", "rejected_messages", "rejected_output", "negative"),
        "this is a preference pair; to train on the preferred answers only, remove the column",
    ),
    "enable_thinking": "choose a model of the right family instead (`swiftkit models`), and remove the column",
}
# Columns that say whether an answer is good (KTO); as other values than true and false they are mere labels.
FLAGS = ("label", "kto_tag", "is_good", "is_desirable", "desirable")
# Names of columns that never change what a row means.
HARMLESS = {
    *("", "id", "ids", "uid", "uuid", "idx", "index", "row", "no", "number", "unnamed: 0", "__index_level_0__"),
    *("source", "data_source", "dataset", "dataset_name", "origin", "url", "link", "file", "license", "author"),
    *("date", "time", "timestamp", "created", "created_at", "updated_at", "year"),
    *("score", "scores", "rating", "ratings", "quality", "votes", "upvotes", "confidence", "perplexity"),
    *("category", "categories", "topic", "subject", "tag", "tags", "title", "domain", "task", "difficulty", "level"),
    *("language", "lang", "model", "model_name", "generator", "meta", "metadata", "original_question"),
    *("num_tokens", "n_tokens", "token_count", "length", "lengths", "num_turns", "turn"),
}
_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
MAX_LETTERS = 2  # of the name of a choice: A, B, 10
EMPTY: tuple[Any, ...] = (None, "", [], {})


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """`--columns question=prompt …` as a dictionary: what a column means to its name in the file.

    Raises:
        SwiftkitError: a word is not of this form, or a name is used twice.
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        meaning, equals, column = pair.partition("=")
        if not equals or not meaning or not column:
            raise SwiftkitError(
                f"--columns {pair}: not of the form NAME=COLUMN", "--columns question=prompt answer=reply"
            )
        if meaning in mapping or column in mapping.values():
            raise SwiftkitError(f"--columns {pair}: the name stands in another pair as well", "name every column once")
        mapping[meaning] = column
    return mapping


def rename(row: Mapping[str, Any], mapping: Mapping[str, str], known: Iterable[str] = ()) -> dict[str, Any]:
    """A row with the names that swiftkit uses: first those of `mapping`, then `known` ones without regard to case.

    Args:
        row: as in the file.
        mapping: what a column means to its name in the file.
        known: lower-case names that mean something.

    Raises:
        ValueError: the row has no column of the mapping.
    """
    missing = [column for column in mapping.values() if column not in row]
    if missing:
        raise ValueError(f"no column `{missing[0]}`, which --columns names")
    taken = {column: meaning for meaning, column in mapping.items()}
    renamed: dict[str, Any] = {}
    for column, value in row.items():
        if column in taken:
            renamed[taken[column]] = value
        elif column not in mapping:  # a column whose name now belongs to another one is not used
            plain = str(column).strip().lower()
            is_free = plain in known and plain not in row and plain not in renamed
            renamed[plain if is_free else column] = value
    return renamed


def flag(value: Any) -> bool | None:
    """What 0 and 1, true and false, mean in CSV, JSON and Parquet alike; None if the value is none of them."""
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def has_loss(place: Mapping[str, Any], what: str) -> bool:
    """Whether a row or turn is trained on, by its `weight`, `loss` or `train`; true if it has none of them.

    Raises:
        ValueError: the value is neither 0 nor 1.
    """
    trained = True
    for name in LOSS:
        if (value := place.get(name)) in EMPTY:
            continue
        is_trained = flag(value)
        if is_trained is None:
            raise ValueError(f"{what} has {name} {value!r}; only 0 and 1 (true and false) are supported")
        trained = trained and is_trained
    return trained


def check_meaning(row: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a row with a column whose meaning would be lost.

    Raises:
        ValueError: the column, and what to do about it.
    """
    understood = set(known)
    for name, value in row.items():
        if name in REFUSED and name not in understood and value not in EMPTY:
            meaning = "dropping it would change the meaning of the row"
            raise ValueError(f"column `{name}` is not supported, and {meaning}: {REFUSED[name]}")


def check_flags(rows: Iterable[tuple[str, Mapping[str, Any]]], known: Iterable[str]) -> None:
    """Refuse rows of which a column says whether their answer is good (KTO): all of them would be trained on.

    Raises:
        SwiftkitError: the first place of a row whose answer is bad.
    """
    understood = set(known)
    values: dict[str, Counter[bool | None]] = {}
    first_bad: dict[str, str] = {}
    for place, row in rows:
        for name in FLAGS:
            if name in understood or row.get(name) in EMPTY:
                continue
            value = flag(row[name])
            values.setdefault(name, Counter())[value] += 1
            if value is False:
                first_bad.setdefault(name, place)
    for name, counts in values.items():
        if None not in counts and name in first_bad:
            raise SwiftkitError(
                f"{first_bad[name]}: `{name}` says that the answer is not desirable, and supervised fine-tuning would "
                f"train on it ({counts[False]:,} such rows)",
                f"remove these rows, or remove the column `{name}` if it means something else",
            )


def is_harmless(name: str) -> bool:
    """Whether a column may be left out without a word: ids, sources, scores, dates and the like."""
    plain = str(name).strip().lower()
    return plain in HARMLESS or plain.endswith(("_id", "_idx", "_url")) or plain.startswith("meta_")


def put_in_front(row: Mapping[str, Any], question: str) -> str:
    """The question below the row's context and above its choices.

    Raises:
        ValueError: one of these columns has neither text nor texts.
    """
    parts = [_text_of(name, row[name]) for name in CONTEXT if row.get(name) not in EMPTY]
    text = "\n\n".join([*(part for part in parts if part.strip()), question])
    lines = _choices(row)
    return "\n".join([text, *(f"{letter}. {choice}" for letter, choice in lines.items())])


def choice_of(row: Mapping[str, Any], answer: Any) -> Any:
    """The answer; if it is the number of a choice (counted from 0, as MMLU does), that choice's letter.

    Raises:
        ValueError: the number may be meant in two ways.
    """
    lines = _choices(row)
    if not lines or isinstance(answer, bool) or not isinstance(answer, int):
        return answer
    is_choice, is_position = str(answer) in lines.values(), 0 <= answer < len(lines)
    if is_choice == is_position:
        how = "may be a choice or its number" if is_choice else "is neither a choice nor its number"
        raise ValueError(f"the answer {answer} {how}; write it as a letter or as text")
    return str(answer) if is_choice else list(lines)[answer]


def _choices(row: Mapping[str, Any]) -> dict[str, str]:
    """Letter to choice; empty if the row has none."""
    name = next((name for name in CHOICES if row.get(name) not in EMPTY), None)
    if name is None:
        return {}
    value = row[name]
    if isinstance(value, Mapping) and {"label", "text"} <= set(value):  # as ARC writes them
        value = dict(zip(value["label"], value["text"], strict=False))
    if isinstance(value, list):
        value = {chr(ord("A") + number): choice for number, choice in enumerate(value)}
    filled = {key: text for key, text in value.items() if text not in EMPTY} if isinstance(value, Mapping) else None
    is_lettered = filled is not None and all(len(str(letter)) <= MAX_LETTERS for letter in filled)
    if filled is None or not is_lettered or not all(isinstance(text, str | int | float) for text in filled.values()):
        raise ValueError(
            f"{name} must be a list of texts, or texts by letter; rename the column if it is something else"
        )
    return {str(letter): str(text) for letter, text in filled.items()}


def _text_of(name: str, value: Any) -> str:
    """A text, or the texts of a list of texts or of objects with `text`, with blank lines between them."""
    if isinstance(value, str):
        return value
    items = value if isinstance(value, list) else []
    texts = [item.get("text") if isinstance(item, Mapping) else item for item in items]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} must be text, or a list of texts")
    return "\n\n".join(map(str, texts))
