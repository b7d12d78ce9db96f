"""Raw rows of an attempt as a result keeps them, for sections of a page that show them."""

from __future__ import annotations

from benchharness.metrics import METRICS
from benchharness.results.result import Attempt, AttemptValue, Estimate, Measurement, MetricResult


def raw_result(attempt: Attempt, measurement: Measurement) -> MetricResult:
    """The rows of one measurement."""
    value = AttemptValue(
        attempt=attempt.id,
        device=attempt.device,
        round=attempt.round,
        value=measurement.value,
        samples=measurement.samples,
        row_length=measurement.row_length,
    )
    found = Estimate(value=measurement.value, count=1, statistic="of the raw rows")
    unit = METRICS[measurement.metric].unit
    return MetricResult(
        name=measurement.metric, parameters=measurement.parameters, unit=unit, estimate=found, attempts=(value,)
    )
