"""How sure a number is: intervals over attempts, paired ratios, and percentiles that the sample count can carry.

The attempt (a fresh process) is the unit: samples inside one process are not independent of each other. Latencies
and rates are positive and their errors multiply, so means and intervals are taken of logarithms (Student's t), which
gives a geometric mean; a ratio of two variants is taken round by round, so that drift of the machine cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchharness.judge import student
from benchharness.judge.over_devices import level_of, over
from benchharness.results.result import AttemptValue, Estimate


def estimate(values: Sequence[float], *, statistic: str) -> Estimate:
    """Geometric mean of attempts' values and its 95 % interval. Values that are not positive have no logarithm."""
    if not values:
        return Estimate(value=None, statistic=statistic, reason="no attempt has a value")
    if min(values) <= 0:
        return Estimate(value=None, count=len(values), statistic=statistic, reason=f"a value of {min(values):g}")
    return _within(values, _from_logarithms(np.log(values), statistic))


def over_attempts(values: Sequence[AttemptValue], *, statistic: str) -> Estimate:
    """The same of attempts; where they were made on several devices the device is a random level."""
    by_device: dict[str, list[float]] = {}
    for each in values:
        by_device.setdefault(each.device, []).append(each.value)
    if len(by_device) < 2:
        return estimate([each.value for each in values], statistic=statistic)
    return _over_devices([estimate(each, statistic=statistic) for each in by_device.values()], statistic)


def paired_ratio_over(by_device: Sequence[Sequence[tuple[float, float]]], *, statistic: str) -> Estimate:
    """As `paired_ratio`, of each device's own pairs, the device as a random level."""
    some = [pairs for pairs in by_device if pairs]
    if len(some) < 2:
        return paired_ratio(some[0] if some else [], statistic=statistic)
    return _over_devices([paired_ratio(pairs, statistic=statistic) for pairs in some], statistic)


def _over_devices(own: Sequence[Estimate], statistic: str) -> Estimate:
    levels = [level for each in own if (level := level_of(each)) is not None]
    if len(levels) < len(own):
        return next(each for each in own if each.value is None)
    told = over(levels, statistic=f"{statistic}, the device as a random level")
    return replace(told, drawn=0, drawn_unit="")  # over attempts, too


def paired_ratio(pairs: Sequence[tuple[float, float]], *, statistic: str) -> Estimate:
    """Geometric mean of first / second over the pairs, and its 95 % interval."""
    if not pairs:
        return Estimate(value=None, statistic=statistic, reason="no round has both")
    if min(min(pair) for pair in pairs) <= 0:
        return Estimate(value=None, count=len(pairs), statistic=statistic, reason="a value is not positive")
    logarithms = np.log([first for first, _ in pairs]) - np.log([second for _, second in pairs])
    return _within([first / second for first, second in pairs], _from_logarithms(logarithms, statistic))


def _within(values: Sequence[float], found: Estimate) -> Estimate:
    """A mean lies within its values, where logarithms and back do not: 57872384 would read 57872383.9999999.

    A value that all share is that value exactly, and so are the ends of its interval.
    """
    assert found.value is not None
    low, high = min(values), max(values)
    value = min(max(found.value, low), high)
    if low == high and found.low is not None:
        return replace(found, value=value, low=value, high=value)
    return replace(found, value=value)


def independent_ratio(these: Sequence[float], those: Sequence[float], *, statistic: str) -> Estimate:
    """Geometric mean of these over that of those, which no round pairs, and its 95 % interval (Welch's t)."""
    count = min(len(these), len(those))
    if not count:
        return Estimate(value=None, statistic=statistic, reason="one of the two has no value")
    if min(*these, *those) <= 0:
        return Estimate(value=None, count=count, statistic=statistic, reason="a value is not positive")
    if min(these) == max(these) and min(those) == max(those):
        value = these[0] / those[0]
        known = {"low": value, "high": value} if count > 1 else {"reason": "one attempt says nothing about spread"}
        return Estimate(value=value, count=count, statistic=statistic, **known)
    logarithms = [np.log(values) for values in (these, those)]
    ratio = float(np.mean(logarithms[0]) - np.mean(logarithms[1]))
    if count < 2:
        reason = "one attempt says nothing about spread"
        return Estimate(value=math.exp(ratio), count=count, statistic=statistic, reason=reason)
    parts = [float(np.var(values, ddof=1)) / len(values) for values in logarithms]
    whole = sum(parts)
    squares = sum(part**2 / (len(values) - 1) for part, values in zip(parts, logarithms, strict=True))
    half = student.quantile(whole**2 / squares) * math.sqrt(whole)
    return Estimate(
        value=math.exp(ratio), low=math.exp(ratio - half), high=math.exp(ratio + half), count=count, statistic=statistic
    )


def _from_logarithms(logarithms: np.ndarray[tuple[int], np.dtype[np.float64]], statistic: str) -> Estimate:
    count = len(logarithms)
    mean = float(np.mean(logarithms))
    if count < 2:
        return Estimate(
            value=math.exp(mean), count=count, statistic=statistic, reason="one attempt says nothing about spread"
        )
    error = float(np.std(logarithms, ddof=1)) / math.sqrt(count)
    half = student.quantile(count - 1) * error
    return Estimate(
        value=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), count=count, statistic=statistic
    )
