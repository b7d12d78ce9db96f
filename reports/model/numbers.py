"""Numbers that can be drawn: finite, of a sane size, and with no more digits than a figure can show."""

from __future__ import annotations

from collections.abc import Iterable

from benchharness.results.result import Estimate
from reports.figures.figure import Ends

#: No clock, rate or second is larger; what is larger was made to break a drawing.
_LARGEST = 1e15
_DIGITS = 6


def known(value: float | None) -> float | None:
    """A value that can be drawn; None for any other (NaN is not smaller than anything)."""
    return value if value is not None and abs(value) < _LARGEST else None


def finite(values: Iterable[float | None]) -> list[float]:
    """The values that can be drawn."""
    return [value for each in values if (value := known(each)) is not None]


def ends_of(estimate: Estimate, divisor: float = 1.0) -> Ends | None:
    """Value and interval, ready to draw: the value thrice where it has none; None where it cannot be drawn."""
    value = known(estimate.value)
    if value is None:
        return None
    low, high = (value if known(end) is None or end is None else end for end in (estimate.low, estimate.high))
    return value / divisor, min(low, value) / divisor, max(high, value) / divisor


def rounded(value: float) -> float:
    """More digits than a figure can show only make the page longer, and golden data depend on the processor."""
    return float(f"{value:.{_DIGITS}g}")
