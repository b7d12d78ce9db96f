"""Attempts of many nights -> tracks: what each figure was night by night, and what it was to a pinned base. Pure.

The estimates are those of `intervals.estimate` and `intervals.paired_ratio`, of a quarter of a million nights at once:
a geometric mean over the attempts of a night, Student's t, and for ratios pairs of one round on one device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchharness.judge import student
from benchharness.judge.bases import Against, Offset, Ran, against, ran_beside
from benchharness.judge.bridges import Base, Bridge, base_of
from benchharness.judge.joints import SharedError
from benchharness.results.history import Told
from benchharness.results.trends import Bridged, Track

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

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
    """The tracks of one figure. `logarithmic`: all of its values are positive, so that it has ratios.

    Nights that ran beside another base than `base_build` are told against it by what a bridge says (`bridged`): so are
    the base's own values. What ratios of different nights then have of the bridges' errors is in `errors`.
    """

    owner: Owner
    metric: int
    absolute: Track
    logarithmic: bool
    ratio: Track
    base: Track
    base_build: str
    why_no_ratio: str
    bridged: Sequence[Bridged] = ()
    errors: Sequence[SharedError] = ()


@dataclass(frozen=True)
class _Means:
    """By code, in order: mean, standard error and half of the interval (NaN where there are none), how many."""

    codes: Whole
    means: Floats
    errors: Floats
    halves: Floats
    counts: Whole

    def of(self, which: slice | NDArray[np.bool_]) -> _Means:
        """Some of them."""
        return _Means(self.codes[which], self.means[which], self.errors[which], self.halves[which], self.counts[which])


def tracks_of(told: Told, pinned: Sequence[str] = (), bridges: Sequence[Bridge] = ()) -> list[Tracks]:
    """The tracks of every figure of a job that is no base, in the order in which jobs and metrics are met.

    `pinned` are the beginnings of base builds, or of what they are made of, that ratios are told against; without any
    it is that of the newest night of each figure's job, or the oldest that `bridges` join it with.
    """
    owners, owner_of = _owners(told)
    is_base = np.array([job.planned.side == "base" for job in told.jobs], bool)
    beside = _beside(told, owner_of)
    span = len(told.metrics)
    mine = ~is_base[told.job] if len(told.job) else np.zeros(0, bool)
    figures = owner_of[told.job[mine]] * span + told.metric[mine]
    absolute = _by_figure(told, mine, told.value[mine], figures)
    ratios, bases = _ratios(told, mine, figures, beside)
    found = []
    for code, (nights, values, logarithmic) in absolute.items():
        at, metric = divmod(int(code), span)
        alone = Tracks(
            owner=owners[at],
            metric=metric,
            absolute=_track(nights, values, logarithmic=logarithmic),
            logarithmic=logarithmic,
            ratio=Track(),
            base=Track(),
            base_build="",
            why_no_ratio=NO_BASE,
        )
        if at in beside.ran:
            ran = beside.ran[at]
            if code in ratios and len(ran) > 1:
                ran = list(_with_ratios(ran, ratios[code][0]))
            what = against(ran, owners[at].device, told.metrics[metric], pinned, bridges)
            alone = replace(alone, base_build=what.build, why_no_ratio=what.why or alone.why_no_ratio)
            if code in ratios and len(beside.ran[at]) == 1 and what.offsets:  # as nearly all are
                shown = [_track(*each[code][:2], logarithmic=True) for each in (ratios, bases)]
                alone = replace(alone, why_no_ratio="", ratio=shown[0], base=shown[1])
            elif code in ratios:
                alone = _told_against(alone, what, ratios[code], bases[code], beside.base_of_night[at])
        found.append(alone)
    return found


def _with_ratios(ran: Sequence[Ran], nights: Whole) -> Iterator[Ran]:
    """The bases that a figure has ratios to, with those nights: one that did not measure it is no base of it."""
    known = set(nights.tolist())
    for each in ran:
        if theirs := [night for night in each.nights if night in known]:
            yield replace(each, nights=theirs)


def _told_against(
    alone: Tracks, what: Against, ratio: _Figure, base: _Figure, base_of_night: Mapping[int, Base]
) -> Tracks:
    """With its ratios, and the base's values, as they are to the base that ratios are told against."""
    here = [base_of_night[night] for night in ratio[0].tolist()]  # the base has the same nights
    kept = np.array([each in what.offsets for each in here], bool)
    offsets = [what.offsets[each] for each in here if each in what.offsets]
    nights = ratio[0][kept]
    return replace(
        alone,
        why_no_ratio=what.why,
        ratio=_track(nights, _moved(ratio[1], kept, offsets, 1), logarithmic=True),
        base=_track(nights, _moved(base[1], kept, offsets, -1), logarithmic=True),
        bridged=list(_bridged(nights.tolist(), [each for each in here if each in what.offsets], what.offsets)),
        errors=_errors(offsets),
    )


