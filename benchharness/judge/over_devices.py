"""What several devices say of their hardware target: the device is a random level. Pure.

A device's value is the geometric mean of its attempts, or of the ratios of its pairs. Which units of a hardware target
stand in a farm is chance, and units of one model differ by more than attempts on one of them do. So the interval is
Student's t over the devices' values, with a degree of freedom less than there are devices, and each device counts the
same: more attempts of one make no other unit known. It is never narrower than the attempts alone leave it: two devices
that happen to agree say nothing of a third.

`python -m benchmarks over_devices` has its coverage, and that of other methods; why this one is in
`docs/decisions/0049-units-differ.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from benchharness.judge import student
from benchharness.results.result import Estimate

#: What an interval over devices is counted in.
DEVICES = "devices"
#: The chance that any device of a figure is said to stand out where all are drawn alike.
ALPHA = 0.05
#: The fewest devices of which one can be told from the others: of two nobody knows which is the odd one.
FEWEST_TOLD_APART = 3
#: Figures that are closer to each other than this are so by the grain of a clock or of a page of memory, which tells
#: nothing of how far another unit may be.
_GRAIN = 0.001
_MOST_LOG = 700.0  # more than a double holds


@dataclass(frozen=True, kw_only=True)
class Level:
    """One device's value: the mean of logarithms, its standard error (None: one attempt), and of how many it is."""

    mean: float
    error: float | None
    count: int


def level_of(estimate: Estimate) -> Level | None:
    """A device's own estimate of `intervals` as a level; None where it has no value with a logarithm."""
    if estimate.value is None or not 0 < estimate.value < math.inf:
        return None
    error = None
    low, high = estimate.low, estimate.high
    if low is not None and high is not None and 0 < low <= high < math.inf and estimate.count > 1:
        error = (math.log(high) - math.log(low)) / 2 / student.quantile(estimate.count - 1)
    return Level(mean=math.log(estimate.value), error=error, count=estimate.count)


def over(levels: Sequence[Level], *, statistic: str) -> Estimate:
    """The hardware target's value and its 95 % interval. One device has none: nothing is known of another unit."""
    if not levels:
        return Estimate(value=None, statistic=statistic, reason="no device has a value")
    count = len(levels)
    middle = fmean(level.mean for level in levels)
    told = {"count": sum(level.count for level in levels), "drawn": count, "drawn_unit": DEVICES}
    if count == 1:
        reason = "one device: what it measured speaks of this unit alone"
        return Estimate(value=math.exp(middle), statistic=statistic, reason=reason, **told)  # type: ignore[arg-type]
    half = min(max(_between(levels), _within(levels)), _MOST_LOG)
    return Estimate(
        value=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        statistic=statistic,
        **told,  # type: ignore[arg-type]
    )


def _between(levels: Sequence[Level]) -> float:
    """Half the interval that the spread of the devices gives."""
    count = len(levels)
    return student.quantile(count - 1) * stdev(level.mean for level in levels) / math.sqrt(count)


def _within(levels: Sequence[Level]) -> float:
    """Half the interval that the attempts' errors give (Welch and Satterthwaite); 0 where none is known.

    An attempt of a device that made one alone is taken to be as unsure as an attempt of the others.
    """
    known = [(level.error**2, level.count) for level in levels if level.error is not None and level.count > 1]
    if not known or not any(variance for variance, _ in known):
        return 0.0
    alone = fmean(variance * count for variance, count in known), min(count for _, count in known)
    parts = [*known, *([alone] * (len(levels) - len(known)))]
    whole = sum(variance for variance, _ in parts)
    freedom = whole**2 / sum(variance**2 / (count - 1) for variance, count in parts)
    return student.quantile(freedom) * math.sqrt(whole) / len(levels)


@dataclass(frozen=True, kw_only=True)
class Farthest:
    """The device that is farthest from the mean of the others: which, by what factor, and whether chance explains it.

    `stands_out`: as far by chance in at most 5 % of figures, over all of their devices. `needed`: from what factor on
    it would have been; None where no distance would tell.
    """

    at: int
    factor: float
    stands_out: bool
    needed: float | None


def farthest(levels: Sequence[Level]) -> Farthest | None:
    """Of several devices the one that fits the others least; None of one, and where all have the same value.

    Each is held against the prediction interval of the others (Student's t, Bonferroni over devices), whose spread is
    taken to be no less than their attempts' own errors, and than a thousandth: two that agree to the byte are not known
    to have no spread.
    """
    count = len(levels)
    if count < 2 or len({level.mean for level in levels}) == 1:
        return None
    apart = [abs(level.mean - fmean(other.mean for other in _without(levels, at))) for at, level in enumerate(levels)]
    if count < FEWEST_TOLD_APART:
        at = max(range(count), key=lambda each: levels[each].mean)
        return Farthest(at=at, factor=math.exp(min(apart[at], _MOST_LOG)), stands_out=False, needed=None)
    limits = [_limit(_without(levels, at), level) for at, level in enumerate(levels)]
    at = max(range(count), key=lambda each: apart[each] / limits[each])
    signed = levels[at].mean - fmean(other.mean for other in _without(levels, at))
    return Farthest(
        at=at,
        factor=math.exp(max(-_MOST_LOG, min(signed, _MOST_LOG))),
        stands_out=apart[at] > limits[at],
        needed=math.exp(min(limits[at], _MOST_LOG)),
    )


def _without(levels: Sequence[Level], at: int) -> list[Level]:
    return [level for other, level in enumerate(levels) if other != at]


def _limit(others: Sequence[Level], one: Level) -> float:
    """How far from the others' mean another unit may be by chance."""
    from scipy import special  # takes long to load, and few ask

    count = len(others)
    errors = [level.error**2 for level in others if level.error is not None]
    noise = fmean(errors) if errors else 0.0
    spread = max(stdev(level.mean for level in others) ** 2, noise, _GRAIN**2)
    own = max((one.error or 0.0) ** 2 - noise, 0.0)  # it may have been measured less surely than they
    quantile = float(special.stdtrit(count - 1, 1 - ALPHA / (2 * (count + 1))))
    return quantile * math.sqrt(spread * (1 + 1 / count) + own)
