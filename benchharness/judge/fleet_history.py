"""Trends of several devices of one hardware target, taken together night by night: the device as a random level. Pure.

Each device has its own trend, and steps are looked for in those. What is added is what the target is by all of its
devices, and whether a step is the build's, which shows on every device, or a unit's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean, variance

from benchharness.judge import student
from benchharness.judge.over_devices import Level, farthest, over
from benchharness.results.trends import FleetStep, FleetTrend, Night, Step, Track, Trend

#: Devices that measured within this time did so in one night, each once.
ONE_NIGHT = timedelta(hours=18)
#: Of a step so many nights before and after it are looked at; and steps of devices that are no farther apart are one.
_MOST_NIGHTS, _ONE_STEP = 8, 1

#: A night of several devices: by device the place of its value in the device's track.
_Round = Mapping[str, int]


def fleet_trends(trends: Sequence[Trend], nights: Sequence[Night]) -> list[FleetTrend]:
    """For each figure that several devices of a hardware target have, what they say together."""
    alike: dict[tuple[str, ...], list[Trend]] = {}
    for trend in trends:
        if not trend.exact and trend.device:
            parameters = json.dumps(dict(trend.parameters), sort_keys=True)
            key = (trend.suite, trend.hardware, trend.cell, trend.variant, trend.metric, parameters)
            alike.setdefault(key, []).append(trend)
    together = (_fleet(several, nights) for several in alike.values() if len(several) > 1)
    return [each for each in together if each is not None]


def _fleet(trends: Sequence[Trend], nights: Sequence[Night]) -> FleetTrend | None:
    by_device = {trend.device: trend for trend in trends}
    if any(min(trend.absolute.values) <= 0 for trend in trends):
        return None
    rounds = [
        each for each in _rounds({name: each.absolute for name, each in by_device.items()}, nights) if len(each) > 1
    ]
    if not rounds:
        return None
    ratios = {device: trend.ratio for device, trend in by_device.items() if trend.ratio}
    deviations = _deviations(by_device, rounds)
    far = farthest(list(deviations.values()))
    return FleetTrend(
        trends=trends,
        absolute=_track({name: each.absolute for name, each in by_device.items()}, rounds),
        ratio=_track(ratios, [each for each in _rounds(ratios, nights) if len(each) > 1]),
        steps=list(_steps(by_device, rounds)),
        farthest="" if far is None else list(deviations)[far.at],
        far=0.0 if far is None else far.factor - 1,
        stands_out=far is not None and far.stands_out,
    )


def _rounds(tracks: Mapping[str, Track], nights: Sequence[Night]) -> list[dict[str, int]]:
    """The nights of several devices: one ends where a device comes again, or so long after it began."""
    told = sorted((night, device, at) for device, track in tracks.items() for at, night in enumerate(track.nights))
    found: list[dict[str, int]] = []
    begun = None
    for night, device, at in told:
        started = nights[night].started
        if begun is None or device in found[-1] or started - begun > ONE_NIGHT:
            found.append({})
            begun = started
        found[-1][device] = at
    return found


def _track(tracks: Mapping[str, Track], rounds: Sequence[_Round]) -> Track:
    told = [(each, over([_level(tracks[device], at) for device, at in each.items()], statistic="")) for each in rounds]
    return Track(
        nights=[max(tracks[device].nights[at] for device, at in each.items()) for each, _ in told],
        values=[found.value or 0.0 for _, found in told],
        lows=[found.low for _, found in told],
        highs=[found.high for _, found in told],
        counts=[len(each) for each, _ in told],
    )


def _level(track: Track, at: int) -> Level:
    low, high, count = track.lows[at], track.highs[at], track.counts[at]
    error = None
    if low is not None and high is not None and low > 0 and count > 1:
        error = math.log(high / low) / 2 / student.quantile(count - 1)
    return Level(mean=math.log(track.values[at]), error=error, count=count)


def _deviations(trends: Mapping[str, Trend], rounds: Sequence[_Round]) -> dict[str, Level]:
    """By device how far it was from the mean of its nights: what moves all of them is in none of it."""
    by_device: dict[str, list[float]] = {device: [] for device in trends}
    for each in rounds:
        logs = {device: math.log(trends[device].absolute.values[at]) for device, at in each.items()}
        middle = fmean(logs.values())
        for device, log in logs.items():
            by_device[device].append(log - middle)
    return {device: _mean(values) for device, values in by_device.items() if values}


def _mean(values: Sequence[float]) -> Level:
    error = math.sqrt(variance(values) / len(values)) if len(values) > 1 else None
    return Level(mean=fmean(values), error=error, count=len(values))


# Steps


@dataclass(frozen=True)
class _Seen:
    """A step of one device's trend, and in which round it is."""

    device: str
    at: int
    step: Step


def _steps(trends: Mapping[str, Trend], rounds: Sequence[_Round]) -> Iterator[FleetStep]:
    """The steps of any device, those of several devices at one time once."""
    round_of = {
        (device, trends[device].absolute.nights[at]): number
        for number, each in enumerate(rounds)
        for device, at in each.items()
    }
    seen = [
        _Seen(device, round_of[device, step.night], step)
        for device, trend in trends.items()
        for step in trend.steps
        if (device, step.night) in round_of and step.relative
    ]
    edges = sorted({each.at for each in seen})
    while seen:
        first = min(seen, key=lambda each: each.at)
        same = [
            each for each in seen
            if each.at - first.at <= _ONE_STEP and (each.step.size > 0) == (first.step.size > 0)
        ]  # fmt: skip
        seen = [each for each in seen if each not in same]
        yield from _step(trends, rounds, same, edges)


def _step(
    trends: Mapping[str, Trend], rounds: Sequence[_Round], same: Sequence[_Seen], edges: Sequence[int]
) -> Iterator[FleetStep]:
    """How much the figure is another on each device, from the nights before to those after, and on all of them."""
    first, last = min(each.at for each in same), max(each.at for each in same)
    start = max((edge for edge in edges if edge < first), default=0)
    end = min((edge for edge in edges if edge > last), default=len(rounds))
    before = rounds[max(start, first - _MOST_NIGHTS) : first]
    after = rounds[last : min(end, last + _MOST_NIGHTS)]
    levels = {}
    for device, trend in trends.items():
        logs = [
            [math.log(trend.absolute.values[each[device]]) for each in part if device in each]
            for part in (before, after)
        ]
        if all(logs):
            levels[device] = _difference(*logs)
    if levels:
        found = over(list(levels.values()), statistic="")
        newest = rounds[last]
        yield FleetStep(
            night=max(trends[device].absolute.nights[at] for device, at in newest.items()),
            size=(found.value or 1.0) - 1,
            low=None if found.low is None else found.low - 1,
            high=None if found.high is None else found.high - 1,
            seen=sorted({each.device for each in same}),
            devices=len(levels),
        )


def _difference(before: Sequence[float], after: Sequence[float]) -> Level:
    one, other = _mean(before), _mean(after)
    error = None if one.error is None or other.error is None else math.hypot(one.error, other.error)
    return Level(mean=other.mean - one.mean, error=error, count=min(one.count, other.count))
