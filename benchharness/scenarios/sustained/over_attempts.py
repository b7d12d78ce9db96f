"""Values of attempts, one each -> a metric's result. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from benchharness.judge.intervals import estimate
from benchharness.metrics import METRICS
from benchharness.results.result import Attempt, AttemptValue, Estimate, MetricResult, Parameters


def over_attempts(
    name: str,
    parameters: Parameters,
    values: Mapping[str, float | None],
    by_attempt: Mapping[str, Attempt],
    *,
    of: int | None = None,
    missing: str = "",
) -> MetricResult:
    """The geometric mean of those attempts that have a value; `missing` says why none has.

    Of a loss, `of` is how many attempts there are: only where all of them lost is there a mean.
    """
    taken = [
        AttemptValue(attempt=attempt, device=by_attempt[attempt].device, round=by_attempt[attempt].round, value=value)
        for attempt, value in values.items()
        if value is not None
    ]
    unit = METRICS[name].unit
    if of is not None and len(taken) < of:  # a mean over those that lost would say nothing of the others
        reason = f"{len(taken)} of {of} sessions lost so much"
        nothing = Estimate(value=None, count=of, statistic="geometric mean of attempts' values", reason=reason)
        return MetricResult(name=name, parameters=dict(parameters), unit=unit, estimate=nothing, attempts=taken)
    if not taken:
        nothing = Estimate(value=None, statistic="geometric mean of attempts' values", reason=missing)
        return MetricResult(name=name, parameters=dict(parameters), unit=unit, estimate=nothing, attempts=())
    whole = estimate([value.value for value in taken], statistic="geometric mean of attempts' values")
    return MetricResult(name=name, parameters=dict(parameters), unit=unit, estimate=whole, attempts=taken)
