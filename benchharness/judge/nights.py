"""Which of a store's runs are nights, by what their clocks and their bases say, and what is odd about those. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from benchharness.judge.bridges import Base, base_of
from benchharness.judge.steps import LEAST_NIGHTS
from benchharness.results.history import NightJob, Told
from benchharness.results.result import BASE, CANDIDATE
from benchharness.results.trends import Night

_MOST_NAMED = 3


def believed(told: Told, now: datetime, bridges: AbstractSet[str]) -> tuple[Told, list[str]]:
    """Without pairs of two bases in the runs named as `bridges`, and without nights whose place nobody knows.

    With what was left out, and what is odd about when the others were.
    """
    future = {at for at, night in enumerate(told.nights) if night.started > now}
    joining = _joining(told, bridges)
    remarks = [*_odd(told, future), *_left_out(told, joining)]
    jobs = [at for at, job in enumerate(told.jobs) if at not in joining and job.night not in future]
    emptied = {told.jobs[at].night for at in joining} - {told.jobs[at].night for at in jobs}
    nights = [at for at in range(len(told.nights)) if at not in future | emptied]
    return (_only(told, nights, jobs) if future or joining else told), remarks


def _joining(told: Told, bridges: AbstractSet[str]) -> set[int]:
    """The jobs, in runs that are named as bridges, of pairs whose two builds both ran as bases on their device."""
    named = {at for at, night in enumerate(told.nights) if night.run in bridges}
    if not named:
        return set()
    ran = {_built(told, job) for job in told.jobs if job.planned.side == BASE and job.good}
    candidates = (job for job in told.jobs if job.night in named and job.planned.side == CANDIDATE and job.good)
    pairs = {_pair(job) for job in candidates if _built(told, job) in ran}
    return {at for at, job in enumerate(told.jobs) if _pair(job) in pairs}


def _built(told: Told, job: NightJob) -> tuple[str, Base]:
    return job.device, base_of(job, told.nights[job.night].version)


def _pair(job: NightJob) -> tuple[int, str, str]:
    return job.night, job.planned.pair, job.device


def _only(told: Told, nights: Sequence[int], jobs: Sequence[int]) -> Told:
    """What is of these nights and jobs."""
    number = {at: new for new, at in enumerate(nights)}
    place = np.full(len(told.jobs), -1, np.int64)
    place[jobs] = np.arange(len(jobs))
    here = place[told.job] >= 0
    return replace(
        told,
        nights=[told.nights[at] for at in nights],
        finished=[told.finished[at] for at in nights],
        jobs=[replace(told.jobs[at], night=number[told.jobs[at].night]) for at in jobs],
        job=place[told.job[here]],
        round=told.round[here],
        metric=told.metric[here],
        value=told.value[here],
    )


def _left_out(told: Told, joining: AbstractSet[int]) -> Iterator[str]:
    """Of each run how many pairs are no night's."""
    pairs: dict[int, set[tuple[int, str, str]]] = {}
    for at in sorted(joining):
        pairs.setdefault(told.jobs[at].night, set()).add(_pair(told.jobs[at]))
    for night, theirs in pairs.items():
        count = len({_pair(job) for job in told.jobs if job.night == night})
        part = f" ({len(theirs)} of its {count} pairs)" if len(theirs) < count else ""
        yield f"left out of the nights, as both builds ran as bases: bridge run {told.nights[night].run}{part}"


def _odd(told: Told, future: AbstractSet[int]) -> Iterator[str]:
    if future:
        ids = [told.nights[at].run for at in sorted(future)]
        yield f"left out, as they start later than now: {_listed(ids)}; the clock of who ran them was ahead"
    same: dict[datetime, list[str]] = {}
    for night in told.nights:
        same.setdefault(night.started, []).append(night.run)
    if twice := [run for runs in same.values() if len(runs) > 1 for run in runs]:
        yield f"these say that they started at the same moment, and stand in the order of their ids: {_listed(twice)}"
    pairs = zip(told.nights, told.finished, strict=True)
    if back := [night.run for night, finished in pairs if finished and finished < night.started]:
        yield f"the clock went back while they ran: {_listed(back)}"


def unfinished(told: Told, now: datetime) -> Iterator[str]:
    """Nights that may go on."""
    if ids := [night.run for night in told.nights if is_under_way(night, now)]:
        yield f"not finished, so that what they lack so far is not missing: {_listed(ids)}"


def is_under_way(night: Night, now: datetime) -> bool:
    """Whether a run may go on: one that was killed or stopped says so for ever, and no night takes a day."""
    return night.state != "finished" and now - night.started < timedelta(days=1)


def asleep(told: Told, now: datetime) -> Iterator[str]:
    """Suites whose nights stopped altogether: then no figure of theirs can be fine."""
    by_suite: dict[str, list[datetime]] = {}
    for night in told.nights:
        by_suite.setdefault(night.suite, []).append(night.started)
    for suite, moments in by_suite.items():
        apart = sorted(after - before for before, after in itertools.pairwise(moments))
        usual = max(apart[len(apart) // 2], timedelta(days=1)) if len(apart) >= LEAST_NIGHTS else timedelta(days=7)
        if now - moments[-1] > 2 * usual:
            yield f"no night of {suite} for {(now - moments[-1]).days} days, since {moments[-1]:%Y-%m-%d}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
