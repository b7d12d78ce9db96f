"""Metrics of a row -> cells of a table."""

from __future__ import annotations

from benchharness.results.result import MetricResult
from reports.model.entries import Entry
from reports.model.estimates import quantity
from reports.model.tables import Cell, Quantity


def found_in(entry: Entry, name: str, **parameters: int) -> MetricResult | None:
    """The metric of this name and with these parameters, if there is one."""
    named = (metric for metric in entry.result.metrics if metric.name == name)
    return next((metric for metric in named if parameters.items() <= dict(metric.parameters).items()), None)


def metric_cell(metric: MetricResult | None, missing: str = "not reported") -> Cell:
    """Its value and interval, or why there is none."""
    if metric is None:
        return Cell(state="absent", note=missing)
    shown = quantity(metric.estimate, metric.unit)
    if metric.estimate.value is None:
        return Cell(state="unknown", quantity=shown)
    if metric.estimate.count == 1 and not shown.interval:
        return text_cell(shown.text, "one attempt: no interval")
    return Cell(state="value", quantity=shown, count=metric.estimate.count)


def text_cell(text: str, reason: str = "") -> Cell:
    """A text, and what is to be known of it."""
    return Cell(state="value", quantity=Quantity(text=text, reason=reason))
