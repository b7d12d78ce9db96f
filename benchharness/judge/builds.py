"""What a comparison of two builds found, metric by metric: worse, better, the same within a margin, or undecided. Pure.

What decides a primary metric is in `judge.pairs`; here is which metrics there are, and what keeps two builds from a
comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchharness.judge.compare import identity, ratios_of
from benchharness.judge.design import Design
from benchharness.judge.pairs import STATISTIC, Change, Decision, decided, rounds_of
from benchharness.judge.unequal import Factor, differences
from benchharness.metrics import METRICS, Better
from benchharness.metrics.limits import NO_RATIO
from benchharness.results.result import (
    BASE,
    CANDIDATE,
    EXACT,
    Estimate,
    Job,
    MetricResult,
    Parameters,
    Result,
)
from benchharness.scenarios import SCENARIOS

if TYPE_CHECKING:
    from benchharness.judge.gate import Gated

#: How it begins why a pair of jobs got no more attempts once it was settled.
DECIDED = "decided after"
_MIDDLE = 50  # of the percentiles of one metric: the one whose attempts hold the samples once


@dataclass(frozen=True, kw_only=True)
class Comparison(Decision):
    """One metric of one pair of jobs."""

    job: Job  # the candidate's
    primary: bool
    metric: str = ""  # empty: of the whole pair, where one of the two gave nothing
    difference: Estimate | None = None  # in place of a ratio, in the metric's unit: candidate less base, by input
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Since:
    """What became of a candidate since its base: both as whoever asked called them."""

    base: str
    candidate: str
    design: Design
    comparisons: Sequence[Comparison]
    gated: Gated | None = None  # what a gate says of it; of a run that repeats another one, of both


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
    hypotheses = max(1, sum(len(metrics) for _, metrics in asked)) * design.family
    found: list[Comparison] = []
    for each, metrics in asked:
        trouble = failed(each) or unlike(each, design.allow)
        if trouble is not None:
            found.append(trouble)
            continue
        known = {identity(metric) for metric, _ in metrics}
        found += [_judged(each, *both, design, hypotheses) for both in metrics]
        found += _by_input(each, design)
        found += _by_place(each, design)
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


def _judged(pair: Twins, base: MetricResult, candidate: MetricResult, design: Design, hypotheses: int) -> Comparison:
    found = decided(rounds_of(base, candidate), pair.made, candidate.name, design, hypotheses)
    return Comparison(
        job=pair.candidate.job, primary=True, metric=candidate.name, parameters=candidate.parameters, **vars(found)
    )


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
    told = [each for each in found if not _is_allowed(each, allow)]
    return _whole(pair, Change.UNDECIDED, f"not the same work: {'; '.join(told)}") if told else None


def _is_allowed(difference: str, words: Sequence[str]) -> bool:
    """Whether one of the words names it: `threads` does "1 thread against 2"."""
    return any(word.removesuffix("s") in difference for word in words)


def _whole(pair: Twins, kind: Change, reason: str) -> Comparison:
    """A verdict on a pair of jobs and all that they measure."""
    nothing = Estimate(value=None, statistic=STATISTIC, reason=reason)
    return Comparison(job=pair.candidate.job, primary=True, kind=kind, ratio=nothing, pairs=pair.made, reason=reason)


def _by_input(pair: Twins, design: Design) -> Iterator[Comparison]:
    """What a scenario holds against each other input by input; decided where the design has a limit for it."""
    for name, parameters, found in SCENARIOS.of_stored(pair.candidate.job.scenario).changes(pair.base, pair.candidate):
        limit = design.limits.get(name)
        yield Comparison(
            job=pair.candidate.job,
            primary=limit is not None,
            metric=name,
            parameters=parameters,
            kind=_lost(found, METRICS[name].better, limit or 0.0),
            ratio=Estimate(value=None, statistic=found.statistic, reason="a difference, and no ratio"),
            difference=found,
            reason=found.reason,
        )


def _lost(difference: Estimate, better: Better, limit: float) -> Change:
    """Worse where all of the interval is past the limit; no worse where none of it is."""
    if difference.low is None or difference.high is None or better is Better.NEITHER:
        return Change.UNDECIDED
    ends = (difference.low, difference.high)
    low, high = ends if better is Better.LOWER else (-ends[1], -ends[0])
    if low > limit:
        return Change.WORSE
    if high < 0:
        return Change.BETTER
    if low == high == 0:
        return Change.SAME
    return Change.NO_WORSE if high <= limit else Change.UNDECIDED


def _by_place(pair: Twins, design: Design) -> Iterator[Comparison]:
    """Exactly how many operators an accelerator left to others, where both tell and it is not the same number."""
    base, candidate = _elsewhere(pair.base), _elsewhere(pair.candidate)
    if base is None or candidate is None or base == candidate:
        return
    reason = f"{candidate} operators run elsewhere than asked for, and {base} in the base"
    if not _is_allowed(reason, design.allow):
        yield _whole(pair, Change.WORSE if candidate > base else Change.BETTER, reason)


def _elsewhere(result: Result) -> int | None:
    """How many; None where nobody tells."""
    fallback = result.effective.fallback
    if isinstance(fallback, Mapping):
        count = fallback.get("operators_elsewhere")
        return count if isinstance(count, int) else None
    return None if result.effective.placement is None else 0


def _advice(pair: Twins, known: set[tuple[str, str]]) -> Iterator[Comparison]:
    """What else both sides measured: ratios round by round that decide nothing; sizes exactly."""
    ratios = ratios_of(pair.candidate, pair.base, apart_from=Factor.BUILD, called=BASE)
    theirs = {identity(metric): metric for metric in pair.base.metrics}
    for metric in pair.candidate.metrics:
        key = identity(metric)
        ratio, other = ratios.get(key), theirs.get(key)
        unsaid = METRICS[metric.name].unit in NO_RATIO  # a ratio of two losses means nothing
        if ratio is None or other is None or key in known or unsaid:
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
