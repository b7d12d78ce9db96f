"""Values as the terminal writes them: readable multiples of units, durations for people, text that steers nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchharness.metrics import Unit
from benchharness.result import EXACT, Estimate

#: An interval with a larger relative half-width is shown by its ends.
_WIDE = 0.2
_SCALES: dict[str, Sequence[tuple[float, str]]] = {
    Unit.NANOSECONDS: ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")),
    Unit.BYTES: ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
    Unit.TOKENS_PER_SECOND: ((1, "tok/s"),),
    Unit.INFERENCES_PER_SECOND: ((1, "inf/s"),),
    Unit.SHARE: ((0.01, "%"),),
    Unit.NUMBER: ((1, ""),),
}
#: Smaller numbers are written with an exponent.
_TINY = 1e-4
#: A share of a share, or of a number that may be below zero, is easily misread.
_BY_THEIR_ENDS = frozenset((Unit.SHARE, Unit.NATS, Unit.DECIBELS, Unit.NUMBER))


def visible(text: object) -> str:
    """Text from a model, a runtime or a device, with whatever would steer the terminal spelled out."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def duration(seconds: float) -> str:
    """A duration for people: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def quantity(value: float, unit: str) -> str:
    """A value in a readable multiple of its unit, three significant digits."""
    scale, name = _scale(value, unit)
    return f"{_digits(value / scale)} {name}".rstrip()


def _scale(value: float, unit: str) -> tuple[float, str]:
    scales = _SCALES.get(unit, ((1, unit),))
    return next((pair for pair in scales if abs(value) >= pair[0]), scales[-1])


def _digits(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < _TINY:
        return f"{value:.2e}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def interval(estimate: Estimate, unit: str) -> str:
    """± a share where that is small; else both ends, as a wide interval is not symmetric. Exact values have none."""
    if estimate.statistic == EXACT:
        return ""
    half = estimate.relative_half_width
    if estimate.low is None or estimate.high is None:
        return " ± unknown"
    if half is not None and half <= _WIDE and unit not in _BY_THEIR_ENDS:
        return f" ± {half:.1%}"
    return f"\n[{quantity(estimate.low, unit)}, {quantity(estimate.high, unit)}]"
