"""Attempts of many nights -> tracks: what each figure was night by night, and what it was to a pinned base. Pure.

The estimates are those of `intervals.estimate` and `intervals.paired_ratio`, of a quarter of a million nights at once:
a geometric mean over the attempts of a night, Student's t, and for ratios pairs of one round on one device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchharness.judge import student
from benchharness.results.history import NightJob, Told
from benchharness.results.trends import Track

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_BUILD_DIGITS = 12
NO_BASE = "no base build ran beside it"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose figures a trend has, over all nights."""

    suite: str
    hardware: str
    device: str
    cell: str
    variant: str


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """The tracks of one figure. `logarithmic`: all of its values are positive, so that it has ratios."""

    owner: Owner
    metric: int
    absolute: Track
    logarithmic: bool
    ratio: Track
    base: Track
    base_build: str
    why_no_ratio: str


@dataclass(frozen=True)
class _Means:
    """By code, in order: mean, half of the interval (NaN where there is none), how many."""

    codes: Whole
    means: Floats
    halves: Floats
    counts: Whole


def build_of(job: NightJob, version: str) -> str:
    """The identity of a build that was run: artefact, runtime, interpreter and harness, by digest."""
    runtime, interpreter, *_ = job.facts
    told = "\n".join((job.planned.digest, runtime or "?", interpreter or "?", version))
    return hashlib.sha256(told.encode()).hexdigest()[:_BUILD_DIGITS]


def tracks_of(told: Told, pinned: Sequence[str] = ()) -> list[Tracks]:
    """The tracks of every figure of a job that is no base, in the order in which jobs and metrics are met.

    `pinned` are the beginnings of base builds, or of what they are made of, that count as one base; without any it is
    that of the newest night of each figure's job.
    """
    owners, owner_of = _owners(told)
    is_base = np.array([job.planned.side == "base" for job in told.jobs], bool)
    beside = _beside(told, owner_of, _base_builds(told), pinned)
    span = len(told.metrics)
    mine = ~is_base[told.job] if len(told.job) else np.zeros(0, bool)
    figures = owner_of[told.job[mine]] * span + told.metric[mine]
    absolute = _by_figure(told, mine, told.value[mine], figures)
    ratios, bases = _ratios(told, mine, figures, beside)
    found = []
    for code, (nights, values, logarithmic) in absolute.items():
        at = int(code) // span
        found.append(
            Tracks(
                owner=owners[at],
                metric=int(code) % span,
                absolute=_track(nights, values, logarithmic=logarithmic),
                logarithmic=logarithmic,
                ratio=_track(*ratios[code][:2], logarithmic=True) if code in ratios else Track(),
                base=_track(*bases[code][:2], logarithmic=True) if code in bases else Track(),
                base_build=beside.build_of_owner.get(at, ""),
                why_no_ratio=beside.why_of_owner.get(at, "" if code in ratios else NO_BASE),
            )
        )
    return found


# Whose jobs are whose


def _owners(told: Told) -> tuple[list[Owner], Whole]:
    """Every owner, and by job the place of its own."""
    numbered: dict[Owner, int] = {}
    places = [
        numbered.setdefault(
            Owner(
                suite=told.nights[job.night].suite,
                hardware=job.planned.hardware,
                device=job.device,
                cell=job.planned.cell,
                variant=job.planned.variant,
            ),
            len(numbered),
        )
        for job in told.jobs
    ]
    return list(numbered), np.array(places, np.int64)


def _base_builds(told: Told) -> dict[tuple[int, str, str], tuple[int, str]]:
    """By night, pair and device the base's job and its build."""
    return {
        (job.night, job.planned.pair, job.device): (at, build_of(job, told.nights[job.night].version))
        for at, job in enumerate(told.jobs)
        if job.planned.side == "base"
    }


@dataclass(frozen=True)
class _Beside:
    """By job the base's job that ran beside it, -1 where none counts; by owner which build, or why there is none."""

    base_of_job: Whole
    build_of_owner: Mapping[int, str]
    why_of_owner: Mapping[int, str]


def _beside(
    told: Told, owner_of: Whole, bases: Mapping[tuple[int, str, str], tuple[int, str]], pinned: Sequence[str]
) -> _Beside:
    partners = {
        at: found
        for at, job in enumerate(told.jobs)
        if job.planned.side != "base" and (found := bases.get((job.night, job.planned.pair, job.device)))
    }
    by_owner: dict[int, list[int]] = {}
    for at in sorted(partners, key=lambda each: told.jobs[each].night):
        by_owner.setdefault(int(owner_of[at]), []).append(at)
    base_of_job = np.full(len(told.jobs), -1, np.int64)
    builds: dict[int, str] = {}
    why: dict[int, str] = {}
    for owner, members in by_owner.items():
        newest = partners[members[-1]][1]
        wanted = {
            partners[at][1]
            for at in members
            if (_named(told, partners[at], pinned) if pinned else partners[at][1] == newest)
        }
        for at in members:
            if partners[at][1] in wanted:
                base_of_job[at] = partners[at][0]
        builds[owner] = ", ".join(sorted(wanted)) or newest
        others = {partners[at][1] for at in members} - wanted
        if not wanted:
            why[owner] = f"no base build begins with {' or '.join(pinned)}; the newest is {newest}"
        elif others:
            ran = sum(partners[at][1] in others for at in members)
            why[owner] = f"{ran} of {len(members)} nights ran beside another base build: {', '.join(sorted(others))}"
    return _Beside(base_of_job, builds, why)


