"""Intervals over inputs for ratios of sums and for skewed means: how much they would move, had other inputs been drawn.

Errors of a compressed model are skewed: most inputs lose little, a few lose much. The percentile bootstrap then
promises too much: with log-normal noise its 95 % intervals hold 92 % (sigma 0.5) and 85 % (sigma 1) at 20 inputs. What
is done here holds 93 to 97 % at 20, 100 and 500 inputs up to sigma 0.75; at sigma 1, where one input in forty is seven
times noisier than the middle one, 92 % at 20 and 94 % at 500: `python -m benchmarks coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchharness.judge import student
from benchharness.judge.student import LEVEL
from benchharness.results.result import Estimate
from benchharness.units import percent_text

Floats = NDArray[np.float64]

#: Fewer inputs than this carry no interval: the skewness that it is corrected for cannot be told.
FEWEST_SKEWED = 20
#: Where the squares of the inputs' shares add up to more, fewer than four inputs make most of the sum (Kish's effective
#: number): how large the few that were not drawn may be is not in the data, and an interval would be made up.
_MOST_CONCENTRATED = 1 / 4
_DRAWS, _BLOCK = 5000, 250
_SEED = 20_260_301


def ratio_of_sums(
    above: Sequence[float] | Floats,
    below: Sequence[float] | Floats | None,
    *,
    statistic: str,
    unit: str = "inputs",
    through: Callable[[float], float] = float,
) -> Estimate:
    """sum of `above` / sum of `below` (None: their mean) over inputs, and its 95 % interval, both `through` a rising or
    falling function. Numbers are at least 0, and both sums are positive or the whole of `above` is 0.

    Pairs are drawn together (their signal and noise belong to one input) and the ratio of the sums is taken again.
    The interval's ends are the outer ones of two: BCa, its normal quantiles widened to Student's t as the bootstrap is
    too narrow by for few inputs; and bootstrap-t of the logarithm, which follows the skewness further.
    """
    one = np.asarray(above, dtype=np.float64)
    other = np.ones_like(one) if below is None else np.asarray(below, dtype=np.float64)
    if not one.size:
        return Estimate(value=None, statistic=statistic, reason=f"no {unit}")
    value = through(float(one.sum() / other.sum()))
    found = Estimate(value=value, count=1, statistic=statistic, drawn=int(one.size), drawn_unit=unit)
    if one.size < FEWEST_SKEWED:
        return replace(found, reason=f"{one.size} {unit}, and an interval needs {FEWEST_SKEWED}")
    if not one.any() or (other.all() and np.ptp(one / other) == 0):
        return replace(found, low=value, high=value)
    carried = one / one.sum()
    if float((carried**2).sum()) > _MOST_CONCENTRATED:
        most = percent_text(float(carried.max()))
        reason = f"it hangs on few {unit}: one of {one.size} carries {most} of it; more {unit} would tell"
        return replace(found, reason=reason)
    ends = _ends(one, other)
    if ends is None:
        some = int(min(np.count_nonzero(one), np.count_nonzero(other)))
        return replace(found, reason=f"{some} of {one.size} {unit} make all of it: too few for an interval")
    low, high = sorted(through(math.exp(end)) for end in ends)
    return replace(found, low=low, high=high)


def _ends(above: Floats, below: Floats) -> tuple[float, float] | None:
    """Of the ratio's logarithm; None where a draw, or all inputs but one, leave a sum of 0."""
    whole = math.log(above.sum() / below.sum())
    rest, other_rest = above.sum() - above, below.sum() - below
    drawn, errors = _drawn(above, below)
    if not np.isfinite(drawn).all() or min(rest.min(), other_rest.min()) <= 0:
        return None
    left_out = np.log(rest) - np.log(other_rest)
    apart = left_out.mean() - left_out
    apart /= np.abs(apart).max() or 1.0
    acceleration = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5)) if apart.any() else 0.0
    below_whole = float((drawn < whole).mean() + (drawn == whole).mean() / 2)
    if not 0 < below_whole < 1:
        return None
    bias = float(special.ndtri(below_whole))
    size = above.size
    wide = student.quantile(size - 1) * math.sqrt(size / (size - 1))
    quantiles = [float(special.ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))) for z in (-wide, wide)]
    corrected = np.quantile(drawn, quantiles)
    # An interval of the studentised deviation turns around: its upper end gives the lower one.
    deviations = np.quantile((drawn - whole) / errors, ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
    studentised = whole - deviations * _error(above[None], below[None])
    return min(float(corrected[0]), float(studentised[0])), max(float(corrected[1]), float(studentised[1]))


def _drawn(above: Floats, below: Floats) -> tuple[Floats, Floats]:
    """The logarithm of the ratio of each draw, and its standard error."""
    generator = np.random.default_rng(_SEED)
    ratios, errors = np.empty(_DRAWS), np.empty(_DRAWS)
    with np.errstate(divide="ignore", invalid="ignore"):  # a sum of 0
        for start in range(0, _DRAWS, _BLOCK):  # the indices of all draws need not fit in memory
            indices = generator.integers(0, above.size, (_BLOCK, above.size))
            one, other = above[indices], below[indices]
            ratios[start : start + _BLOCK] = np.log(one.sum(axis=1)) - np.log(other.sum(axis=1))
            errors[start : start + _BLOCK] = _error(one, other)
    return ratios, np.maximum(errors, np.finfo(np.float64).tiny)


def _error(above: Floats, below: Floats) -> Floats:
    """The standard error of the logarithm of a ratio of sums, by how much each input pulls at it."""
    pulls = above / above.sum(axis=1, keepdims=True) - below / below.sum(axis=1, keepdims=True)
    found: Floats = np.sqrt((pulls**2).sum(axis=1))
    return found
