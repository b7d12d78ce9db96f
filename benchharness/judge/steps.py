"""Steps in series of nightly figures: from which night on a level is another one. Pure.

A series is cut wherever two neighbouring stretches of nights differ by more than chance makes them, over stretches of
every length (seeded intervals: Kovács et al. 2023, doi:10.1093/biomet/asac052), with Student's t. Nights on one machine
are not independent: its speed wanders, so the t of an absolute series is made smaller as if each night was correlated
with the one before by at least `_WANDERS`. A ratio to a base that ran in the same night has no such wandering.

A night asks every series at once, and one false step a night would be a false step a night: by Holm's method the chance
of any false step among all of them stays below `alpha`. `benchmarks/steps.py` measures what that yields.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchharness.judge import student
from benchharness.judge.joints import SharedError, differences, errors_within

Floats = NDArray[np.float64]
Number = TypeVar("Number", Floats, float)

#: The chance that any of all series of a night has a false step.
ALPHA = 0.05
#: A level that is not a hundredth another is none: as `result.TELLS_APART`, in logarithms.
LEAST_SIZE = 0.01
#: Fewer nights are no level.
LEAST_NIGHTS = 3
#: Of absolute values: what a night at least shares with the one before; see docs/decisions/0027.
_WANDERS = 0.7
#: The shortest stretches: where nights are correlated, few tell nothing.
_SHORTEST, _SHORTEST_OF_WANDERING = 8, 16
#: Places whose likelihood is no worse than this (twice the logarithm) may be the step's: 97.5 % of a chi-squared.
_AS_LIKELY = 5.0
#: A series is exact where no more than this share of its nights differs from the night before.
_MOST_CHANGES = 0.1
_TINY = 1e-12
#: Neighbours that each moves when the other has could do so for ever.
_MOST_MOVES = 10
#: More make an interval narrower by a fiftieth at most, and scipy takes a tenth of what a year of nights may take.
_MOST_FREEDOM = 60


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values of consecutive nights: logarithms where sizes are ratios. `wanders`: the machine's drift is in them."""

    values: Floats
    wanders: bool
    errors: Sequence[SharedError] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """A step: the value `at` is the first of the new level, and it may as well lie from `first` to `last`.

    `size` is the new level less the old one, with its 95 % interval; `p` the chance of it where there is none.
    """

    at: int
    first: int
    last: int
    size: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class _Cuts:
    """Of each stretch of a series where it is best cut, and how far what is before and after differ, as a deviate."""

    stretches: Sequence[tuple[int, int]]
    at: NDArray[np.intp]
    deviates: Floats


def find_steps(series: Sequence[Series], *, alpha: float = ALPHA) -> list[list[Found]]:
    """The steps of each series, in order. All series together are one family of tests."""
    tested = [at for at, each in enumerate(series) if not _exact(each.values) and _places(each) > 0]
    cuts = _clearest_cuts(series, tested)
    chances = {at: _chance(float(each.deviates.max())) * _places(series[at]) for at, each in cuts.items()}
    exact = {at: list(_exact_changes(each)) for at, each in enumerate(series) if _exact(each.values)}
    at_joints = [change.p for changes in exact.values() for change in changes if change.p]
    limit = _holm([*chances.values(), *at_joints], alpha)
    found: list[list[Found]] = []
    for at, each in enumerate(series):
        if at in exact:
            found.append([change for change in exact[at] if change.p <= limit])
        else:
            found.append(_steps(each, cuts[at], limit) if chances.get(at, 1.0) <= limit else [])
    return found


