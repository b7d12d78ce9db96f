"""What nights say together: trends with their steps, the likely cause of each, and what stopped reporting. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from benchharness.judge.bridges import Bridge
from benchharness.judge.causes import Causes
from benchharness.judge.fleet_history import ONE_NIGHT, fleet_trends
from benchharness.judge.joints import SharedError, errors_within
from benchharness.judge.nights import asleep, believed, is_under_way, unfinished
from benchharness.judge.sizes import Sizes, sizes_of
from benchharness.judge.steps import (
    ALPHA,
    LEAST_NIGHTS,
    Found,
    Series,
    difference,
    find_steps,
)
from benchharness.judge.tracks import Owner, Tracks, tracks_of
from benchharness.metrics import METRICS, Better
from benchharness.metrics.limits import Budget
from benchharness.results.history import NightJob, Planned, Told
from benchharness.results.result import is_of
from benchharness.results.trends import Certainty, Gap, History, Step, Track, Trend

#: A step in the ratio and one in absolute values that are no farther apart are one.
_ONE_STEP = 3
#: The base moved along where it moved by at least this share of an absolute step, the same way.
_MOVED_ALONG = 0.5
_MOST_LOG = 700.0  # more than a double holds
Budgets = Mapping[tuple[str, str], Sequence[Budget]]  # by suite and hardware target


def history_of(
    told: Told,
    *,
    now: datetime,
    pinned: Sequence[str] = (),
    bridges: Sequence[Bridge] = (),
    budgets: Budgets | None = None,
) -> History:
    """The history of some nights. `now` is the moment that no night can be later than; `pinned` see `tracks_of`.

    Pairs of two bases are no night's, in runs that bridge them: they have no candidate.
    """
    kept, remarks = believed(told, now, {each.run for each in bridges})
    tracks = tracks_of(kept, pinned, bridges)
    ratios = [Series(values=np.log(each.ratio.values), wanders=False, errors=each.errors) for each in tracks]
    levels = [Series(values=_levels(each), wanders=True) for each in tracks]
    found = find_steps([*ratios, *levels])
    causes, gaps = Causes(kept), _Gaps(kept, now)
    trends = [
        _trend(each, kept, found[at], found[len(tracks) + at], causes, gaps, budgets or {})
        for at, each in enumerate(tracks)
    ]
    trends += [_size_trend(each, causes, budgets or {}) for each in sizes_of(kept, causes, pinned)]
    trends = _in_order(trends)
    fleets = fleet_trends(trends, kept.nights)
    several = {id(trend) for fleet in fleets for trend in fleet.trends}
    return History(
        nights=kept.nights,
        trends=[replace(each, among=True) if id(each) in several else each for each in trends],
        fleets=fleets,
        told=[*remarks, *unfinished(kept, now), *asleep(kept, now), *_of_bridges(bridges, trends)],
        tested=sum(len(each.values) >= 2 * LEAST_NIGHTS for each in (*ratios, *levels)),
        alpha=ALPHA,
    )


def _levels(tracks: Tracks) -> NDArray[np.float64]:
    values = np.array(tracks.absolute.values, np.float64)
    return np.log(values) if tracks.logarithmic else values


def _in_order(trends: Sequence[Trend]) -> list[Trend]:
    """Those of one target and model together, as they were planned."""
    places = {each: at for at, each in enumerate(dict.fromkeys((trend.hardware, trend.model) for trend in trends))}
    return sorted(trends, key=lambda trend: places[trend.hardware, trend.model])


# Bridges


def _of_bridges(bridges: Sequence[Bridge], trends: Sequence[Trend]) -> Iterator[str]:
    """Bridges that lead from no base of these figures to another, and those that are surer than they should be."""
    used = {run for trend in trends for each in trend.bridged for run in each.runs}
    for run, each in {each.run: each for each in bridges if each.early and each.run in used}.items():
        yield (
            f"bridge run {run} ended when its pairs had decided ({each.early}), so that it seems surer than it is; "
            "with looks = [30] under [gate] a run makes a fixed number"
        )
    idle = {each.run: each for each in bridges if each.run not in used}
    for run, each in idle.items():
        ran = f"it ran base {each.old.build} and {each.new.build} on device {each.device}"
        yield f"bridge run {run} joins no bases of these figures: {ran}; artefact, runtime, interpreter, harness count"


# What stopped reporting


class _Gaps:
    """Which nights a figure should be in, and what became of its job there."""

    def __init__(self, told: Told, now: datetime) -> None:
        self._told = told
        self._left: dict[int, int] = {}  # by night, on how many later dates its suite ran
        by_suite: dict[str, list[int]] = {}
        self._ended = [not is_under_way(night, now) for night in told.nights]
        for at, night in enumerate(told.nights):
            by_suite.setdefault(night.suite, []).append(at)
        for nights in by_suite.values():
            dates = [f"{told.nights[at].started:%Y-%m-%d}" for at in nights]
            ended = [date for at, date in zip(nights, dates, strict=True) if self._ended[at]]
            once = sorted(set(ended))
            later = {date: len(once) - bisect_right(once, date) for date in set(dates)}
            self._left |= {at: later[date] for at, date in zip(nights, dates, strict=True)}
        self._jobs: dict[tuple[str, str, str, str], list[NightJob]] = {}
        for job in told.jobs:
            if job.planned.side != "base":
                suite = told.nights[job.night].suite
                self._jobs.setdefault((suite, job.planned.hardware, job.planned.cell, job.planned.variant), []).append(
                    job
                )

    def after(self, owner: Owner, last: int) -> Gap | None:
        """What a figure lacks whose newest value is of night `last`; None where it lacks nothing."""
        later = self._left[last]
        alike = self._jobs[owner.suite, owner.hardware, owner.cell, owner.variant]
        newer = [job for job in alike if job.night > last and self._ended[job.night]]
        beside = self._beside(alike, owner, last)
        own = [job for job in newer if job.device not in beside]
        if not later and not own:
            return None
        reason, failed = _why(own or newer, owner, beside)
        return Gap(nights=max(later, 1), since=self._told.nights[last].started, reason=reason, failed=failed)

    def _beside(self, alike: Sequence[NightJob], owner: Owner, last: int) -> set[str]:
        """Other devices that ran the job before, or in the night `last` too: units beside it, and none in its place."""
        until = self._told.nights[last].started + ONE_NIGHT
        here = {job.device for job in alike if self._told.nights[job.night].started <= until}
        return here - {owner.device, ""}


def _why(newer: Sequence[NightJob], owner: Owner, beside: set[str]) -> tuple[str, bool]:
    """What is known of the newest job that should have had the figure, and whether it failed."""
    if not newer:
        return "", False
    newest = max(newer, key=lambda job: job.night)
    if newest.device in beside:
        return f"not measured since, and the device beside it was: {newest.device}", False
    if newest.device and newest.device != owner.device:
        return f"another device runs it since: {newest.device}", False
    if not newest.attempts:
        return "no attempt was made", True
    return (newest.ended, True) if not newest.good else ("its job ran, and told no such figure", False)


# A trend


def _trend(
    tracks: Tracks,
    told: Told,
    in_ratio: Sequence[Found],
    in_levels: Sequence[Found],
    causes: Causes,
    gaps: _Gaps,
    budgets: Budgets,
) -> Trend:
    owner, (name, parameters) = tracks.owner, told.metrics[tracks.metric]
    planned = causes.newest(owner).planned
    metric = METRICS[name]
    budget = _budget(planned, name, parameters, budgets.get((owner.suite, owner.hardware), ()))
    return Trend(
        suite=owner.suite,
        hardware=owner.hardware,
        device=owner.device,
        model=planned.model,
        variant=owner.variant,
        configuration=planned.configuration,
        workload=planned.workload,
        scenario=planned.scenario,
        cell=owner.cell,
        metric=name,
        parameters=parameters,
        unit=metric.unit,
        better=metric.better,
        absolute=tracks.absolute,
        ratio=tracks.ratio,
        base=tracks.base,
        base_build=tracks.base_build,
        why_no_ratio=tracks.why_no_ratio,
        bridged=tracks.bridged,
        steps=sorted(_steps(tracks, in_ratio, in_levels, causes, metric.better), key=lambda step: step.night),
        gap=gaps.after(owner, tracks.absolute.nights[-1]),
        limit=budget.limit if budget else None,
        limit_text=budget.text if budget else "",
    )


def _size_trend(sizes: Sizes, causes: Causes, budgets: Budgets) -> Trend:
    """What an artefact weighs: of its variant, whatever runs it. What no longer runs is missing by what it measured."""
    owner, metric = sizes.owner, METRICS[sizes.metric]
    planned = causes.newest(owner).planned
    budget = _budget(planned, metric.name, {}, budgets.get((owner.suite, owner.hardware), ()))
    return Trend(
        suite=owner.suite,
        hardware=owner.hardware,
        device=owner.device,
        model=planned.model,
        variant=owner.variant,
        configuration="",
        workload="",
        scenario="",
        cell=owner.cell,
        metric=metric.name,
        parameters={},
        unit=metric.unit,
        better=metric.better,
        absolute=sizes.absolute,
        ratio=sizes.ratio,
        base=sizes.base,
        base_build=sizes.base_build,
        why_no_ratio=sizes.why_no_ratio,
        steps=sizes.steps,
        limit=budget.limit if budget else None,
        limit_text=budget.text if budget else "",
        exact=True,
    )


def _budget(planned: Planned, name: str, parameters: Mapping[str, object], known: Sequence[Budget]) -> Budget | None:
    """The budget on a figure by itself, if there is one."""
    fitting = (
        budget
        for budget in known
        if budget.metric == name
        and not budget.against
        and budget.percentile == parameters.get("percentile")
        and (budget.output is None or is_of(parameters, budget.output))
    )
    return next(fitting, None) if planned.ships else None


# Steps


@dataclass(frozen=True)
class _Seen:
    """Steps of one track, whether its numbers are logarithms, and the errors that some of them share."""

    track: Track
    found: Sequence[Found]
    levels: NDArray[np.float64]
    logarithmic: bool
    errors: Sequence[SharedError] = ()


def _steps(
    tracks: Tracks, in_ratio: Sequence[Found], in_levels: Sequence[Found], causes: Causes, better: Better
) -> Iterator[Step]:
    """Confirmed ones of the ratio, then those that absolute values show beside them."""
    ratio = _Seen(tracks.ratio, in_ratio, np.log(tracks.ratio.values), True, tracks.errors)
    confirmed = [_step(ratio, each, tracks, causes, better, Certainty.CONFIRMED) for each in in_ratio]
    yield from confirmed
    absolute = _Seen(tracks.absolute, in_levels, _levels(tracks), tracks.logarithmic)
    nights = tracks.absolute.nights
    known = [nights.index(step.night) for step in confirmed]  # a ratio's nights have absolute values, too
    for each in in_levels:
        if any(abs(at - each.at) <= _ONE_STEP for at in known):
            continue
        along = _base_move(tracks, nights[each.at]) if tracks.logarithmic else None
        drift = along is not None and along / each.size >= _MOVED_ALONG
        step = _step(absolute, each, tracks, causes, better, Certainty.DRIFT if drift else Certainty.LIKELY)
        yield replace(step, base_size=None if along is None else float(np.expm1(along)))


def _step(seen: _Seen, found: Found, tracks: Tracks, causes: Causes, better: Better, certainty: Certainty) -> Step:
    """A step at the night, of those where it may lie, at which something else changed."""
    at, changed = causes.near(tracks.owner, seen.track.nights, found.at, found.first, found.last)
    size, low, high = (found.size, found.low, found.high)
    if at != found.at:
        near = [each.at for each in seen.found if each.at != found.at]
        start = max((each for each in near if each < at), default=0)
        end = min((each for each in near if each > at), default=len(seen.levels))
        errors = errors_within(seen.errors, start, end)
        size, low, high = difference(seen.levels[start:end], at - start, errors=errors)
    if seen.logarithmic:
        size, low, high = (float(np.expm1(min(each, _MOST_LOG))) for each in (size, low, high))
    return Step(
        night=seen.track.nights[at],
        first=seen.track.nights[found.first],
        last=seen.track.nights[found.last],
        size=size,
        low=low,
        high=high,
        relative=seen.logarithmic,
        certainty=certainty,
        worse=None if better is Better.NEITHER else (size > 0) is (better is Better.LOWER),
        causes=changed,
        p=found.p,
    )


def _base_move(tracks: Tracks, night: int) -> float | None:
    """How the base's own values moved there, in logarithms, over the nights around it; None where it did not run."""
    nights = np.array(tracks.base.nights)
    at = int(np.searchsorted(nights, night)) if len(nights) else 0
    if at < LEAST_NIGHTS or len(nights) - at < LEAST_NIGHTS:
        return None
    around = np.log(tracks.base.values)[max(at - _AROUND, 0) : at + _AROUND]
    return float(np.median(around[min(at, _AROUND) :]) - np.median(around[: min(at, _AROUND)]))


#: So many nights before and after tell how the base moved: its own wandering makes more of them tell less.
_AROUND = 10
