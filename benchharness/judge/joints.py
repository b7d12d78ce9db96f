"""Nights that a bridge joins to others: how surely a level is another one where the bridge's error looks like a step.

Every night beside one base has the error of the bridge that joins it, and all have the same. A difference of levels
across the joint is no surer than the bridge; one within the nights of a base has nothing of it. Both follow from
generalised least squares, the error being a random effect whose variance the bridge's pairs tell (Henderson 1975,
doi:10.2307/2529430).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TINY = 1e-24  # of a variance


@dataclass(frozen=True, kw_only=True)
class SharedError:
    """An error that many values of a series have alike.

    `of` says by value how often it is in it: -1, 0 or 1. What all values share moves no step.
    """

    of: Floats
    variance: float
    freedom: float


@dataclass(frozen=True, kw_only=True)
class Differences:
    """By row and place of a cut the level after it less that before it, its variance, and that one's freedom."""

    sizes: Floats
    variances: Floats
    freedoms: Floats


def errors_within(errors: Sequence[SharedError], start: int, end: int) -> list[SharedError]:
    """The errors of a stretch: those that some of its values have, and not all alike."""
    parts = [replace(each, of=each.of[start:end]) for each in errors]
    return [each for each in parts if np.ptp(each.of) > 0]


def differences(
    rows: Floats, cuts: NDArray[np.intp], errors: Sequence[Sequence[SharedError]], shrunk: Floats, freedom: Floats
) -> Differences:
    """Of series that are joined alike: by row its errors, the same nights in each, of a size of their own.

    `shrunk` is by row what is left of a squared t where nights share something, `freedom` the degrees of freedom that
    a cut without errors has. What scatters beside the errors is taken from the cut that leaves the least of it, each
    error free to be anything, and so at the price of a degree of freedom.
    """
    count, (first, *_) = rows.shape[1], errors
    own, moved = rows - rows.mean(axis=1, keepdims=True), np.array([each.of - each.of.mean() for each in first])
    # A step's indicator, less its mean, times anything whose mean is 0, is the sum of that after the cut.
    with_own, with_moved = (-np.cumsum(each, axis=1)[:, cuts - 1] for each in (own, moved))
    squares, both = cuts * (count - cuts) / count, own @ moved.T
    alike = moved @ moved.T
    free = np.linalg.pinv(alike)
    left = squares - (with_moved * (free @ with_moved)).sum(axis=0)
    apart = np.broadcast_to(left > 1e-9 * squares, with_own.shape)  # else a step there is what an error does, too
    gains = np.divide((with_own - both @ free @ with_moved) ** 2, left, out=np.zeros(with_own.shape), where=apart)
    rest = (own**2).sum(axis=1) - ((both @ free) * both).sum(axis=1) - gains.max(axis=1)
    scatter = np.maximum(rest / max(count - 2 - len(first), 1), _TINY) / shrunk
    sizes = np.array([[each.variance for each in row] for row in errors])
    known = np.linalg.inv(alike + np.eye(len(first)) * (scatter[:, None] / sizes)[:, None, :])
    held = squares - (with_moved * (known @ with_moved)).sum(axis=1)
    taken = (both[:, None, :] @ known @ with_moved)[:, 0, :]
    variances, alone = scatter[:, None] / held, scatter[:, None] / squares
    freedom = np.maximum(freedom - len(first), 1.0)
    theirs = np.array([min(each.freedom for each in row) for row in errors])[:, None]
    return Differences(
        sizes=(with_own - taken) / held,
        variances=variances,
        # Welch and Satterthwaite's
        freedoms=variances**2 / (alone**2 / freedom[:, None] + (variances - alone) ** 2 / theirs),
    )