def difference(
    values: Floats, at: int, *, wanders: bool = False, errors: Sequence[SharedError] = ()
) -> tuple[float, float, float]:
    """The mean from `at` on less the mean before it, and its 95 % interval."""
    shared = _shared(values, wanders=wanders)
    freedom = max(int(_freedom(len(values), shared)), 1)
    if errors:
        found = differences(
            values[None], np.array([at]), [errors], np.array([_shrunk(shared)]), np.array([float(freedom)])
        )
        size, error = float(found.sizes[0, 0]), math.sqrt(found.variances[0, 0])
        freedom = max(int(found.freedoms[0, 0]), 1)
    else:
        before, after = values[:at], values[at:]
        size = float(after.mean() - before.mean())
        within = float(((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum())
        error = math.sqrt(within / max(len(values) - 2, 1) * (1 / len(before) + 1 / len(after)) / _shrunk(shared))
    half = student.quantile(min(freedom, _MOST_FREEDOM)) * error
    return size, size - half, size + half


# What no chance is in


def _exact(values: Floats) -> bool:
    """Whether values stand still from night to night, as a size does: any change is a step."""
    if len(values) < LEAST_NIGHTS + 1:
        return False
    return float(np.mean(np.abs(np.diff(values)) > _TINY)) <= _MOST_CHANGES


def _exact_changes(series: Series) -> Iterator[Found]:
    """Every change, and every joint by what is not known exactly: only there a chance is in it, whatever was found."""
    moved = np.abs(np.diff(series.values)) > _TINY
    joined = [np.diff(each.of) != 0 for each in series.errors if each.variance]
    for at in (int(each) + 1 for each in np.flatnonzero(np.any([moved, *joined], axis=0))):
        size = float(series.values[at] - series.values[at - 1])
        errors = errors_within(series.errors, at - 1, at + 1)
        variance, half, chance = sum(each.variance for each in errors), 0.0, 0.0
        if variance:
            freedom = min(each.freedom for each in errors)
            half = student.quantile(freedom) * math.sqrt(variance)
            chance = _chance(float(_deviate(size**2 / variance, freedom)))
        yield Found(at=at, first=at, last=at, size=size, low=size - half, high=size + half, p=chance)


# The family of a night


def _clearest_cuts(series: Sequence[Series], tested: Sequence[int]) -> dict[int, _Cuts]:
    """For each tested series how each of its stretches is best cut; those of one length at once."""
    alike: dict[tuple[int, bool, tuple[bytes, ...]], list[int]] = {}
    for at in tested:
        joined = tuple(each.of.tobytes() for each in series[at].errors)
        alike.setdefault((len(series[at].values), series[at].wanders, joined), []).append(at)
    found: dict[int, _Cuts] = {}
    for (length, wanders, joined), members in alike.items():
        rows = np.array([series[at].values for at in members])
        shared = np.array([_shared(row, wanders=wanders) for row in rows])
        stretches = _stretches(length, wanders=wanders)
        best = np.empty((len(members), len(stretches)), np.intp)
        deviates = np.empty((len(members), len(stretches)))
        for number, (start, end) in enumerate(stretches):
            errors = [errors_within(series[at].errors, start, end) for at in members] if joined else []
            cut, deviates[:, number] = _clearest(rows[:, start:end], shared, errors)
            best[:, number] = start + cut
        found |= {at: _Cuts(stretches, best[row], deviates[row]) for row, at in enumerate(members)}
    return found


def _holm(chances: Sequence[float], alpha: float) -> float:
    """What the chance of one series may be at most, by Holm's method."""
    ordered = sorted(chances)
    accepted = 0
    while accepted < len(ordered) and ordered[accepted] * (len(ordered) - accepted) <= alpha:
        accepted += 1
    return alpha / max(len(ordered) - accepted, 1)


@lru_cache(maxsize=256)
def _stretches(length: int, *, wanders: bool) -> Sequence[tuple[int, int]]:
    """Seeded intervals: all nights, and halves of them down to the shortest, overlapping by half."""
    shortest = _SHORTEST_OF_WANDERING if wanders else _SHORTEST
    found: dict[tuple[int, int], None] = {}
    wide = length
    while wide >= shortest:
        step = max(wide // 2, 1)
        for start in [*range(0, length - wide, step), length - wide]:
            found[start, start + wide] = None
        wide = math.ceil(wide / 2)
    return tuple(found)


def _places(series: Series) -> int:
    """At how many places a series is looked at, over all stretches."""
    return _places_of(len(series.values), wanders=series.wanders)


@lru_cache(maxsize=256)
def _places_of(length: int, *, wanders: bool) -> int:
    return sum(end - start - 2 * LEAST_NIGHTS + 1 for start, end in _stretches(length, wanders=wanders))


def _clearest(
    rows: Floats, shared: Floats, errors: Sequence[Sequence[SharedError]] = ()
) -> tuple[NDArray[np.intp], Floats]:
    """By row, where it is best cut in two, and how far what is before and after differ, as a normal deviate.

    `errors` are those of each row, of the same nights in all.
    """
    if errors and errors[0]:
        return _clearest_joined(rows, shared, errors)
    count = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    before = np.arange(LEAST_NIGHTS, count - LEAST_NIGHTS + 1)
    sums = np.cumsum(centred, axis=1)[:, before - 1]
    # With the whole centred, the difference of both means is sum * (1 / before + 1 / after).
    between = sums**2 * (1 / before + 1 / (count - before))
    best = np.argmax(between, axis=1)
    most = between[np.arange(len(rows)), best]
    within = np.maximum((centred**2).sum(axis=1) - most, _TINY**2)
    freedom = np.maximum(_freedom(count, shared), 1.0)
    squared = most * (count - 2) / within * _shrunk(shared)
    return best + LEAST_NIGHTS, _deviate(squared, freedom)


def _clearest_joined(
    rows: Floats, shared: Floats, errors: Sequence[Sequence[SharedError]]
) -> tuple[NDArray[np.intp], Floats]:
    """The same of series in which some values share errors."""
    count = rows.shape[1]
    cuts = np.arange(LEAST_NIGHTS, count - LEAST_NIGHTS + 1)
    found = differences(rows, cuts, errors, _shrunk(shared), np.maximum(_freedom(count, shared), 1.0))
    squared = found.sizes**2 / found.variances
    best = np.argmax(squared, axis=1)  # the likeliest place, whatever its degrees of freedom
    each = np.arange(len(rows))
    return best + LEAST_NIGHTS, _deviate(squared[each, best], found.freedoms[each, best])


def _deviate(squared: Number, freedom: Number) -> Number:
    """A squared t as a normal deviate, by Wallace's formula (doi:10.1214/aoms/1177706271).

    It errs to the safe side by some hundredths: deviates compare whatever their degrees of freedom.
    """
    found: Number = (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(squared / freedom))
    return found


def _chance(deviate: float) -> float:
    """Of a normal deviate as large, on either side."""
    return math.erfc(deviate / math.sqrt(2))


def _shared(values: Floats, *, wanders: bool) -> float:
    """What a night has of the one before, as a correlation; steps hardly move it, as it is made of differences.

    Differences of independent nights are correlated by -1/2, those of a random walk not at all.
    """
    moved = np.diff(values)
    least = _WANDERS if wanders else 0.0
    if len(moved) < 2 * LEAST_NIGHTS:
        return least
    moved = np.clip(moved, *np.quantile(moved, (0.05, 0.95)))  # a step is one difference among many
    moved = moved - moved.mean()
    square = float((moved**2).sum())
    correlation = float((moved[1:] * moved[:-1]).sum()) / square if square > 0 else -0.5
    # Of few nights it is known to 1 / sqrt(nights) only: what lies within that is no evidence of any.
    told = 1 + 2 * (correlation - 1 / math.sqrt(len(moved)))
    return min(max(told, least), 0.95)


def _shrunk(shared: Number) -> Number:
    """What is left of a squared t."""
    return (1 - shared) / (1 + shared)


def _freedom(count: int, shared: Number) -> Number:
    """Degrees of freedom of a variance over nights that share something."""
    return count * (1 - shared**2) / (1 + shared**2) - 2


# One series


def _steps(series: Series, cuts: _Cuts, limit: float) -> list[Found]:
    """The steps of a series whose clearest cut is no chance: the clearest first, then those apart from it."""
    places = _places(series)
    found: list[int] = []
    for number in np.argsort(-cuts.deviates, kind="stable").tolist():
        if _chance(float(cuts.deviates[number])) * places > limit:
            break
        start, end = cuts.stretches[number]
        if not any(start < at < end for at in found):
            found.append(int(cuts.at[number]))
    return _refined(series, sorted(found), limit / places)


def _refined(series: Series, places: Sequence[int], limit: float) -> list[Found]:
    """Steps measured between their neighbours, and only those that are still told there."""
    kept, moves = list(places), 0
    while kept:
        told = [_measured(series, kept, number) for number in range(len(kept))]
        worst = max(range(len(told)), key=lambda number: (told[number].p, -abs(told[number].size)))
        small = [number for number, each in enumerate(told) if abs(each.size) < LEAST_SIZE]
        moved = [each.at for each in told]
        if told[worst].p > limit or len(set(moved)) < len(moved):
            kept.pop(worst)
        elif small:
            kept.pop(small[0])
        elif moved != kept and moves < _MOST_MOVES:
            kept, moves = moved, moves + 1
        else:
            return told
    return []


def _measured(series: Series, places: Sequence[int], number: int) -> Found:
    """A step as the nights between its neighbours tell it."""
    start = places[number - 1] if number else 0
    end = places[number + 1] if number + 1 < len(places) else len(series.values)
    values = series.values[start:end]
    shared, errors = (
        np.array([_shared(series.values, wanders=series.wanders)]),
        errors_within(series.errors, start, end),
    )
    at, chance = places[number] - start, 1.0
    if len(values) >= 2 * LEAST_NIGHTS:
        best, deviates = _clearest(values[None], shared, [errors])
        at, chance = int(best[0]), _chance(float(deviates[0]))
    size, low, high = difference(values, at, wanders=series.wanders, errors=errors)
    first, last = _range(values, at, float(_shrunk(float(shared[0]))))
    return Found(at=start + at, first=start + first, last=start + last, size=size, low=low, high=high, p=chance)


def _range(values: Floats, at: int, shrunk: float) -> tuple[int, int]:
    """From where to where around its likeliest place a step may lie."""
    count = len(values)
    before = np.arange(1, count)
    centred = values - values.mean()
    sums = np.cumsum(centred)[:-1]
    within = np.maximum((centred**2).sum() - sums**2 * (1 / before + 1 / (count - before)), _TINY**2)
    likely = before[count * np.log(within / within[at - 1]) * shrunk <= _AS_LIKELY]
    first = last = at
    while first - 1 in likely:
        first -= 1
    while last + 1 in likely:
        last += 1
    return first, last
