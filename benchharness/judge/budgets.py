"""Whether a result keeps the budgets that a suite or a hardware target sets (`metrics.limits`).

A result passes only where the whole 95 % interval is on the right side of the limit, misses where all of it is on the
wrong side, and is undecided in between or where there is no interval. What is no evidence (`evidence`) keeps no budget
and misses none. An undecided one says why, and what would decide it, or that nothing would where that is so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchharness import units as quantity
from benchharness.judge.compare import identity, ratios_of
from benchharness.judge.evidence import no_evidence
from benchharness.judge.unequal import Factor
from benchharness.metrics import METRICS, Better
from benchharness.metrics.limits import BASE, REFERENCE, Budget
from benchharness.results.result import MetricResult, Result, Verdict, VerdictKind, is_of, part_of

#: The largest of what was seen bounds the largest there is.
_EXTREMES = ("largest_error", "kld_largest")


def judged(results: Sequence[Result], budgets: Sequence[Budget]) -> list[Result]:
    """The results with a verdict for each budget on a metric that they have, and the percentiles that budgets ask."""
    found = [_with_percentiles(result, budgets) for result in results]
    bases = {result.job.pair: result for result in found if result.job.side == BASE}
    return [replace(result, verdicts=list(_verdicts(result, budgets, bases.get(result.job.pair)))) for result in found]


def _with_percentiles(result: Result, budgets: Sequence[Budget]) -> Result:
    wanted = {
        (each.metric, each.percentile)
        for each in budgets
        if each.percentile is not None and each.percentile in METRICS[each.metric].tails
    }
    if not wanted:
        return result
    from benchharness.judge.percentiles import asked_for  # numpy and scipy, which a suite needs none of

    more = [made for name, percentile in sorted(wanted) for made in asked_for(result.metrics, name, percentile)]
    return replace(result, metrics=[*result.metrics, *more])


def unmeasured(results: Sequence[Result], budgets: Sequence[Budget]) -> list[Budget]:
    """Budgets on which no result says anything: they are not kept, only unasked."""
    told = {verdict.budget for result in results for verdict in result.verdicts}
    return [budget for budget in budgets if f"{budget.title} {budget.text}" not in told]


def _verdicts(result: Result, budgets: Sequence[Budget], base: Result | None) -> Iterator[Verdict]:
    """`base`: the other build's result, where two are compared."""
    if not result.job.ships:
        return
    for budget in budgets:
        if budget.against and (result.job.side == BASE or (budget.against == REFERENCE and result.job.is_reference)):
            continue  # it is what others are held against
        for metric in _spoken_of(result, budget):
            told = _against(result, metric, budget, base) if budget.against else _judge(metric, budget)
            yield _verdict(metric, budget, no_evidence(result, metric), told)


def _against(result: Result, metric: MetricResult, budget: Budget, base: Result | None) -> tuple[VerdictKind, str]:
    """The verdict on a ratio, and why it is undecided: kept where the whole paired interval is."""
    ratio = metric.ratio
    if budget.against == BASE:
        if base is None:
            return VerdictKind.UNDECIDED, "no base ran beside it; benchharness gate runs one"
        ratio = ratios_of(result, base, apart_from=Factor.BUILD, called=BASE).get(identity(metric))
    if ratio is None or ratio.value is None or ratio.low is None or ratio.high is None:
        why = ratio.reason if ratio is not None else f"there is no ratio to the {budget.against}"
        return VerdictKind.UNDECIDED, why or "there is no interval"
    low, high = ratio.low, ratio.high
    if METRICS[metric.name].better is Better.HIGHER:
        low, high = 1 / high, 1 / low
    if high <= 1 + budget.limit:
        return VerdictKind.PASS, ""
    if low > 1 + budget.limit:
        return VerdictKind.MISS, ""
    from benchharness.judge.deciding import what_would_decide

    limit = 1 + budget.limit if METRICS[metric.name].better is not Better.HIGHER else 1 / (1 + budget.limit)
    hint = what_would_decide(ratio, limit)
    return VerdictKind.UNDECIDED, "the interval of the ratio spans the budget" + (f": {hint}" if hint else "")


def _spoken_of(result: Result, budget: Budget) -> list[MetricResult]:
    """The metrics that a budget limits: without an output's name what the model is about, else every output."""
    found = [
        metric
        for metric in result.metrics
        if budget.metric in _about(metric.name, of_reference=result.job.is_reference)
        and metric.parameters.get("percentile") == budget.percentile
    ]
    if budget.output is not None:
        return [metric for metric in found if is_of(metric.parameters, budget.output)]
    return [metric for metric in found if not part_of(metric.parameters)] or found


def _about(name: str, *, of_reference: bool) -> tuple[str, ...]:
    """The metrics whose limits a figure is held to."""
    metric = METRICS[name]
    return (name, metric.bounds, metric.of_reference if of_reference else "")


def _verdict(metric: MetricResult, budget: Budget, doubt: str, told: tuple[VerdictKind, str]) -> Verdict:
    kind, reason = (VerdictKind.UNDECIDED, doubt) if doubt else told
    return Verdict(
        budget=f"{budget.title} {budget.text}",
        origin=budget.origin,
        metric=metric.name,
        parameters=metric.parameters,
        limit=budget.limit,
        unit=(unit := "" if budget.against else quantity.unit_of(budget.text)),
        unit_worth=quantity.worth(unit, METRICS[metric.name].unit) or 0.0,
        kind=kind,
        reason=reason,
        against=budget.against,
    )


def _judge(metric: MetricResult, budget: Budget) -> tuple[VerdictKind, str]:
    """The verdict, and why it is undecided."""
    estimate, limit = metric.estimate, budget.limit
    if metric.name in _EXTREMES and estimate.value is not None:
        reason = "the largest of those seen keeps it, and others may be larger: no number of inputs would decide it"
        return (VerdictKind.MISS, "") if estimate.value > limit else (VerdictKind.UNDECIDED, reason)
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return VerdictKind.UNDECIDED, estimate.reason or "there is no interval"
    within, beyond = estimate.high <= limit, estimate.low > limit
    if METRICS[budget.metric].better is Better.HIGHER:
        within, beyond = estimate.low >= limit, estimate.high < limit
    if beyond:
        return VerdictKind.MISS, ""
    if METRICS[metric.name].bounds == budget.metric:
        reason = f"{metric.name} is a lower bound, which no number of inputs makes a pass; set a budget on it"
        return VerdictKind.UNDECIDED, f"{reason}, on total_variation or on agreement"
    if within:
        return VerdictKind.PASS, ""
    from benchharness.judge.deciding import what_would_decide  # scipy takes long to load, and a suite needs none

    hint = METRICS[metric.name].decided_by or what_would_decide(estimate, limit)
    return VerdictKind.UNDECIDED, "the interval spans the budget" + (f": {hint}" if hint else "")
