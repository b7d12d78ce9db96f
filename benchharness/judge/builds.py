"""What a comparison of two builds found, metric by metric: worse, better, the same within a margin, or undecided. Pure.

A pair is one attempt of base and one of candidate, of the same round. What is compared of an attempt is its best
sample where a metric has samples (other work on a device makes a process slower and never faster), else its one value.
The test is Wilcoxon's on the logarithms of their ratios, at the looks of a `Design`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from benchharness.judge.compare import identity, ratios_of
from benchharness.judge.design import Design
from benchharness.judge.signed_ranks import hodges_lehmann, interval, p_above
from benchharness.judge.unequal import Factor, differences
from benchharness.metrics import METRICS, Better
from benchharness.results.result import (
    BASE,
    CANDIDATE,
    EXACT,
    AttemptValue,
    Estimate,
    Job,
    MetricResult,
    Parameters,
    Result,
)

#: What stands for an estimate.
STATISTIC = "Hodges-Lehmann ratio of the best of each process, candidate / base, pair by pair"
_MIDDLE = 50  # of the percentiles of one metric: the one whose attempts hold the samples once


class Change(StrEnum):
    """What became of a metric from base to candidate."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"  # within the margin, in both directions
    NO_WORSE = "no worse"  # by the margin or more; it may be better
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of one pair of jobs. `ratio` is candidate / base; its interval is that of the look that decided."""

    job: Job  # the candidate's
    primary: bool
    kind: Change
    ratio: Estimate
    metric: str = ""  # empty: of the whole pair, where one of the two gave nothing
    parameters: Parameters = field(default_factory=dict)
    p_value: float | None = None  # that it is not worse (or not better, where that is the verdict), times hypotheses
    visible: float | None = None  # the smallest change for the worse that such pairs would have called; 0.03 is 3 %
    pairs: int = 0
    base: float | None = None  # of each build what the ratio is of, in the metric's unit
    candidate: float | None = None
    reason: str = ""  # why it is undecided, or what decided it beside the figures


@dataclass(frozen=True, kw_only=True)
class Twins:
    """The results of base and candidate for the same job."""

    base: Result
    candidate: Result

    @property
    def made(self) -> int:
        """How many attempts both have made, whatever became of them."""
        return min(sum(self.base.outcomes.values()), sum(self.candidate.outcomes.values()))


def twins(results: Iterable[Result]) -> list[Twins]:
    """The pairs among a run's results, in their order; empty where the run compares no builds."""
    by_side: dict[str, dict[str, Result]] = {}
    for result in results:
        if result.job.side:
            by_side.setdefault(result.job.pair, {})[result.job.side] = result
    return [
        Twins(base=sides[BASE], candidate=sides[CANDIDATE])
        for sides in by_side.values()
        if {BASE, CANDIDATE} <= {*sides}
    ]


def compared(pairs: Sequence[Twins], design: Design) -> list[Comparison]:
    """Every metric that both sides of a pair have."""
    asked = [(each, list(primary_of(each, design.primary))) for each in pairs]
    hypotheses = max(1, sum(len(metrics) for _, metrics in asked))
    found: list[Comparison] = []
    for each, metrics in asked:
        trouble = failed(each) or unlike(each, design.allow)
        if trouble is not None:
            found.append(trouble)
            continue
        known = {identity(metric) for metric, _ in metrics}
        found += [_judged(each, *both, design, hypotheses) for both in metrics]
        found += _advice(each, known)
    return found


def settled(found: Iterable[Comparison]) -> bool:
    """Whether nothing is left to decide: all primary metrics are, or one of them is worse already."""
    kinds = [each.kind for each in found if each.primary]
    return Change.WORSE in kinds or (bool(kinds) and Change.UNDECIDED not in kinds)


def primary_of(pair: Twins, names: Sequence[str]) -> Iterator[tuple[MetricResult, MetricResult]]:
    """A primary metric of both; of one with percentiles the middle one, whose attempts have all samples."""
    theirs = {identity(metric): metric for metric in pair.base.metrics}
    for metric in pair.candidate.metrics:
        wanted = metric.name in names and metric.parameters.get("percentile", _MIDDLE) == _MIDDLE
        measured = metric.estimate.statistic != EXACT and metric.attempts
        if wanted and measured and (other := theirs.get(identity(metric))) is not None:
            yield other, metric


