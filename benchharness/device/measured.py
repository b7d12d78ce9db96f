"""A measurement as the worker reports it: plain values, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchharness.records import Table  # whoever writes rows has loaded it: others start without it


def measurement(
    metric: str,
    parameters: Mapping[str, Any],
    value: float | None = None,
    *,
    samples: Sequence[float] = (),
    row_length: int = 0,
) -> dict[str, Any]:
    """One measurement in the metric's base unit; without a value it is the median of the samples."""
    if value is None:
        from statistics import median  # with fractions and decimals: a cold start is over before a median is asked for

        value = median(samples)
    return {
        "metric": metric,
        "parameters": dict(parameters),
        "value": float(value),
        "samples": list(samples),
        "row_length": row_length,
    }


def raw_rows(
    table: Table[Any], parameters: Mapping[str, Any], value: float, samples: Sequence[float]
) -> dict[str, Any]:
    """Rows of a raw table as one measurement; `samples` as `Table.flat` gives them."""
    return measurement(table.metric, parameters, value, samples=samples, row_length=table.row_length)