def _moved(means: _Means, kept: NDArray[np.bool_], offsets: Sequence[Offset], sign: int) -> _Means:
    """Of some nights, each moved by its base's offset, whose error is in its interval."""
    here = means.of(kept)
    if not any(each.edges for each in offsets):
        return here
    halves = [
        half if not each.variance else _half(error, count, each)
        for error, half, count, each in zip(here.errors, here.halves, here.counts.tolist(), offsets, strict=True)
    ]
    return replace(here, means=here.means + sign * np.array([each.log for each in offsets]), halves=np.array(halves))


def _half(error: float, count: int, offset: Offset) -> float:
    """Half an interval over both errors (Welch and Satterthwaite); NaN where a night's own is not known."""
    if math.isnan(error):
        return math.nan
    own, theirs = error**2, offset.variance
    freedom = (own + theirs) ** 2 / (own**2 / (count - 1) + theirs**2 / offset.freedom)
    return student.quantile(freedom) * math.sqrt(own + theirs)


def _bridged(nights: Sequence[int], bases: Sequence[Base], offsets: Mapping[Base, Offset]) -> list[Bridged]:
    """The nights beside another base, by base, with what that is to the one that ratios are told against."""
    found = []
    for base in dict.fromkeys(bases):
        offset = offsets[base]
        if offset.edges:
            half = student.quantile(offset.freedom) * math.sqrt(offset.variance) if offset.variance else 0.0
            low, value, high = (math.exp(offset.log + each) for each in (-half, 0.0, half))
            mine = [night for night, each in zip(nights, bases, strict=True) if each == base]
            found.append(Bridged(build=base.build, nights=mine, runs=offset.runs, value=value, low=low, high=high))
    return found


def _errors(offsets: Sequence[Offset]) -> list[SharedError]:
    """What bridges are not sure of, with the nights that each moves; a bridge that all share moves no step."""
    uncertain = dict.fromkeys(edge for offset in offsets for edge, _ in offset.edges if edge.variance)
    return [
        SharedError(
            of=np.array([dict(offset.edges).get(edge, 0) for offset in offsets], np.float64),
            variance=edge.variance,
            freedom=edge.freedom,
        )
        for edge in uncertain
    ]


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


@dataclass(frozen=True)
class _Beside:
    """By job the base's job that ran beside it, -1 where none did; by owner which bases ran, and on which night."""

    base_of_job: Whole
    ran: Mapping[int, Sequence[Ran]]
    base_of_night: Mapping[int, Mapping[int, Base]]


def _beside(told: Told, owner_of: Whole) -> _Beside:
    bases = {
        (job.night, job.planned.pair, job.device): at
        for at, job in enumerate(told.jobs)
        if job.planned.side == "base" and job.good  # of one that failed nobody knows which build it was
    }
    base_of_job = np.full(len(told.jobs), -1, np.int64)
    by_owner: dict[int, dict[int, int]] = {}  # by owner and night the place of the base's job
    for at, job in enumerate(told.jobs):
        there = bases.get((job.night, job.planned.pair, job.device))
        if job.planned.side != "base" and there is not None:
            base_of_job[at] = there
            by_owner.setdefault(int(owner_of[at]), {})[job.night] = there
    known: dict[int, Base] = {}
    nights = {
        owner: {night: known.setdefault(at, _base(told, at)) for night, at in by_night.items()}
        for owner, by_night in by_owner.items()
    }
    ran = {
        owner: ran_beside(nights[owner], {night: told.jobs[at] for night, at in by_night.items()})
        for owner, by_night in by_owner.items()
    }
    return _Beside(base_of_job, ran, nights)


def _base(told: Told, at: int) -> Base:
    return base_of(told.jobs[at], told.nights[told.jobs[at].night].version)


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
    theirs = ~mine & (told.value > 0)
    known = _keys(told, told.job[theirs], told.round[theirs], told.metric[theirs])
    other = _looked_up(known, told.value[theirs], _keys(told, np.maximum(bases, 0), rounds, metrics))
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


def _looked_up(keys: Whole, values: Floats, wanted: Whole) -> Floats:
    """The value of each wanted key, of several the last; NaN where there is none."""
    if not len(keys):
        return np.full(len(wanted), math.nan)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    at = np.maximum(np.searchsorted(ordered, wanted, side="right") - 1, 0)
    return np.where(ordered[at] == wanted, values[order][at], math.nan)


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
    table = np.full(int(counts.max(initial=0)) + 1, math.nan)
    table[[*quantiles]] = [*quantiles.values()]
    wide = table[counts]
    return _Means(known, means, np.where(several, errors, math.nan), wide * errors, counts)


def _split(means: _Means, nights: int, positive: NDArray[np.bool_]) -> dict[int, _Figure]:
    """By figure, what has its codes."""
    owners = means.codes // nights
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    ends = [*starts[1:].tolist(), len(owners)]
    found: dict[int, _Figure] = {}
    for start, end in zip(starts.tolist(), ends, strict=True):
        part = slice(start, end)
        here = means.of(part)
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
        lows=_known(lows),
        highs=_known(highs),
        counts=means.counts.tolist(),
    )


def _known(ends: Floats) -> list[float | None]:
    """Ends of intervals, None for those that nobody knows."""
    finite = np.isfinite(ends)
    found: list[float | None] = ends.tolist()
    for at in np.flatnonzero(~finite).tolist():
        found[at] = None
    return found
