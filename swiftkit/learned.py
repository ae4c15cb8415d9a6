"""What a run was trained on: which exam questions stand in it, and solved examples out of it."""

from __future__ import annotations

import json
import random
from contextlib import suppress

from swiftkit import instruct
from swiftkit import overlap as overlaps
from swiftkit.errors import SwiftkitError
from swiftkit.runs import Run
from swiftkit.schema import Example, Message


def rows(run: Run | None, part: str = "train") -> list[Example]:
    """Rows that a run has kept, `train` or `validation`, prompts as they were trained; plain text is left out.

    Raises:
        SwiftkitError: the file is broken.
    """
    path = run.path / "data" / f"{part}.jsonl" if run else None
    if path is None or not path.is_file():
        return []
    found = []
    with path.open(encoding="utf-8", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
                if "messages" in row:
                    found.append(Example(tuple(row["messages"]), row["source"], type=row.get("type")))
            except (ValueError, TypeError, KeyError) as error:
                raise SwiftkitError(f"{path}:{number} is broken: {error}", "the run's folder was changed") from error
    return found


def overlap(asked: list[Example], run: Run | None) -> list[str]:
    """A note, if questions stand in what the run was trained on."""
    both = len(overlaps.same(asked, rows(run)))
    if not both:
        return []
    return [f"{both:,} of {len(asked):,} questions stand in the training data: the mark flatters a trained model"]


def shown(learnt: list[Example], asked: list[Example], count: int, instruction: str, seed: int) -> list[Message]:
    """The turns of `count` solved examples, with the questions' instruction; none of them is asked.

    Raises:
        SwiftkitError: there are not as many.
    """
    known, usable = {overlaps.key(example) for example in asked}, []
    for example in learnt:
        if example.text is None and overlaps.key(example) not in known:
            with suppress(ValueError):  # without a value for the marker it is no example of the format
                usable.append(instruct.apply(instruct.without(example), instruction))
    if len(usable) < count:
        raise SwiftkitError(
            f"--examples {count}: the training data has {len(usable)} rows that are not asked",
            "name the training data with --train_dataset",
        )
    chosen = random.Random(seed).sample(range(len(usable)), count)
    return [message for index in chosen for message in usable[index].messages[-2:]]
