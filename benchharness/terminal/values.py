"""Values as the terminal writes them: readable multiples of units, durations for people, text that steers nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchharness.metrics import Unit
from benchharness.results.result import EXACT, Estimate
from benchharness.units import worth

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
#: Significant digits of a value whose interval is wide, and of one whose interval is next to nothing.
_FEWEST_DIGITS, _MOST_DIGITS = 2, 7
_MOST_RATIO_PLACES = 4
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


def quantity(value: float, unit: str, wish: str = "", half: float | None = None) -> str:
    """A value in a readable multiple of its unit, or in the user's: `wish`, as a budget was written.

    Its digits follow `half`, half of its interval, of which two are told; three significant ones where there is none.
    """
    scale, name = _scale(value, unit, wish)
    return f"{_digits(value / scale, half and half / scale)} {name}".rstrip()


def estimated(estimate: Estimate, unit: str, wish: str = "") -> str:
    """An estimate's value, with as many digits as its interval carries."""
    assert estimate.value is not None
    return quantity(estimate.value, unit, wish, _half(estimate))


def times(ratio: Estimate) -> str:
    """A ratio and its interval, with as many decimals as the interval carries."""
    assert ratio.value is not None
    half = _half(ratio)
    places = min(max(2, 1 - math.floor(math.log10(half))), _MOST_RATIO_PLACES) if half else 2
    ends = "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.{places}f}, {ratio.high:.{places}f}]"
    return f"× {ratio.value:.{places}f}{ends}"


def _half(estimate: Estimate) -> float | None:
    """Half of an interval; None where there is none, and where all attempts gave one value."""
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return None
    return (estimate.high - estimate.low) / 2


def _scale(value: float, unit: str, wish: str = "") -> tuple[float, str]:
    asked = worth(wish, unit)
    if asked is not None:
        return asked, wish
    scales = _SCALES.get(unit, ((1, unit),))
    return next((pair for pair in scales if abs(value) >= pair[0]), scales[-1])


def _digits(value: float, half: float | None = None) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < _TINY:
        return f"{value:.2e}"
    places = 2 - math.floor(math.log10(abs(value)))
    if half:
        follows = 1 - math.floor(math.log10(half))
        places = min(max(follows, _FEWEST_DIGITS - _before(value)), _MOST_DIGITS - _before(value))
    return f"{value:,.{max(0, places)}f}"


def _before(value: float) -> int:
    """Digits before the decimal point; less than one where zeros follow it."""
    return math.floor(math.log10(abs(value))) + 1


def interval(estimate: Estimate, unit: str, wish: str = "") -> str:
    """± a share where that is small; else both ends, as a wide interval is not symmetric. Exact values have none."""
    if estimate.statistic == EXACT:
        return ""
    half = estimate.relative_half_width
    if estimate.low is None or estimate.high is None:
        return " ± unknown"
    if half is not None and half <= _WIDE and unit not in _BY_THEIR_ENDS:
        return f" ± {half:.1%}"
    ends = [quantity(end, unit, wish, _half(estimate)) for end in (estimate.low, estimate.high)]
    return f"\n[{ends[0]}, {ends[1]}]"
