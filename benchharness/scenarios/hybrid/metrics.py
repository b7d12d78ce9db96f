"""The rows of a hybrid attempt -> metrics with intervals over requests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchharness.judge.exact_shares import CLOPPER_PEARSON, clopper_pearson
from benchharness.judge.means import mean_over
from benchharness.metrics import METRICS
from benchharness.records import HANDOVERS, AnsweredBy, HandoverRow
from benchharness.results.result import Attempt, AttemptValue, Estimate, MetricResult, Parameters, Result
from benchharness.scenarios.hybrid.trade import Cell, Kept, trade_of
from benchharness.scenarios.raw import raw_result

_UNIT = "requests"
_PERCENTILES = (50, 95)
_TIMES = {"hybrid_first_token": "first_token", "longest_silence": "longest_silence"}
_LOCALLY = (AnsweredBy.DEVICE, AnsweredBy.BOTH)


def hybrid_metrics(attempt: Attempt) -> Iterator[MetricResult]:
    """Every figure of each policy over each network, and the raw rows."""
    for measurement in attempt.measurements:
        if measurement.metric != HANDOVERS.metric or not HANDOVERS.fits(measurement.samples, measurement.row_length):
            continue
        rows = HANDOVERS.rows(list(measurement.samples))
        if not rows:
            continue
        cell = Cell(policy="", network="", rows=rows)
        for name, more, found in (*_times(cell), *_shares(cell), *_means(rows)):
            yield _metric(attempt, name, {**measurement.parameters, **more}, found)
        yield raw_result(attempt, measurement)


Figure = tuple[str, Parameters, Estimate]


def _times(cell: Cell) -> Iterator[Figure]:
    for name, which in _TIMES.items():
        times = sorted(cell.times_ns(which))
        for percentile in _PERCENTILES:
            yield name, {"percentile": percentile}, order_statistic(times, percentile / 100)


def order_statistic(times: Sequence[float], share: float) -> Estimate:
    """A quantile of sorted times and its 95 % interval by their ranks, without a guess about their distribution.

    An end that so few requests do not carry, or that is no time at all because there was no answer, is not told.
    """
    from scipy.stats import binom

    count = len(times)
    value = float(np.quantile(times, share, method="inverted_cdf"))
    low, high = int(binom.ppf(0.025, count, share)) - 1, int(binom.ppf(0.975, count, share))
    statistic = f"p{100 * share:g} over requests, interval by ranks"
    if value == np.inf:
        unanswered = sum(time == np.inf for time in times)
        reason = f"{unanswered} of {count} requests got no answer"
        return Estimate(value=None, count=1, statistic=statistic, reason=reason)
    found = Estimate(value=value, count=1, statistic=statistic, drawn=count, drawn_unit=_UNIT)
    if low < 0 or high >= count or times[high] == np.inf:
        return replace(found, reason=f"{count} requests carry no interval of p{100 * share:g}")
    return replace(found, low=times[low], high=times[high])


def _shares(cell: Cell) -> Iterator[Figure]:
    for name, who in (("answered_locally", _LOCALLY), ("unanswered", (AnsweredBy.NOBODY,))):
        yield name, {}, _share([row.answered_by in who for row in cell.rows])
    told = [row.right == 1 for row in cell.rows if row.right >= 0]
    if told:
        yield "answers_right", {}, _share(told)


def _share(hits: Sequence[bool]) -> Estimate:
    low, high = clopper_pearson(sum(hits), len(hits))
    value = sum(hits) / len(hits)
    return Estimate(
        value=value, low=low, high=high, count=1, statistic=CLOPPER_PEARSON, drawn=len(hits), drawn_unit=_UNIT
    )


def _means(rows: Sequence[HandoverRow]) -> Iterator[Figure]:
    yield "wasted_tokens", {}, _mean([row.wasted_tokens for row in rows])
    yield "wasted_bytes", {}, _mean([row.wasted for row in rows])
    yield "moved_bytes", {}, _mean([row.sent + row.received for row in rows])
    changed = [row.agreement for row in rows if row.answered_by == AnsweredBy.BOTH and row.agreement >= 0]
    if changed:
        yield "answer_agreement", {"answers": "changed hands"}, _mean(changed, most=1.0)
    answered = [row.agreement for row in rows if row.agreement >= 0]
    if answered:
        yield "answer_agreement", {"answers": "all"}, _mean(answered, most=1.0)
    spent = [row.energy for row in rows if row.energy >= 0]
    if spent and len(spent) == len(rows):
        yield "energy_per_request", {}, _mean(spent)


def _mean(values: Sequence[float], most: float = math.inf) -> Estimate:
    """Of numbers that are never below 0."""
    return mean_over(
        values, statistic="mean over requests", unit=_UNIT, positive=True, through=lambda mean: min(mean, most)
    )


def policies_kept(result: Result) -> Iterator[MetricResult]:
    """How many ways of answering keep every budget; up to how many may."""
    trade = trade_of(result)
    if trade is None or not trade.budgets:
        return
    count = Counter(each.kept for each in trade.candidates)
    sure, undecided = count[Kept.YES], count[Kept.UNDECIDED]
    found = Estimate(value=sure, low=sure, high=sure + undecided, count=1, statistic="by the interval of every share")
    behind = next(metric.attempts for metric in result.metrics if metric.name == HANDOVERS.metric)
    values = [replace(each, value=float(sure), samples=(), row_length=0) for each in behind]
    yield MetricResult(
        name="policies_kept", parameters={}, unit=METRICS["policies_kept"].unit, estimate=found, attempts=values
    )


def _metric(attempt: Attempt, name: str, parameters: Parameters, found: Estimate) -> MetricResult:
    value = AttemptValue(attempt=attempt.id, device=attempt.device, round=attempt.round, value=found.value or 0.0)
    return MetricResult(name=name, parameters=parameters, unit=METRICS[name].unit, estimate=found, attempts=(value,))
