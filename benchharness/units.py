"""Quantities as people write and read them: one reader and one writer, for suites, command line, terminal and pages.

Read: "250 ms", "10 min", "600 MiB", "2 %" -> a number in a base unit. The unit is never guessed.
Written: a number in a base unit -> a readable multiple. A value and its interval share one multiple and one precision.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from benchharness.errors import UsageError
from benchharness.metrics import Unit

#: The blank between a number and its unit, or a sign and its number.
_WITHIN_A_FIGURE = re.compile(
    r"(?<=\d) (?=(?:%|[nµmu]?s|min|h|[kKMGT]i?B|B|[µm]?J|nats|dB|tokens|inferences)(?![\w]))|(?<=[≤≥±×<]) (?=\d)"
)
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\s0-9.]*)\s*")

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
#: Of what lies in the past.
AGES = {"h": 3600.0, "d": 86400.0, "days": 86400.0, "day": 86400.0, "weeks": 604800.0, "week": 604800.0, "w": 604800.0}
SHARES = {"%": 0.01}
BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}

#: The units in which a limit on a metric may be written, their worth in the metric's base unit, and an example.
_LIMITS: dict[str, tuple[dict[str, float], str, str]] = {
    Unit.NANOSECONDS: ({name: worth * 1e9 for name, worth in SECONDS.items()}, "a duration", "250 ms"),
    Unit.BYTES: (BYTES, "a size", "600 MiB"),
    Unit.TOKENS_PER_SECOND: ({"tokens/s": 1.0, "tok/s": 1.0}, "a rate of tokens", "20 tokens/s"),
    Unit.NATS: ({"nats": 1.0, "nat": 1.0}, "a divergence", "0.1 nats"),
    Unit.JOULES: ({"mJ": 1e-3, "J": 1.0}, "an energy", "50 mJ"),
    Unit.SHARE: ({**SHARES, "points": 0.01, "point": 0.01}, "a share", "98 %"),
    Unit.TOKENS: ({"tokens": 1.0, "token": 1.0}, "a number of tokens", "20 tokens"),
    Unit.DECIBELS: ({"dB": 1.0}, "a ratio of powers", "30 dB"),
    Unit.BITS_PER_BYTE: ({"bits/byte": 1.0, "bit/byte": 1.0}, "bits per byte of text", "0.05 bits/byte"),
    Unit.NUMBER: ({"": 1.0}, "a plain number", "22.5"),
    Unit.INFERENCES_PER_SECOND: ({"inferences/s": 1.0, "inf/s": 1.0}, "a rate of inferences", "30 inferences/s"),
    Unit.PERCENT_PER_HOUR: ({"%/h": 1.0}, "a drain of a battery", "12 %/h"),
    Unit.CHARGE_PER_HOUR: ({"mAh/h": 1.0, "mA": 1.0}, "a drain of a battery", "400 mAh/h"),
}


#: A thousand years: there are no dates two thousand years ago and more.
_LONGEST_AGE_S = 1000 * 365.25 * 86400
#: Readable multiples of the base units, smallest first. Units that are not here are written as they are.
_MULTIPLES: dict[str, tuple[tuple[float, str], ...]] = {
    Unit.NANOSECONDS: ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")),
    Unit.SHARE: ((0.01, "%"),),
    Unit.NUMBER: ((1, ""),),
    Unit.JOULES: ((1e-6, "µJ"), (1e-3, "mJ"), (1, "J"), (1e3, "kJ")),
    Unit.BYTES: ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"), (2**40, "TiB")),
}
#: Digits that a reader needs; more would pretend a precision that few results have.
_SIGNIFICANT_DIGITS = 3
#: Of a value whose interval is wide, and of one whose interval is next to nothing.
_FEWEST_DIGITS, _MOST_DIGITS = 2, 7
#: Below this a plain decimal is a row of zeros, and powers of ten are shorter.
_SMALLEST_PLAIN = 1e-4
#: Nearer to nothing than this no figure of ours is told apart from nothing; a ratio, which has no unit, is.
_RESOLUTION, _RESOLUTION_TEXT = 1e-6, "1e-6"
_MINUS = "\N{MINUS SIGN}"
#: Units of what is 1 at most, or often: a share, a cosine.
_BOUNDED = (Unit.SHARE, Unit.NUMBER)
#: Beyond them a double has nothing to say.
_MOST_DECIMALS = 9
#: A column whose values differ by more than this gets no common multiple: it would print five digits or more.
_WIDEST_COLUMN = 5e3


def seconds(text: str) -> float:
    """A duration in seconds. Raises `UsageError`."""
    return _quantity(text, SECONDS, "a duration", "250 ms")


def age(text: str) -> float:
    """How long ago, in seconds; at most a thousand years. Raises `UsageError`."""
    found = _quantity(text, AGES, "an age", "90 d")
    if found > _LONGEST_AGE_S:
        raise UsageError(f"{text!r} is longer ago than anything that was measured")
    return found


def moment(since: str | timedelta | datetime | None, now: datetime) -> datetime | None:
    """The moment that is meant by itself, or by how long ago it was, such as "90d". Raises `UsageError`."""
    if isinstance(since, datetime) or since is None:
        return since
    try:
        return now - (since if isinstance(since, timedelta) else timedelta(seconds=age(since)))
    except OverflowError as error:
        raise UsageError(f"{since} is longer ago than any clock tells; say less, such as 90d") from error


def share(text: str) -> float:
    """A share of one, from percent. Raises `UsageError`."""
    return _quantity(text, SHARES, "a share", "2 %")


def size(text: str) -> float:
    """A size in bytes. Raises `UsageError`."""
    return _quantity(text, BYTES, "a size", "600 MiB")


def limit(text: str, unit: str) -> float:
    """A limit on a metric, in the metric's base unit. Raises `UsageError` for a unit of another kind."""
    return _quantity(text, *_LIMITS[unit])


