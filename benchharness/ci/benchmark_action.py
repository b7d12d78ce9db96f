"""What github-action-benchmark reads: a list of figures of the candidate, a file for each direction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from benchharness.ci.names import measure_of, subject_of
from benchharness.ci.report import GateReport
from benchharness.metrics import METRICS, Better
from benchharness.results.result import CANDIDATE


def smaller_is_better(reports: Sequence[GateReport]) -> str:
    """Tool `customSmallerIsBetter`."""
    return _listed(reports, Better.LOWER)


def bigger_is_better(reports: Sequence[GateReport]) -> str:
    """Tool `customBiggerIsBetter`."""
    return _listed(reports, Better.HIGHER)


def _listed(reports: Sequence[GateReport], better: Better) -> str:
    figures = [figure for report in reports for figure in _figures(report, better)]
    return json.dumps(figures, indent=1, allow_nan=False) + "\n"


def _figures(report: GateReport, better: Better) -> Iterator[dict[str, object]]:
    for result in report.results:
        if result.job.side != CANDIDATE:
            continue
        for metric in result.metrics:
            estimate = metric.estimate
            if estimate.value is None or METRICS[metric.name].better is not better:
                continue
            half = None if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2
            yield {
                "name": f"{subject_of(result.job, report.where)}/{measure_of(metric.name, metric.parameters)}",
                "unit": metric.unit,
                "value": estimate.value,
                **({} if half is None else {"range": f"± {half:.6g}"}),
                "extra": f"{estimate.statistic}; {estimate.count} attempts; run {report.run.id}",
            }
