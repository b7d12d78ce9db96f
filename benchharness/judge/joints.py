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
    """By place of a cut the level after it less that before it, its variance, and degrees of freedom of that."""

    sizes: Floats
    variances: Floats
    freedoms: Floats


def errors_within(errors: Sequence[SharedError], start: int, end: int) -> list[SharedError]:
    """The errors of a stretch: those that some of its values have, and not all alike."""
    parts = [replace(each, of=each.of[start:end]) for each in errors]
    return [each for each in parts if np.ptp(each.of) > 0]


def differences(
    values: Floats, cuts: NDArray[np.intp], errors: Sequence[SharedError], shrunk: float, freedom: float
) -> Differences:
    """Of values that share some errors. `shrunk` is what is left of a squared t where nights share something.

    What scatters beside the errors is taken from the cut that leaves the least of it, each error free to be anything.
    """
    count = len(values)
    own, moved = values - values.mean(), np.array([each.of - each.of.mean() for each in errors])
    # A step's indicator, less its mean, times anything whose mean is 0, is the sum of that after the cut.
    with_own = -np.cumsum(own)[cuts - 1]
    with_moved = -np.cumsum(moved, axis=1)[:, cuts - 1].T
    squares = cuts * (count - cuts) / count
    free = np.linalg.pinv(moved @ moved.T)
    left = _without(squares, with_moved, free, with_moved)
    apart = left > 1e-9 * squares  # else a step there is what an error does, too
    gains = np.divide(
        _without(with_own, with_moved, free, moved @ own) ** 2, left, out=np.zeros(len(cuts)), where=apart
    )
    rest = float(own @ own - (moved @ own) @ free @ (moved @ own)) - float(gains.max())
    scatter = max(rest / max(count - 2 - len(errors), 1), _TINY) / shrunk
    known = np.linalg.inv(moved @ moved.T + np.diag([scatter / each.variance for each in errors]))
    held = _without(squares, with_moved, known, with_moved)
    variances = scatter / held
    alone = scatter / squares
    theirs = min(each.freedom for each in errors)
    freedoms = variances**2 / (alone**2 / freedom + (variances - alone) ** 2 / theirs)  # Welch and Satterthwaite's
    return Differences(
        sizes=_without(with_own, with_moved, known, moved @ own) / held, variances=variances, freedoms=freedoms
    )


def _without(what: Floats, by_cut: Floats, through: Floats, other: Floats) -> Floats:
    """What is left of a product with the step where the errors took theirs: by cut."""
    taken = by_cut @ through
    found: Floats = what - (taken @ other if other.ndim == 1 else (taken * other).sum(axis=1))
    return found
