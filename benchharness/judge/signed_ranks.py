"""Wilcoxon's signed-rank test on logarithms of paired ratios, exact with ties and zeros, and what belongs to it. Pure.

Ties and zeros are common here: memory comes in pages. scipy's exact distribution knows neither, so it is counted out:
under no difference every sign is as likely as its opposite, and each pair's rank goes to either sum. Pairs without a
difference take part in the ranking and in no sum (Pratt 1959). The estimate is Hodges and Lehmann's: the median of
the means of all two pairs, each with itself too (Walsh averages); its interval are those of them that the same
distribution leaves in the middle (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.2 and 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: More pairs than this nobody makes; the distribution is counted out in a table of n^2 entries.
_MOST_PAIRS = 1000
#: Of more the chance of a sum is not counted out, where it is asked for a hundred times.
_MOST_COUNTED = 100

Floats = NDArray[np.float64]


def p_above(logarithms: Sequence[float]) -> float:
    """How likely a sum of positive ranks at least this large is without a difference: small where ratios are above 1.

    1.0 without a pair. Raises `ValueError` for more than 1,000 pairs.
    """
    return chance_above(doubled_ranks(np.asarray(logarithms, dtype=np.float64)))


def doubled_ranks(differences: Floats) -> NDArray[np.int_]:
    """The ranks of how large differences are, with their signs, doubled, so that halves are whole; 0 where none is."""
    found: NDArray[np.int_] = twice_ranked(np.abs(differences)) * np.sign(differences).astype(int)
    return found


def twice_ranked(values: Floats) -> NDArray[np.int_]:
    """Twice the rank of each value, those that are alike with the middle of theirs: as scipy's, without loading it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    found = np.empty(values.size, int)
    found[order] = np.repeat(begins[:-1] + begins[1:] + 1, np.diff(begins))
    return found


def chance_above(signed: NDArray[np.int_]) -> float:
    """The chance of a sum of positive ones at least this large, where each sign is as likely as its opposite.

    1.0 where all are zero. Of more than 100 it is the normal one: bounded terms have tails no thicker than that.
    """
    if signed.size > _MOST_PAIRS:
        raise ValueError(f"{signed.size} pairs; the signed ranks are of {_MOST_PAIRS} at most")
    kept = np.abs(signed[signed != 0])
    if not kept.size:
        return 1.0
    if kept.size > _MOST_COUNTED:
        return math.erfc(float(signed.sum()) / math.sqrt(2 * float((kept.astype(float) ** 2).sum()))) / 2
    return float(_sums(kept)[int(signed[signed > 0].sum()) :].sum())


def hodges_lehmann(logarithms: Sequence[float]) -> float:
    """The median of all Walsh averages. Raises `ValueError` without a pair."""
    return float(np.median(_walsh(logarithms)))


def interval(logarithms: Sequence[float], error: float) -> tuple[float, float] | None:
    """Where the true difference lies, missed on each side with a chance of at most `error`; None: too few pairs."""
    averages = _walsh(logarithms)
    outside = int(np.searchsorted(chances_at_most(len(logarithms)), error, side="right"))  # so many sums are unlikely
    if not outside:
        return None
    return float(averages[outside - 1]), float(averages[-outside])


def chances_at_most(pairs: int) -> Floats:
    """How likely a sum of so many ranks without ties is at most 0, 1, 2, … without a difference."""
    return np.cumsum(_sums(np.arange(1, pairs + 1)))


def _walsh(logarithms: Sequence[float]) -> Floats:
    """The means of all two, each with itself too, sorted."""
    values = np.asarray(logarithms, dtype=np.float64)
    if not 0 < values.size <= _MOST_PAIRS:
        raise ValueError(f"{values.size} pairs; the signed ranks are of 1 to {_MOST_PAIRS}")
    one, other = np.triu_indices(values.size)
    return np.sort((values[one] + values[other]) / 2)


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
