"""Warnings of one metric's samples: spread, a clock too coarse for them, a first one unlike the others. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from benchharness.metrics import METRICS
from benchharness.results.result import MetricResult, ResultWarning, WarningKind
from benchharness.results.samples import around, first, least
from benchharness.results.told import Effective
from benchharness.units import percent_text

#: pyperf calls a benchmark unstable when the standard deviation exceeds this share of the mean.
UNSTABLE_SHARE = 0.10
#: hyperfine's outlier rule: modified z-score beyond this.
OUTLIER_SCORE = 14.8
#: A timed region shorter than this holds more than 1 % of clock: two calls take about 36 ns each.
SHORTEST_TIMED_NS = 7_200
#: The same share of a runtime's own clock, and the metrics that are read from it.
_STEP_SHARE = 0.01
STAMPED = frozenset(
    (
        *("model_ttft", "request_ttft", "itl", "chunk_gap", "tpot", "ttft_after_pause"),
        *("first_inference", "steady_inference", "inference_after_pause"),
    )
)


def warnings_of_samples(metric: MetricResult, effective: Effective) -> Iterator[ResultWarning]:
    """Every warning that the samples of one metric give reason for."""
    if METRICS[metric.name].headline:
        yield from _unstable(metric)
    yield from _timer(metric)
    yield from _stamped(metric, effective)
    yield from _slow_first(metric)


def _unstable(metric: MetricResult) -> Iterator[ResultWarning]:
    values = [value.value for value in metric.attempts]
    if len(values) < 2 or max(values) - min(values) <= UNSTABLE_SHARE * fmean(values):
        return  # no deviation is larger than the whole range, and an exact one takes long
    spread, mean = stdev(values), fmean(values)
    if spread <= UNSTABLE_SHARE * mean:
        return
    share = percent_text(spread / mean)
    yield ResultWarning(
        kind=WarningKind.UNSTABLE,
        message=f"{METRICS[metric.name].title}: attempts spread by {share} of their mean (pyperf's limit is 10 %)",
        hint="close other programs, or ask for a narrower interval with --ci-target",
    )


def _timer(metric: MetricResult) -> Iterator[ResultWarning]:
    if metric.unit != "ns" or not _is_middle(metric):
        return
    shortest = _shortest(metric)
    if shortest is not None and shortest < SHORTEST_TIMED_NS:
        yield ResultWarning(
            kind=WarningKind.BELOW_TIMER_RESOLUTION,
            message=f"{METRICS[metric.name].title}: a sample of {shortest:.0f} ns; reading the clock takes 36 ns twice",
            hint="measure a larger workload",
        )


def _stamped(metric: MetricResult, effective: Effective) -> Iterator[ResultWarning]:
    """Times by a runtime's own stamps in which a step of its clock is more than `_STEP_SHARE`."""
    step = effective.clock_resolution_ns
    if metric.name not in STAMPED or step is None or not _is_middle(metric):
        return
    shortest = _shortest(metric)
    if shortest is None:
        return
    tokens = metric.parameters.get("output_tokens")
    # TPOT is a mean: what was timed for it is the whole answer.
    timed = shortest * (tokens - 1) if metric.name == "tpot" and isinstance(tokens, int) else shortest
    if timed * _STEP_SHARE < step:
        yield ResultWarning(
            kind=WarningKind.BELOW_TIMER_RESOLUTION,
            message=f"{METRICS[metric.name].title}: {timed:.0f} ns by {effective.timed_by}, in steps of {step}",
            hint="measure a larger workload",
        )


def _slow_first(metric: MetricResult) -> Iterator[ResultWarning]:
    if not _is_middle(metric) or any(value.row_length for value in metric.attempts):
        return  # the first gap of an answer is not the first iteration of a session
    slow = sum(_first_is_outlier(value.samples) for value in metric.attempts)
    attempts = len(metric.attempts)
    if slow * 2 > attempts > 0:
        yield ResultWarning(
            kind=WarningKind.SLOW_FIRST_ITERATION,
            message=f"{METRICS[metric.name].title}: the first sample is far slower in {slow} of {attempts} attempts",
            hint="raise 'warmup' in the scenario's settings",
        )


def _is_middle(metric: MetricResult) -> bool:
    """Whether it stands for all of the samples: other percentiles of them would say the same again."""
    return metric.parameters.get("percentile", 50) == 50


def _shortest(metric: MetricResult) -> float | None:
    return min((least(value.samples) for value in metric.attempts if value.samples), default=None)


def _first_is_outlier(samples: Sequence[float]) -> bool:
    if len(samples) < 5:
        return False
    (middle, spread), beginning = around(samples), first(samples)
    return spread > 0 and beginning > middle and (beginning - middle) / spread > OUTLIER_SCORE
