"""Pairs of processes, base and candidate, and what a design's looks make of them for one metric. Pure.

A pair is one attempt of each, of the same round. What is compared of an attempt is its least sample where a metric has
samples and less is better (other work on a device makes a process slower and never faster), else its one value. The
test is that of `judge.pair_ranks`, on logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

from benchharness.judge.design import Design
from benchharness.judge.pair_ranks import estimate, interval, p_above
from benchharness.metrics import METRICS, Better
from benchharness.results.result import AttemptValue, Estimate, MetricResult
from benchharness.results.samples import least

#: What stands for an estimate.
STATISTIC = "ratio of the best of each process, candidate / base, by ranks within pairs"
#: By round the best of base and of candidate, in the metric's unit.
Rounds = Mapping[int, tuple[float, float]]


class Change(StrEnum):
    """What became of a metric from base to candidate."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"  # within the margin, in both directions
    NO_WORSE = "no worse"  # by the margin or more; it may be better
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the looks made of a metric's pairs. `ratio` is candidate / base, its interval that of the deciding look."""

    kind: Change = Change.UNDECIDED
    ratio: Estimate
    p_value: float | None = None  # that it is not worse (or not better, where that is the verdict), times hypotheses
    visible: float | None = None  # the smallest change for the worse that such pairs would have called; 0.03 is 3 %
    pairs: int = 0
    base: float | None = None  # of each build what the ratio is of, in the metric's unit
    candidate: float | None = None
    reason: str = ""  # why it is undecided


def rounds_of(base: MetricResult, candidate: MetricResult) -> dict[int, tuple[float, float]]:
    """Of each round that both have, the best of both, base first. Half a pair is none, nor is what has no logarithm."""
    lower = METRICS[candidate.name].better is not Better.HIGHER
    theirs = {(value.device, value.round): best_of(value, lower=lower) for value in base.attempts}
    found = {}
    for value in candidate.attempts:
        other, ours = theirs.get((value.device, value.round), 0.0), best_of(value, lower=lower)
        if 0 < other < math.inf and 0 < ours < math.inf:
            found[value.round] = (other, ours)
    return found


def best_of(value: AttemptValue, *, lower: bool) -> float:
    """What is compared of an attempt: of times the least. Samples in rows are no repeats of the value."""
    if not lower or value.row_length or not len(value.samples):
        return value.value
    return least(value.samples)


def decided(rounds: Rounds, made: int, metric: str, design: Design, hypotheses: int) -> Decision:
    """At the first look that decides it, or at the last that there was; `made` pairs were tried, whole or half."""
    looks = [look for look, pairs in enumerate(design.looks) if pairs <= made]
    if not rounds:
        return replace(_undecided(rounds), reason="no pair has a value above zero on both sides")
    if not looks:
        return replace(_undecided(rounds), reason=f"{made} pairs, and the first look is after {design.looks[0]}")
    seen, last, kind = rounds, looks[0], Change.UNDECIDED
    for look in looks:
        if theirs := {round_: both for round_, both in rounds.items() if round_ < design.looks[look]}:
            seen, last = theirs, look
            kind = _kind(look, *_logarithms(seen, metric), design, hypotheses)
        if kind is not Change.UNDECIDED:
            break
    return _told(kind, last, seen, metric, design, hypotheses)


def _kind(look: int, base: Sequence[float], candidate: Sequence[float], design: Design, hypotheses: int) -> Change:
    """What one look makes of the pairs so far, as logarithms of which more is worse."""
    level, bound = design.alpha_at(look, hypotheses), design.beta_at(look)
    margin, counts = math.log1p(design.margin), math.log1p(design.least)
    if p_above(base, candidate) <= level and estimate(base, candidate) > counts:
        return Change.WORSE
    if p_above(candidate, base) <= level and estimate(base, candidate) < -counts:
        return Change.BETTER
    if p_above([each - margin for each in candidate], base) > bound:
        return Change.UNDECIDED
    both = p_above(base, [each + margin for each in candidate]) <= bound
    return Change.SAME if both else Change.NO_WORSE


def _told(kind: Change, look: int, seen: Rounds, metric: str, design: Design, hypotheses: int) -> Decision:
    """A look's verdict with ratio, interval, p-value, and what would have been seen."""
    base, candidate = _logarithms(seen, metric)
    level, bound = design.alpha_at(look, hypotheses), design.beta_at(look)
    middle, sure = estimate(base, candidate), interval(base, candidate, level)
    told = replace(
        _undecided(seen),
        kind=kind,
        ratio=_estimate(metric, len(seen), middle, sure, level),
        p_value=min(1.0, hypotheses * min(p_above(base, candidate), p_above(candidate, base))),
        visible=None if sure is None else math.expm1(max(middle - sure[0], math.log1p(design.least))),
    )
    if kind is Change.UNDECIDED:
        return replace(told, reason=_open(told, design, hypotheses))
    if kind in (Change.WORSE, Change.BETTER):
        return told
    margin = math.log1p(design.margin)
    ends = interval(base, candidate, bound, (-margin, 0.0, margin))
    return replace(told, ratio=_estimate(metric, len(seen), middle, ends, bound))


def _open(told: Decision, design: Design, hypotheses: int) -> str:
    needed = design.pairs_needed(hypotheses)
    if needed is None:
        return f"no look of this design could call one of {hypotheses} metrics: more pairs, or fewer primary metrics"
    if told.pairs >= design.looks[-1]:
        return f"{told.pairs} pairs, the most planned, tell it neither from no change nor from the margin"
    return f"not decided after {told.pairs} pairs"


def _logarithms(rounds: Rounds, metric: str) -> tuple[list[float], list[float]]:
    """Of base and candidate in the order of their rounds, with the other sign where more is better: above is worse.

    In that order pairs that were made one after the other are neighbours.
    """
    sign = -1.0 if METRICS[metric].better is Better.HIGHER else 1.0
    both = [rounds[round_] for round_ in sorted(rounds)]
    return [sign * math.log(base) for base, _ in both], [sign * math.log(candidate) for _, candidate in both]


def _estimate(metric: str, pairs: int, middle: float, ends: tuple[float, float] | None, error: float) -> Estimate:
    sign = -1.0 if METRICS[metric].better is Better.HIGHER else 1.0
    low, high = sorted(math.exp(sign * end) for end in ends) if ends else (None, None)
    return Estimate(
        value=math.exp(sign * middle),
        low=low,
        high=high,
        count=pairs,
        statistic=f"{STATISTIC}; each end of the interval is wrong with a chance of {error:.2g} at most",
        reason="" if ends else f"{pairs} pairs are too few for an interval that is wrong so seldom",
    )


def _undecided(rounds: Rounds) -> Decision:
    """What each build took in these rounds, and no verdict."""
    base, candidate = ([both[side] for both in rounds.values()] for side in (0, 1))
    return Decision(
        ratio=Estimate(value=None, statistic=STATISTIC, reason="no look yet"),
        pairs=len(rounds),
        base=median(base) if base else None,
        candidate=median(candidate) if candidate else None,
    )
