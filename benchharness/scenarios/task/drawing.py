"""Measures of a whole task, of documents that are drawn again: with one seed, so that two sides draw the same ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

_SEED = 20_260_301
#: The ends of a 95 % interval then move by a twentieth of its width from seed to seed.
DRAWS = 500
#: A measure that takes longer is drawn less often.
_LONGEST_S = 60.0


def redrawn(measure: Callable[[Sequence[int]], float], count: int, *, draws: int = DRAWS) -> list[float]:
    """A measure of documents by their places, drawn again and again with replacement.

    A draw of which it has no figure, such as one without a document of some class, ends them: there is no interval.
    """
    generator = np.random.default_rng(_SEED)
    until_s = time.monotonic() + _LONGEST_S
    found: list[float] = []
    for _ in range(draws):
        try:
            found.append(float(measure(generator.integers(0, count, count).tolist())))
        except Exception:  # a measure of somebody's own that some draw has no value of, such as one without a case
            return []
        if time.monotonic() > until_s:
            break
    return found
