"""Base units -> readable multiples. A value and its interval share one multiple and one precision."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Readable multiples of the base units, smallest first. Units that are not here are written as they are.
_MULTIPLES: dict[str, tuple[tuple[float, str], ...]] = {
    "ns": ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")),
    "share": ((0.01, "%"),),
    "1": ((1, ""),),
    "J": ((1e-6, "µJ"), (1e-3, "mJ"), (1, "J"), (1e3, "kJ")),
    "bytes": ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"), (2**40, "TiB")),
}
#: Digits that a reader needs; more would pretend a precision that few results have.
_SIGNIFICANT_DIGITS = 3
#: Of a value whose interval is wide, and of one whose interval is next to nothing.
_FEWEST_DIGITS, _MOST_DIGITS = 2, 7
#: Below this a plain decimal is a row of zeros, and powers of ten are shorter.
_SMALLEST_PLAIN = 1e-4
#: Units of what is 1 at most, or often: a share, a cosine.
_BOUNDED = ("share", "1")
#: Beyond them a double has nothing to say.
_MOST_DECIMALS = 9
#: A column whose values differ by more than this gets no common multiple: it would print five digits or more.
_WIDEST_COLUMN = 5e3


@dataclass(frozen=True)
class Scale:
    """A multiple of a base unit: what to divide by, and its symbol."""

    divisor: float
    symbol: str


def scale_for(unit: str, value: float) -> Scale:
    """The largest multiple in which a value, once rounded, is at least 1."""
    multiples = _MULTIPLES.get(unit, ((1.0, unit),))
    magnitude = abs(value) if math.isfinite(value) else 0.0
    chosen = multiples[0]
    for divisor, symbol in multiples:
        if magnitude / divisor >= 0.9995:  # what three digits round up to 1.00
            chosen = (divisor, symbol)
    return Scale(*chosen)


def common_scale(unit: str, values: list[float]) -> Scale | None:
    """One multiple for a column of values, so that they compare at a glance; None where they differ too much."""
    magnitudes = [abs(value) for value in values if value and math.isfinite(value)]
    if not magnitudes or max(magnitudes) > _WIDEST_COLUMN * min(magnitudes):
        return None
    return scale_for(unit, min(magnitudes))


def quantity_text(value: float, unit: str, scale: Scale | None = None, half: float = 0.0) -> str:
    """A value with its unit, such as `95.1 ms`; with as many digits as `half`, half of its interval, carries."""
    scale = scale or scale_for(unit, value)
    return f"{_number(value / scale.divisor, _told(value, unit, scale, half))} {scale.symbol}".rstrip()


def interval_text(low: float, high: float, value: float, unit: str, scale: Scale | None = None) -> str:
    """An interval in the multiple and precision of its value, such as `93.8 to 96.4`; the unit stands at the value."""
    scale = scale or scale_for(unit, value)
    telling = value or max(abs(low), abs(high))  # a value of 0 has no precision of its own
    decimals = _told(telling, unit, scale, (high - low) / 2)
    return f"{_number(low / scale.divisor, decimals)} to {_number(high / scale.divisor, decimals)}"


def _told(value: float, unit: str, scale: Scale, half: float) -> int | None:
    """Decimals that make two digits of half an interval; without one, three significant digits of the value."""
    scaled = value / scale.divisor
    decimals = _decimals(scaled, _bound(unit, scale))
    width = half / scale.divisor
    if decimals is None or not scaled or not math.isfinite(scaled) or not 0 < width < math.inf:
        return decimals
    before = math.floor(math.log10(abs(scaled))) + 1
    carried = 1 - math.floor(math.log10(width))
    carried = min(max(carried, _FEWEST_DIGITS - before), _MOST_DIGITS - before)
    return max(0, carried if _bound(unit, scale) is None else max(carried, decimals))


def _bound(unit: str, scale: Scale) -> float | None:
    """What shares, cosines and probabilities do not exceed, in the multiple; None for other units."""
    return 1 / scale.divisor if unit in _BOUNDED else None


def _decimals(scaled: float, bound: float | None = None) -> int | None:
    """Decimals that make three significant digits; None: powers of ten.

    Just below `bound` as many as make two digits of what is missing: 99.98 % is not 100 %.
    """
    magnitude = abs(scaled)
    if magnitude == 0 or not math.isfinite(magnitude):
        return 0
    if magnitude < _SMALLEST_PLAIN:
        return None
    missing = bound - magnitude if bound else 0.0
    if bound and 0 < missing < bound / 100:
        return min(_MOST_DECIMALS, 1 - math.floor(math.log10(missing)))
    rounded = float(f"{magnitude:.{_SIGNIFICANT_DIGITS - 1}e}")  # 9.996 has the decimals of 10.0
    return max(0, _SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(rounded)))


def _number(scaled: float, decimals: int | None) -> str:
    if math.isinf(scaled):
        return "∞" if scaled > 0 else "-∞"
    if math.isnan(scaled):
        return "not a number"
    if decimals is None:
        return f"{scaled:.{_SIGNIFICANT_DIGITS - 1}e}"
    return f"{scaled:.{decimals}f}"
