"""The registry of metrics: what each name means, its unit, which direction is better, and where it comes from.

A name carries no numbers: prompt length, depth and percentile are parameters of a measurement.
Units in storage and export are the base ones: nanoseconds, bytes, per second.
"""

from __future__ import annotations

from benchharness.metrics.courses import ROWS, SESSIONS
from benchharness.metrics.definition import OF_DEVICE, Better, Metric, Unit
from benchharness.metrics.performance import PERFORMANCE
from benchharness.metrics.quality import QUALITY, RAW

__all__ = ["METRICS", "OF_DEVICE", "ROWS", "Better", "Metric", "Unit"]

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*PERFORMANCE, *SESSIONS, *QUALITY, *RAW, *ROWS)}
