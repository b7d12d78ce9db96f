"""What looks at a growing number of pairs may spend each, where together they may be wrong so often. Pure.

Sums of signed ranks after 10 and after 12 of the same pairs are nearly the same sum: who was not misled by the first
will hardly be by the second. A union bound adds their chances as if they had nothing in common. Without a difference
each order of ranks and each row of signs is as likely as any other, whatever the noise is, as long as it is one noise:
so the chance that looks have together is the same for all data, and is counted over random orders with a fixed seed.

Were the noise to change so much between looks that a sum forgets the one before, the levels would add up: with the
usual looks to 1.75 times what was to be spent.

For the sums of `judge.pair_ranks` that is an approximation: their ranks are of values among their neighbours. Drawn at
the margin, with noise of five kinds, they spend 0.04 to 0.05 of 0.05.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchharness.judge.signed_ranks import chances_at_most

_SEED = 20_261_129
#: Pairs of all orders drawn, each twice with its mirror image: 100,000 orders of 20 pairs, 20,000 of 100, 4,000 of 500.
#: The standard error of 5 % that looks have together is a hundredth of it with 20 pairs, a fiftieth with 100, a
#: twentieth with 500: 100,000 orders of 500 pairs would be 600 times the work of those of 20.
_CELLS = 2_000_000


@lru_cache(maxsize=16)
def levels(looks: tuple[int, ...], error: float) -> tuple[float, ...]:
    """Of each look the chance, were it the only one, that it may have; by pairs made they spend `error` in all.

    A level is a chance that the signed ranks of so many pairs do have. 0.0: nothing that a look sees is so unlikely.
    """
    sums = _sums_at(looks)
    ended = np.zeros(sums.shape[1], dtype=bool)
    found = []
    for pairs, reached in zip(looks, sums, strict=True):
        alone = chances_at_most(pairs)  # by the least sums: 0, 1, 2, …
        # Those that an earlier look has ended, and this one would not have.
        others = np.count_nonzero(ended) - np.cumsum(np.bincount(reached[ended], minlength=alone.size))
        together = alone + others / ended.size
        unlikely = int(np.searchsorted(together, error * pairs / looks[-1], side="right"))
        ended |= reached < unlikely
        found.append(float(alone[unlikely - 1]) if unlikely else 0.0)
    return tuple(found)


def _sums_at(looks: Sequence[int]) -> NDArray[np.int32]:
    """By look and order the sum of the negative ranks of the pairs so far: how many Walsh averages are below zero.

    Of each order drawn the one with all signs turned is another.
    """
    most = looks[-1]
    drawn = np.random.default_rng(_SEED).uniform(-1, 1, (most, max(_CELLS // most, 1))).astype(np.float32)
    below = np.empty(drawn.shape, dtype=np.int32)
    for pair in range(most):
        below[pair] = np.count_nonzero(drawn[: pair + 1] < -drawn[pair], axis=0)
    sums = np.cumsum(below, axis=0, dtype=np.int32)[[pairs - 1 for pairs in looks]]
    all_ranks = np.array([[pairs * (pairs + 1) // 2] for pairs in looks], dtype=np.int32)
    return np.concatenate((sums, all_ranks - sums), axis=1)