def failed(pair: Twins) -> Comparison | None:
    """Where a side gave nothing: a candidate that fails where the base does not is worse, whatever its figures."""
    base, candidate = pair.base.outcome, pair.candidate.outcome
    if base.ok and candidate.ok:
        return None
    if base.ok:
        return _whole(pair, Change.WORSE, f"the candidate ended with {candidate}, and the base did not")
    also = f", and so did the candidate, with {candidate}" if not candidate.ok else ""
    return _whole(pair, Change.UNDECIDED, f"the base ended with {base}{also}: there is nothing to compare with")


def unlike(pair: Twins, allow: Sequence[str], apart: Sequence[str] = ()) -> Comparison | None:
    """Where the two did not do the same work, or were apart in what else is told; `allow` are words of what may be."""
    found = [*differences(pair.candidate, pair.base, Factor.BUILD), *apart]
    told = [each for each in found if not any(word.removesuffix("s") in each for word in allow)]  # "1 thread against 2"
    return _whole(pair, Change.UNDECIDED, f"not the same work: {'; '.join(told)}") if told else None


def _whole(pair: Twins, kind: Change, reason: str) -> Comparison:
    """A verdict on a pair of jobs and all that they measure."""
    nothing = Estimate(value=None, statistic=STATISTIC, reason=reason)
    return Comparison(job=pair.candidate.job, primary=True, kind=kind, ratio=nothing, pairs=pair.made, reason=reason)


def _judged(pair: Twins, base: MetricResult, candidate: MetricResult, design: Design, hypotheses: int) -> Comparison:
    """One primary metric, at the first look that decides it, or at the last that there was."""
    rounds = _rounds(base, candidate)
    looks = [look for look, pairs in enumerate(design.looks) if pairs <= pair.made]
    open_ = _comparison(pair, candidate, rounds)
    if not rounds:
        return replace(open_, reason="no pair has a value above zero on both sides")
    if not looks:
        return replace(open_, reason=f"{pair.made} pairs, and the first look is after {design.looks[0]}")
    for look in looks:
        seen = {round_: both for round_, both in rounds.items() if round_ < design.looks[look]}
        if seen:
            open_ = _at(look, _comparison(pair, candidate, seen), seen, design, hypotheses)
        if open_.kind is not Change.UNDECIDED:
            return open_
    return open_


Rounds = Mapping[int, tuple[float, float]]


def _rounds(base: MetricResult, candidate: MetricResult) -> dict[int, tuple[float, float]]:
    """Of each round that both have, the best of both, base first. Half a pair is none."""
    lower = METRICS[candidate.name].better is not Better.HIGHER
    theirs = {(value.device, value.round): best_of(value, lower=lower) for value in base.attempts}
    found = {}
    for value in candidate.attempts:
        other, ours = theirs.get((value.device, value.round), 0.0), best_of(value, lower=lower)
        if other > 0 and ours > 0:
            found[value.round] = (other, ours)
    return found


def best_of(value: AttemptValue, *, lower: bool) -> float:
    """What is compared of an attempt. Samples in rows are no repeats of the value."""
    if value.row_length or not len(value.samples):
        return value.value
    return float(min(value.samples) if lower else max(value.samples))


