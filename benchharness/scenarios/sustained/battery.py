"""How fast a battery fell while a course ran, with what the steps of its gauge leave open. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from benchharness.metrics import METRICS
from benchharness.results.courses import Course
from benchharness.results.result import Attempt, Estimate, MetricResult
from benchharness.scenarios.sustained.over_attempts import over_attempts

_CHARGE_SENSOR = "Android battery charge"
_LONGEST_REASON = 200
#: 1 in every reading where nothing but the battery fed the device.
_DRAINED = "battery_drained"
_STATISTIC = "fall over time of all courses; the interval has a step of the gauge in each"


@dataclass(frozen=True)
class _Gauge:
    """A channel that tells what is left, or with `rises` what was taken; `worth`: of a count in the metric's unit."""

    channel: str
    worth: float
    rises: bool = False
    step: float = 0.0  # the least that it counts; 0: the least difference that was seen


#: By metric, the first that is there. Android's are only read while nothing charges it.
_GAUGES = {
    "battery_drain": (_Gauge("battery_percent", 1.0, step=1.0), _Gauge("level_percent", 1.0, step=1.0)),
    "charge_drain": (_Gauge("battery_uah", 1e-3), _Gauge("drained_uah", 1e-3, rises=True)),
}


@dataclass(frozen=True)
class _Fall:
    """How far a gauge fell in how long, in its own counts. `step`: the least that it moved; 0: it did not."""

    fell: float
    step: float
    hours: float


def charged(attempt: Attempt) -> str:
    """Why what left the battery is unknown to the end, though it was counted for a time; empty where it is not."""
    entry = attempt.conditions.sensors.get(_CHARGE_SENSOR)
    left_out = entry.get("left_out") if isinstance(entry, Mapping) else None
    return str(left_out.get("all of it", ""))[:_LONGEST_REASON] if isinstance(left_out, Mapping) else ""


def drains(found: Sequence[Course], by_attempt: Mapping[str, Attempt]) -> Iterator[MetricResult]:
    """Percent and charge an hour, where the device has a gauge of them."""
    for name, gauges in _GAUGES.items():
        gauge = next((each for each in gauges if any(each.channel in course.sensors for course in found)), None)
        if gauge is None:
            continue
        falls: dict[str, _Fall] = {}
        why = ""
        for course in found:
            fall = _fall(course, gauge, by_attempt[course.attempt])
            if isinstance(fall, str):
                why = fall
            else:
                falls[course.attempt] = fall
        if not any(fall.fell for fall in falls.values()):
            why = _still(gauge, falls.values()) if falls else why
            falls = {}
        yield _result(name, gauge, falls, by_attempt, why)


def _fall(course: Course, gauge: _Gauge, attempt: Attempt) -> _Fall | str:
    """How far it fell; or why that is not known."""
    end_s = course.windows[-1].end_s
    rows = [row for row in course.sensors.get(gauge.channel, ()) if 0 <= row[0] <= end_s]
    if why := _fed(course, gauge, attempt, end_s):
        return why
    if len(rows) < 2 or rows[-1][0] <= rows[0][0]:
        return "the battery's gauge was not read often enough"
    sign = 1.0 if gauge.rises else -1.0
    changes = [sign * (later - sooner) for (_, sooner), (_, later) in pairwise(rows)]
    if min(changes) < 0:
        return "the battery's gauge rose meanwhile"
    hours = float(rows[-1][0] - rows[0][0]) / 3600
    moved = [change for change in changes if change]
    return _Fall(sum(moved), min(moved, default=0.0), hours)


def _still(gauge: _Gauge, falls: Collection[_Fall]) -> str:
    """What is said where it moved in no course. In all of them together the battery fell by a step in each at most."""
    hours = sum(fall.hours for fall in falls)
    told = f": less than {len(falls) * gauge.step * gauge.worth / hours:.3g} an hour" if gauge.step else ""
    return f"the battery's gauge did not move in the course{told}; run a longer one"


def _fed(course: Course, gauge: _Gauge, attempt: Attempt, end_s: float) -> str:
    """What fed the device beside its battery, or that nobody knows; empty where nothing did."""
    if gauge.channel not in ("battery_percent", "battery_uah"):
        return charged(attempt)
    states = [value for second, value in course.sensors.get(_DRAINED, ()) if 0 <= second <= end_s]
    if not states:
        return "nothing says whether the battery was charged meanwhile"
    return "" if all(state == 1 for state in states) else "the device was plugged in, or its battery was not drained"


def _result(
    name: str, gauge: _Gauge, falls: Mapping[str, _Fall], by_attempt: Mapping[str, Attempt], why: str
) -> MetricResult:
    """A course in which the gauge stood still counts, too: without it the others would tell too quick a fall."""
    values = {attempt: fall.fell * gauge.worth / fall.hours for attempt, fall in falls.items()}
    made = over_attempts(name, {}, values, by_attempt, missing=why)
    if not falls:
        return made
    hours = sum(fall.hours for fall in falls.values())
    fell = sum(fall.fell for fall in falls.values()) * gauge.worth
    step = gauge.step or min(fall.step for fall in falls.values() if fall.step)
    steps = len(falls) * step * gauge.worth
    low, high = max(0.0, fell - steps) / hours, (fell + steps) / hours
    spread = made.estimate
    whole = Estimate(
        value=fell / hours,
        low=min(low, _or(spread.low, math.inf)),
        high=max(high, _or(spread.high, -math.inf)),
        count=len(falls),
        statistic=_STATISTIC,
    )
    assert METRICS[name].unit == made.unit
    return replace(made, estimate=whole)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
