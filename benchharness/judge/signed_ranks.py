"""Sums of ranks with signs, and their chance where each sign is as likely as its opposite, with ties and zeros. Pure.

Ties and zeros are common here: memory comes in pages. scipy's exact distribution knows neither, so it is counted out:
under no difference every sign is as likely as its opposite, and each pair's rank goes to either sum. Pairs without a
difference take part in the ranking and in no sum (Pratt 1959). Which ranks these are, `judge.pair_ranks` says.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: More pairs than this nobody makes; the distribution is counted out in a table of n^2 entries.
_MOST_PAIRS = 1000
#: Of more the chance of a sum is not counted out, where it is asked for a hundred times.
_MOST_COUNTED = 100

Floats = NDArray[np.float64]


def doubled_ranks(differences: Floats) -> NDArray[np.int_]:
    """Wilcoxon's: ranks of how large differences are, with their signs, doubled: halves are whole; 0 where none is."""
    found: NDArray[np.int_] = twice_ranked(np.abs(differences)) * np.sign(differences).astype(int)
    return found


def twice_ranked(values: Floats) -> NDArray[np.int_]:
    """Twice the rank of each value in its row, those that are alike with the middle of theirs; any number of rows.

    As scipy's, without loading it. Shape as `values`.
    """
    if not values.size:
        return np.zeros(values.shape, int)
    size = values.shape[-1]
    rows = values.reshape(-1, size)
    first = size * np.arange(len(rows))[:, None]
    order = (np.argsort(rows, axis=1, kind="stable") + first).ravel()
    ordered = rows.ravel()[order]
    differs = np.ones(ordered.size + 1, bool)
    differs[1:-1] = ordered[1:] != ordered[:-1]
    differs[:-1:size] = True  # where a row begins
    begins = np.flatnonzero(differs)
    found = np.empty(ordered.size, int)
    found[order] = np.repeat(begins[:-1] + begins[1:] + 1, np.diff(begins))
    ranks: NDArray[np.int_] = (found.reshape(rows.shape) - 2 * first).reshape(values.shape)
    return ranks


def chance_above(signed: NDArray[np.int_]) -> float:
    """The chance of a sum of positive ones at least this large, where each sign is as likely as its opposite.

    1.0 where all are zero. Of more than 100 it is the normal one of half a step less: terms that are bounded have tails
    no thicker than that, and of ties the steps are long. Raises `ValueError` for more than 1,000.
    """
    if signed.size > _MOST_PAIRS:
        raise ValueError(f"{signed.size} pairs; the signed ranks are of {_MOST_PAIRS} at most")
    kept = np.abs(signed[signed != 0])
    if not kept.size:
        return 1.0
    if kept.size > _MOST_COUNTED:
        half_step = int(np.gcd.reduce(kept))  # a sign that turns moves the sum by twice its rank
        return math.erfc(float(signed.sum() - half_step) / math.sqrt(2 * float((kept.astype(float) ** 2).sum()))) / 2
    return float(_sums_of(tuple(kept.tolist()))[int(signed[signed > 0].sum()) :].sum())


def chances_at_most(pairs: int) -> Floats:
    """How likely a sum of so many ranks without ties is at most 0, 1, 2, … without a difference."""
    return np.cumsum(_sums(np.arange(1, pairs + 1)))


@lru_cache(maxsize=64)
def _sums_of(ranks: tuple[int, ...]) -> Floats:
    """`_sums`, once where an interval asks for the same again: signs have turned. Never to be changed."""
    return _sums(np.array(ranks))


def _sums(ranks: NDArray[np.int_]) -> Floats:
    """The chance of each sum, from 0 up, where every rank is in it or not, as likely the one as the other."""
    if ranks.size > _MOST_PAIRS:
        raise ValueError(f"{ranks.size} pairs; the signed ranks are of {_MOST_PAIRS} at most")
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    filled = 1
    for rank in ranks.tolist():
        before = chances[:filled] / 2
        chances[:filled] = before
        chances[rank : filled + rank] += before
        filled += rank
    return chances