def _at(look: int, open_: Comparison, seen: Rounds, design: Design, hypotheses: int) -> Comparison:
    """What one look makes of the pairs so far."""
    for_worse = _logarithms(seen, open_.metric)
    level, bound = design.alpha_at(look, hypotheses), design.beta_at(look, hypotheses)
    middle, least = hodges_lehmann(for_worse), math.log1p(design.least)
    worse, better = p_above(for_worse), p_above([-each for each in for_worse])
    sure = interval(for_worse, level)
    told = replace(
        open_,
        ratio=_estimate(open_.metric, for_worse, level),
        p_value=min(1.0, hypotheses * min(worse, better)),
        visible=None if sure is None else math.expm1(max(middle - sure[0], least)),
    )
    if worse <= level and middle > least:
        return replace(told, kind=Change.WORSE)
    if better <= level and middle < -least:
        return replace(told, kind=Change.BETTER)
    ends, margin = interval(for_worse, bound), math.log1p(design.margin)
    if ends is None or ends[1] >= margin:
        return replace(told, reason=_open(told, design, hypotheses))
    kind = Change.SAME if ends[0] > -margin else Change.NO_WORSE
    return replace(told, kind=kind, ratio=_estimate(open_.metric, for_worse, bound))


def _open(told: Comparison, design: Design, hypotheses: int) -> str:
    needed = design.pairs_needed(hypotheses)
    if needed is None:
        return f"no look of this design could call one of {hypotheses} metrics: more pairs, or fewer primary metrics"
    if told.pairs >= design.looks[-1]:
        return f"{told.pairs} pairs, the most planned, tell it neither from no change nor from the margin"
    return f"not decided after {told.pairs} pairs"


def _logarithms(rounds: Rounds, metric: str) -> list[float]:
    """Of candidate / base, or the other way round where more is better: above zero is worse."""
    sign = -1.0 if METRICS[metric].better is Better.HIGHER else 1.0
    return [sign * math.log(candidate / base) for base, candidate in rounds.values()]


def _estimate(metric: str, for_worse: Sequence[float], error: float) -> Estimate:
    sign = -1.0 if METRICS[metric].better is Better.HIGHER else 1.0
    ends = interval(for_worse, error)
    low, high = sorted(math.exp(sign * end) for end in ends) if ends else (None, None)
    return Estimate(
        value=math.exp(sign * hodges_lehmann(for_worse)),
        low=low,
        high=high,
        count=len(for_worse),
        statistic=f"{STATISTIC}; each end of the interval is wrong with a chance of {error:.2g} at most",
        reason="" if ends else f"{len(for_worse)} pairs are too few for an interval that is wrong so seldom",
    )


def _comparison(pair: Twins, metric: MetricResult, rounds: Rounds) -> Comparison:
    """An undecided one, with what each build took in these rounds."""
    middles = [_median(values) for values in zip(*rounds.values(), strict=True)] if rounds else [None, None]
    return Comparison(
        job=pair.candidate.job,
        metric=metric.name,
        parameters=metric.parameters,
        primary=True,
        kind=Change.UNDECIDED,
        ratio=Estimate(value=None, statistic=STATISTIC, reason="no look yet"),
        pairs=len(rounds),
        base=middles[0],
        candidate=middles[1],
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _advice(pair: Twins, known: set[tuple[str, str]]) -> Iterator[Comparison]:
    """What else both sides measured: ratios round by round that decide nothing; sizes exactly."""
    ratios = ratios_of(pair.candidate, pair.base, apart_from=Factor.BUILD, called=BASE)
    theirs = {identity(metric): metric for metric in pair.base.metrics}
    for metric in pair.candidate.metrics:
        key = identity(metric)
        ratio, other = ratios.get(key), theirs.get(key)
        if ratio is None or other is None or key in known:
            continue
        yield Comparison(
            job=pair.candidate.job,
            metric=metric.name,
            parameters=metric.parameters,
            primary=False,
            kind=_advised(ratio, METRICS[metric.name].better),
            ratio=ratio,
            pairs=ratio.count,
            base=other.estimate.value,
            candidate=metric.estimate.value,
            reason=ratio.reason,
        )


def _advised(ratio: Estimate, better: Better) -> Change:
    """Which way it seems to have gone: a hint, corrected for nothing."""
    if ratio.low is None or ratio.high is None or better is Better.NEITHER:
        return Change.UNDECIDED
    if ratio.low == ratio.high == 1:
        return Change.SAME
    if ratio.low <= 1 <= ratio.high:
        return Change.UNDECIDED
    return Change.WORSE if (ratio.low > 1) is (better is not Better.HIGHER) else Change.BETTER
