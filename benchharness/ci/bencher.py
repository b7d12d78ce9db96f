"""Bencher Metric Format: `{benchmark: {measure: {value, lower_value, upper_value}}}`, of the candidate."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchharness.ci.names import measure_of, subject_of
from benchharness.ci.report import GateReport
from benchharness.results.result import CANDIDATE


def document(reports: Sequence[GateReport]) -> str:
    """The document. Times in ns, sizes in bytes, rates per second; a metric without a value is left out."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for where, result in ((report.where, each) for report in reports for each in report.results):
        if result.job.side != CANDIDATE:
            continue
        for metric in result.metrics:
            estimate = metric.estimate
            if estimate.value is None:
                continue
            ends = {"lower_value": estimate.low, "upper_value": estimate.high}
            measure = {"value": estimate.value, **{key: end for key, end in ends.items() if end is not None}}
            found.setdefault(subject_of(result.job, where), {})[measure_of(metric.name, metric.parameters)] = measure
    return json.dumps(found, indent=1, allow_nan=False) + "\n"
