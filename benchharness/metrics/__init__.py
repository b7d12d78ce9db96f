"""The registry of metrics: what each name means, its unit, which direction is better, and where it comes from.

A name carries no numbers: prompt length, depth and percentile are parameters of a measurement.
Units in storage and export are the base ones: nanoseconds, bytes, per second.
"""

from __future__ import annotations

from typing import Any

from benchharness.metrics.courses import SESSIONS
from benchharness.metrics.definition import OF_DEVICE, Better, Metric, Unit
from benchharness.metrics.performance import PERFORMANCE
from benchharness.metrics.products import PRODUCTS
from benchharness.metrics.quality import QUALITY
from benchharness.metrics.tasks import TASKS
from benchharness.records import TABLES, Table

__all__ = ["METRICS", "OF_DEVICE", "ROWS", "Better", "Metric", "Unit"]


def _metric(table: Table[Any]) -> Metric:
    return Metric(
        name=table.metric,
        title=table.title,
        unit=Unit(table.unit),
        better=Better(table.better),
        definition=table.definition,
        source="benchharness",
    )


#: Raw rows that no result shows as they stand: courses and ladders are made of them.
ROWS = tuple(_metric(table) for table in TABLES.values() if table.title and not table.is_value)
_RAW = (_metric(table) for table in TABLES.values() if table.title and table.is_value)

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*PERFORMANCE, *SESSIONS, *PRODUCTS, *QUALITY, *TASKS, *_RAW, *ROWS)
}