def unit_of(text: str) -> str:
    """The unit that a quantity is written in, "MB" of "100 MB"; empty where it has none."""
    match = _NUMBER.fullmatch(text)
    return match[2] if match else ""


def worth(name: str, unit: str) -> float | None:
    """What a unit that a user wrote is worth in a metric's base unit; None where it is no unit of it."""
    return _LIMITS[unit][0].get(name) if name and unit in _LIMITS else None


def _quantity(text: str, units: dict[str, float], what: str, example: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        known = ", ".join(units)
        raise UsageError(f'{text!r} is not {what}: write a number and a unit ({known}), such as "{example}"')
    number = float(match[1]) * units[match[2]]
    if not math.isfinite(number):
        raise UsageError(f"{text[:40]!r}… is too large a number")
    return number


@dataclass(frozen=True)
class Scale:
    """A multiple of a base unit: what to divide by, and its symbol."""

    divisor: float
    symbol: str


def scale_for(unit: str, value: float, wish: str = "") -> Scale:
    """The largest multiple in which a value, once rounded, is at least 1; or the unit wished for, if of its kind."""
    asked = worth(wish, unit)
    if asked is not None:
        return Scale(asked, wish)
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
    if value and is_about_zero(value, unit, scale):
        return f"≈ 0 (< {f'{_RESOLUTION_TEXT} {scale.symbol}'.rstrip()})"
    return f"{_number(value / scale.divisor, _told(value, unit, scale, half))} {scale.symbol}".rstrip()


def is_about_zero(value: float, unit: str, scale: Scale | None = None) -> bool:
    """Whether a value is 0, or is shown as `≈ 0` by `quantity_text`."""
    scale = scale or scale_for(unit, value)
    return not value or (bool(unit) and _below_resolution(value / scale.divisor))


def interval_text(low: float, high: float, value: float, unit: str, scale: Scale | None = None) -> str:
    """An interval in the multiple and precision of its value, such as `93.8 to 96.4`; the unit stands at the value."""
    return " to ".join(interval_ends(low, high, value, unit, scale))


def interval_ends(low: float, high: float, value: float, unit: str, scale: Scale | None = None) -> tuple[str, str]:
    """Both ends of an interval as numbers in the multiple and precision of its value."""
    scale = scale or scale_for(unit, value)
    telling = value or max(abs(low), abs(high))  # a value of 0 has no precision of its own
    decimals = _told(telling, unit, scale, (high - low) / 2)
    ends = low / scale.divisor, high / scale.divisor
    if unit and decimals is None and all(not end or _below_resolution(end) for end in ends):
        return "≈ 0", "≈ 0"
    return _number(ends[0], decimals), _number(ends[1], decimals)


def percent_text(share: float, decimals: int = 0) -> str:
    """A share in words that name no metric: 56 %, 12.5 %."""
    return f"{100 * share:.{decimals}f} %"


def together(text: str, blank: str = "\N{NO-BREAK SPACE}") -> str:
    """The same text with another blank within its figures, so that no line ends between a number and its unit."""
    return _WITHIN_A_FIGURE.sub(blank, text)


def duration_text(seconds: float) -> str:
    """A duration for people: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _told(value: float, unit: str, scale: Scale, half: float) -> int | None:
    """Decimals that make two digits of half an interval; without one, three significant digits of the value."""
    scaled = value / scale.divisor
    decimals = _decimals(scaled, _bound(unit, scale))
    width = half / scale.divisor
    if decimals is None or not scaled or not math.isfinite(scaled) or not 0 < width < math.inf:
        return decimals
    before = _order(abs(scaled)) + 1
    carried = 1 - _order(width)
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
        return min(_MOST_DECIMALS, 1 - _order(missing))
    rounded = float(f"{magnitude:.{_SIGNIFICANT_DIGITS - 1}e}")  # 9.996 has the decimals of 10.0
    return max(0, _SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(rounded)))


def _below_resolution(scaled: float) -> bool:
    return 0 < abs(scaled) < _RESOLUTION


def _number(scaled: float, decimals: int | None) -> str:
    if math.isnan(scaled):
        return "not a number"
    if math.isinf(scaled):
        return "∞" if scaled > 0 else f"{_MINUS}∞"
    text = f"{abs(scaled):.{_SIGNIFICANT_DIGITS - 1}e}" if decimals is None else f"{abs(scaled):,.{decimals}f}"
    return f"{_MINUS}{text}" if scaled < 0 and text.strip("0.,") else text  # what rounds to nothing has no sign


def _order(number: float) -> int:
    """The power of ten of a positive number; 0.000999999 is a thousandth: differences of doubles end so."""
    return math.floor(math.log10(float(f"{number:.6g}")))
