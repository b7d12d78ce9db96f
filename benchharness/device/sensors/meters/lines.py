"""The lines of an external meter: columns of numbers, of which one is a time and one a power or an energy. Pure.

A reading outside what the profile says that the device takes is none. Those two ends lie less than a thousand times
apart, so that a unit that is wrong by a thousand cannot fit between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

#: What a value of each unit is in µW, or in µJ.
POWERS = {"W": 1e6, "mW": 1e3, "uW": 1.0}
ENERGIES = {"kJ": 1e9, "J": 1e6, "mJ": 1e3, "uJ": 1.0, "kWh": 3.6e12, "Wh": 3.6e9, "mWh": 3.6e6}
#: What each unit of time is in ns.
TIMES = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
#: A column for each of a meter's figures; no meter has more.
MOST_COLUMNS = 64
LONGEST_LINE_BYTES = 4096
#: The first of these that a line has divides it; a line without any is divided by its blanks.
_SEPARATORS = (";", "\t", ",")
#: No clock of a meter counts further: thirty thousand years.
_LATEST_NS = 1e21


class Reading(NamedTuple):
    """A line's: the meter's time in ns, and µW or µJ."""

    moment_ns: int
    value: float


def divided(line: str) -> list[str]:
    """A line's columns. An empty one is one: without it those behind it would be read in its place.

    One separator divides the whole line, or each comma of "12,5;3,2" would.
    """
    separator = next((each for each in _SEPARATORS if each in line), None)
    return [part.strip() for part in line.strip("\r\n ").split(separator)]


class Columns:
    """Which columns are read, from 1, and in which units."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        """Raises `KeyError` and `ValueError` for what no profile can say."""
        unit = str(declared["unit"])
        self.energy = unit in ENERGIES
        self._worth = ENERGIES[unit] if self.energy else POWERS[unit]
        self._time, self._value = int(declared["time"]), int(declared["value"])
        self._time_worth = TIMES[str(declared["time_unit"])]
        self.least_uw, self.most_uw = float(declared["least_uw"]), float(declared["most_uw"])
        columns = (self._time, self._value)
        if not all(1 <= each <= MOST_COLUMNS for each in columns) or not 0 <= self.least_uw < self.most_uw:
            raise ValueError("the profile declares no meter that can be read")
        self.told = f"column {self._value} in {unit}"
        self.places = f"{self._time} and {self._value}"

    def reading(self, line: bytes) -> Reading | None:
        """What a line says; None where it has no two finite numbers there, such as a heading."""
        parts = divided(line.decode("utf-8", "replace"))
        if len(parts) < max(self._time, self._value) or len(parts) > MOST_COLUMNS:
            return None
        try:
            moment, value = float(parts[self._time - 1]), float(parts[self._value - 1])
        except ValueError:
            return None
        moment_ns, value = moment * self._time_worth, value * self._worth
        if not (math.isfinite(moment_ns) and math.isfinite(value)) or not 0 <= moment_ns < _LATEST_NS:
            return None
        return Reading(self._whole_ns(parts[self._time - 1], moment_ns), value)

    def _whole_ns(self, text: str, moment_ns: float) -> int:
        """Exactly, where the text is a whole number: ns since 1970 are more than a double tells apart."""
        return int(text) * int(self._time_worth) if text.isascii() and text.isdigit() else round(moment_ns)

    def outside(self, microwatts: float) -> str:
        """Why a power cannot be this device's; empty where it can."""
        if self.least_uw <= microwatts <= self.most_uw:
            return ""
        ends = f"{self.least_uw / 1e6:g} to {self.most_uw / 1e6:g} W"
        return f"it tells {microwatts / 1e6:.4g} W, and the profile says {ends}"
