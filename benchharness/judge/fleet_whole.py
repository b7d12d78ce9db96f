"""One figure of several devices as a figure of their target, and why not where it is none. Pure.

What was timed on each device is taken over them (`over_devices`). What was computed is the same wherever it is made, or
it is no figure of the target; and what devices did not do alike is not taken together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from benchharness.judge.over_devices import Farthest, Level, farthest, level_of, over
from benchharness.judge.unequal import Factor, differences
from benchharness.results.result import EXACT, Estimate, Result

STATISTIC = "mean of devices, the device as a random level"


def unlike(results: Iterable[Result]) -> str:
    """What devices did not do alike, so that their figures are of different things. One without figures has no part."""
    have = [each for each in results if each.metrics]
    told: list[str] = []
    for first, other in ((have[0], each) for each in have[1:]):
        told += differences(first, other, Factor.BUILD)
        if other.job.digest != first.job.digest:
            told.append("other artefacts")
        versions = (first.effective.runtime_version, other.effective.runtime_version)
        if None not in versions and versions[0] != versions[1]:
            told.append(f"runtime {versions[0]} against {versions[1]}")
    return "; ".join(dict.fromkeys(told))


def whole_of(of: Sequence[Estimate], apart: str) -> tuple[Estimate, dict[int, Level]]:
    """What the devices say together, and the levels that it was made of."""
    have = {at: each for at, each in enumerate(of) if each.value is not None}
    values = [each.value for each in have.values()]
    if not have:
        return Estimate(value=None, statistic=STATISTIC, reason="no device has a value"), {}
    if apart:
        return Estimate(value=None, statistic=STATISTIC, reason=f"not taken together: {apart}"), {}
    first = next(iter(have.values()))
    if any(is_computed(each) for each in have.values()):
        if len(set(values)) == 1:
            return first, {}  # computed, and not timed: no unit of the target has another
        return Estimate(value=None, statistic=STATISTIC, reason="computed, and not the same on all devices"), {}
    levels = {at: level for at, each in have.items() if (level := level_of(each)) is not None}
    if len(levels) < len(have):
        return Estimate(value=None, statistic=STATISTIC, reason="a value has no logarithm"), {}
    return _no_rounder(over(list(levels.values()), statistic=STATISTIC), values), levels


def is_computed(estimate: Estimate) -> bool:
    """Whether it is the same wherever it is made, so that other units of the target have no other: its own interval,
    where it has one, is over inputs.
    """
    return estimate.statistic == EXACT or bool(estimate.drawn)


def _no_rounder(found: Estimate, values: Iterable[float | None]) -> Estimate:
    """A mean lies within its values, where logarithms and back do not: 57872384 would read 57872383.9999999."""
    known = [value for value in values if value is not None]
    if found.value is None:
        return found
    value = min(max(found.value, min(known)), max(known))
    if found.low is None or found.high is None:
        return replace(found, value=value)
    if found.low == found.high:
        return replace(found, value=value, low=value, high=value)
    return replace(found, value=value, low=min(found.low, value), high=max(found.high, value))


def ratio_of(ratios: Sequence[Estimate | None], *, computed: bool) -> Estimate | None:
    """The ratio over devices. That of computed values is told where it is the same on all; no spread is made of it."""
    known = [each for each in ratios if each is not None and each.value is not None]
    if not known:
        return None
    if computed or any(is_computed(each) for each in known):
        return known[0] if len({each.value for each in known}) == 1 else None
    levels = [level for each in known if (level := level_of(each)) is not None]
    if len(levels) < len(known):
        return None
    told = over(levels, statistic=f"{STATISTIC}; this / reference, round by round")
    return _no_rounder(told, [each.value for each in known])


def farthest_of(levels: Mapping[int, Level]) -> Farthest | None:
    """With its place in the fleet."""
    found = farthest(list(levels.values()))
    if found is None:
        return None
    place = list(levels)[found.at]
    return Farthest(at=place, factor=found.factor, stands_out=found.stands_out, needed=found.needed)
