"""Few-shot examples: solved rows of the training data in front of every question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress

from swiftkit.data import contamination, instruct
from swiftkit.errors import SwiftkitError
from swiftkit.schema import Example, Message


def sample_few_shot(
    rows: Sequence[Example], questions: Sequence[Example], count: int, instruction: str, seed: int
) -> list[Message]:
    """The turns of `count` solved rows, with the questions' instruction; none of them is one of the questions.

    Raises:
        SwiftkitError: there are not enough rows.
    """
    keys, usable = {contamination.question_key(example) for example in questions}, []
    for example in rows:
        if example.text is None and contamination.question_key(example) not in keys:
            with suppress(ValueError):  # without a value for the marker, it does not show the format
                usable.append(instruct.add_instruction(instruct.strip_instruction(example), instruction))
    if len(usable) < count:
        raise SwiftkitError(
            f"--few_shot {count}: the training data has {len(usable)} rows that are not questions of the exam",
            "name the training data with --train_dataset",
        )
    sampled = random.Random(seed).sample(range(len(usable)), count)
    return [message for index in sampled for message in usable[index].messages[-2:]]
