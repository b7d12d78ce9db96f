"""Percentiles of an attempt's samples: told where the samples of every attempt carry them, else why not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchharness.judge.intervals import over_attempts
from benchharness.metrics import METRICS
from benchharness.metrics.percentiles import samples_for_percentile
from benchharness.results.result import AttemptValue, Estimate, MetricResult, Parameters
from benchharness.results.samples import kept_percentile


def percentile_of(name: str, parameters: Parameters, attempts: Sequence[AttemptValue], percentile: int) -> MetricResult:
    """A percentile of each attempt, and the interval over attempts; unknown where samples are too few."""
    needed = samples_for_percentile(percentile)
    fewest = min((len(each.samples) for each in attempts), default=0)
    statistic = f"geometric mean of attempts' p{percentile}"
    values: Sequence[AttemptValue] = ()
    if fewest < needed:
        reason = f"{fewest} samples an attempt, and p{percentile} needs {needed}"
        found = Estimate(value=None, count=len(attempts), statistic=statistic, reason=reason)
    elif gone := _no_longer_known(attempts, percentile):
        found = Estimate(value=None, count=len(attempts), statistic=statistic, reason=gone)
    else:
        found_in = _in_each([each.samples for each in attempts], percentile)
        values = [_valued(each, value) for each, value in zip(attempts, found_in, strict=True)]
        found = over_attempts(values, statistic=statistic)
    with_percentile = {**parameters, "percentile": percentile}
    return MetricResult(name=name, parameters=with_percentile, unit=METRICS[name].unit, estimate=found, attempts=values)


def _valued(each: AttemptValue, value: float) -> AttemptValue:
    """As `dataclasses.replace`, which takes four times as long: every attempt has several percentiles."""
    return AttemptValue(
        attempt=each.attempt,
        device=each.device,
        round=each.round,
        value=value,
        samples=each.samples,
        row_length=each.row_length,
    )


def _no_longer_known(attempts: Sequence[AttemptValue], percentile: int) -> str:
    """Why a percentile that was not kept cannot be told any more; empty where it can."""
    gone = (each.why_no_samples for each in attempts if kept_percentile(each.samples, percentile) is None)
    return next(filter(None, gone), "")


def _in_each(several: Sequence[Sequence[float]], percentile: int) -> list[float]:
    """A percentile of each; in one go where they are equally long, as those of one job are, and none is kept."""
    kept = [kept_percentile(samples, percentile) for samples in several]
    if any(each is not None for each in kept):
        return [
            float(np.percentile(samples, percentile)) if value is None else value
            for samples, value in zip(several, kept, strict=True)
        ]
    if len({len(samples) for samples in several}) == 1:
        found: list[float] = np.percentile(np.asarray(several), percentile, axis=1).tolist()
        return found
    return [float(np.percentile(samples, percentile)) for samples in several]


def carried(attempts: Sequence[AttemptValue], percentile: int) -> bool:
    """Whether the samples of every attempt carry a percentile."""
    needed = samples_for_percentile(percentile)
    return bool(attempts) and all(len(each.samples) >= needed for each in attempts)


def asked_for(metrics: Sequence[MetricResult], name: str, percentile: int) -> list[MetricResult]:
    """Percentiles of a metric that are not among a result's, made of the samples behind its own value."""
    there = [each.parameters for each in metrics if each.name == name]
    plain = [each for each in metrics if each.name == name and "percentile" not in each.parameters and each.attempts]
    return [
        percentile_of(name, each.parameters, each.attempts, percentile)
        for each in plain
        if {**each.parameters, "percentile": percentile} not in there
    ]