def _named(told: Told, base: tuple[int, str], pinned: Sequence[str]) -> bool:
    """Whether a build is meant: by its id, or by what it is made of."""
    at, build = base
    job = told.jobs[at]
    names = (build, job.planned.digest, *(fact or "" for fact in job.facts[:1]))
    return any(name.startswith(wanted) for wanted in pinned for name in names)


# Figures by night

_Figure = tuple[Whole, _Means, bool]  # nights, estimates, and whether those are of logarithms


def _by_figure(told: Told, mine: NDArray[np.bool_], values: Floats, figures: Whole) -> dict[int, _Figure]:
    """By figure its nights and estimates, of logarithms where every value of it is positive."""
    if not len(figures):
        return {}
    nights = _nights(told)[told.job[mine]]
    positive = np.ones(int(figures.max()) + 1, bool)
    np.logical_and.at(positive, figures[~(values > 0)], False)
    logs = np.where(positive[figures], np.log(np.maximum(values, 1e-300)), values)
    means = _means(figures * len(told.nights) + nights, logs)
    return _split(means, len(told.nights), positive)


def _ratios(
    told: Told, mine: NDArray[np.bool_], figures: Whole, beside: _Beside
) -> tuple[dict[int, _Figure], dict[int, _Figure]]:
    """By figure the ratios to the base over rounds that have both, and the base's own values."""
    jobs, rounds, metrics = (each[mine] for each in (told.job, told.round, told.metric))
    values = told.value[mine]
    bases = beside.base_of_job[jobs] if len(jobs) else jobs
    theirs = ~mine
    known = {
        key: value
        for key, value in zip(
            _keys(told, told.job[theirs], told.round[theirs], told.metric[theirs]).tolist(),
            told.value[theirs].tolist(),
            strict=True,
        )
        if value > 0
    }
    wanted = _keys(told, np.maximum(bases, 0), rounds, metrics).tolist()
    other = np.array([known.get(key, math.nan) for key in wanted], np.float64)
    paired = (bases >= 0) & (values > 0) & np.isfinite(other)
    if not paired.any():
        return {}, {}
    nights = _nights(told)[jobs[paired]]
    codes = figures[paired] * len(told.nights) + nights
    positive = np.ones(int(figures.max()) + 1, bool)
    return (
        _split(_means(codes, np.log(values[paired] / other[paired])), len(told.nights), positive),
        _split(_means(codes, np.log(other[paired])), len(told.nights), positive),
    )


def _keys(told: Told, jobs: Whole, rounds: Whole, metrics: Whole) -> Whole:
    widest = int(told.round.max()) + 1 if len(told.round) else 1
    found: Whole = (jobs * widest + rounds) * len(told.metrics) + metrics
    return found


def _nights(told: Told) -> Whole:
    return np.array([job.night for job in told.jobs], np.int64)


def _means(codes: Whole, values: Floats) -> _Means:
    """Means and Student's intervals of all values that share a code."""
    known, place = np.unique(codes, return_inverse=True)
    counts = np.bincount(place)
    means = np.bincount(place, values) / counts
    squares = np.bincount(place, (values - means[place]) ** 2)
    several = counts > 1
    errors = np.sqrt(squares / np.maximum(counts - 1, 1) / counts)
    quantiles = {count: student.quantile(count - 1) for count in np.unique(counts[several]).tolist()}
    wide = np.array([quantiles.get(count, math.nan) for count in counts.tolist()])
    return _Means(known, means, wide * errors, counts)


def _split(means: _Means, nights: int, positive: NDArray[np.bool_]) -> dict[int, _Figure]:
    """By figure, what has its codes."""
    owners = means.codes // nights
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    ends = [*starts[1:].tolist(), len(owners)]
    found: dict[int, _Figure] = {}
    for start, end in zip(starts.tolist(), ends, strict=True):
        part = slice(start, end)
        here = _Means(means.codes[part], means.means[part], means.halves[part], means.counts[part])
        figure = int(owners[start])
        found[figure] = here.codes % nights, here, bool(positive[figure])
    return found


def _track(nights: Whole, means: _Means, *, logarithmic: bool) -> Track:
    """A track in the figure's own unit."""
    ends = means.means - means.halves, means.means + means.halves
    with np.errstate(over="ignore"):  # an interval of two attempts may reach beyond what a double holds
        values, lows, highs = (np.exp(each) if logarithmic else each for each in (means.means, *ends))
    return Track(
        nights=nights.tolist(),
        values=values.tolist(),
        lows=[low if math.isfinite(low) else None for low in lows.tolist()],
        highs=[high if math.isfinite(high) else None for high in highs.tolist()],
        counts=means.counts.tolist(),
    )
