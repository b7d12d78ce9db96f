"""Numbers with units as people write them: "250 ms", "10 min", "600 MiB", "2 %". The unit is never guessed."""

from __future__ import annotations

import math
import re

from benchharness.errors import UsageError
from benchharness.metrics import Unit

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\s0-9.]*)\s*")

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
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
    Unit.SHARE: (SHARES, "a share", "98 %"),
    Unit.TOKENS: ({"tokens": 1.0, "token": 1.0}, "a number of tokens", "20 tokens"),
    Unit.DECIBELS: ({"dB": 1.0}, "a ratio of powers", "30 dB"),
    Unit.NUMBER: ({"": 1.0}, "a plain number", "22.5"),
    Unit.INFERENCES_PER_SECOND: ({"inferences/s": 1.0, "inf/s": 1.0}, "a rate of inferences", "30 inferences/s"),
}


def seconds(text: str) -> float:
    """A duration in seconds. Raises `UsageError`."""
    return _quantity(text, SECONDS, "a duration", "250 ms")


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
