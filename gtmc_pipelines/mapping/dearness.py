"""What an expression costs at its worst: tried on values as large and as awkward as it may ever be given."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from gtmc_pipelines.mapping.expressions import Expression
from gtmc_pipelines.model.errors import Reject

MOST_SECONDS = 0.15
"""Of processor time for one record: about a thousand times what an ordinary expression takes."""


def is_too_dear(expression: Expression) -> bool:
    """Whether one record could take more than MOST_SECONDS. Takes a moment itself, the longer the dearer."""
    if expression.is_constant or expression.is_direct:
        return False
    characters, elements = expression.limits
    for value in _awkward(characters, elements):
        record = dict.fromkeys((*expression.named, "field"), value)
        start = time.thread_time()
        with suppress(Reject):
            expression.evaluate(value, record, "")
        if time.thread_time() - start > MOST_SECONDS:
            return True
    return False


def _awkward(characters: int, elements: int) -> list[Any]:
    """Values within what an expression takes, each dear to some function."""
    references = max(1, characters // 3)
    size = min(references, 16_000)
    few = min(elements, 200)
    short = min(size, 1_450)  # split by space into as many parts as a loop may have
    return [
        "ab " * (short // 3),
        "ab " * (size // 3),
        "a" * size,
        "a@b.c," * (size // 6),
        ["ab " * (size // (20 * few) + 1)] * few,
        [{"name": "a", "email": "a@b.c"}] * (few // 4),
    ]
