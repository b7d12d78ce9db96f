"""What power is known of during a course, and of what: the first source that counts. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchharness.results.result import Attempt
from benchharness.scenarios.sustained.readings import LEAST_STEPS, Readings, Series

#: A processor; `package-0 core` is a part of one.
_PACKAGE = re.compile(r"energy_uj\.package-\d+")
#: Rails that carry all of a board's power, by the names that their drivers give them.
_WHOLE_BOARD = ("power_uw.VDD_IN", "power_uw.POM_5V_IN")
#: What a Raspberry Pi 5's power chip gives to all of its rails: not the whole board.
_ALL_RAILS = "power_uw.PMIC"
PACKAGES, BOARD, RAILS, BATTERY, CHARGE, METER = (
    "processor packages",
    "whole board",
    "rails of the power chip",
    "battery",
    "battery charge",
    "external meter",
)
#: What counts by a clock of its own, by the names of `benchharness.device.sensors.meters`: their channels have no gap.
METER_SENSOR, METERED = "external meter", "meter_uj."
_ESTIMATOR, _ESTIMATED = "powermetrics", "estimated_uj."
_LONGEST_NAME = 100


def power_of(readings: Readings, starts: Series, ends: Series) -> tuple[str, Series]:
    """What the power is of, and watts by window; the first that is counted.

    In this order: an external meter's, packages, board, its chip's rails, battery. Of a processor's packages the whole
    ones count, not the parts that they contain. A battery that is being charged tells nothing. Where nothing is
    counted: "" and NaN.
    """
    if readings.names(METERED):
        return f"{METER}: {_told(readings.sensors, METER_SENSOR, 'of')}", _metered_watts(readings, starts, ends)
    counted = readings.names("energy_uj.")
    packages = [name for name in counted if _PACKAGE.fullmatch(name)] or counted[:1]
    if packages:
        microjoules = sum(readings.grown(name, starts, ends) for name in packages)
        return PACKAGES, np.asarray(microjoules / (ends - starts) * 1e3)
    for of, channels in (
        (BOARD, readings.names(*_WHOLE_BOARD)[:1]),
        (RAILS, readings.exactly(_ALL_RAILS)),
        (BATTERY, readings.exactly("battery_uw")),
    ):
        if channels:
            watts = np.array(readings.level(channels, starts, ends), dtype=np.float64) / 1e6
            return of, np.where(watts > 0, watts, math.nan)
    return "", np.full(len(starts), math.nan)


def estimated_watts(readings: Readings, starts: Series, ends: Series) -> Series:
    """Watts by window as the system estimates them: never told as if they were measured. NaN where it does not."""
    return _watts(readings, _ESTIMATED, starts, ends)


def estimated_of(attempt: Attempt) -> str:
    """What an estimate is of."""
    return _told(attempt.conditions.sensors, _ESTIMATOR, "of")


def _metered_watts(readings: Readings, starts: Series, ends: Series) -> Series:
    """A meter that counts energy itself counts in steps: what it counted before the course says nothing of those."""
    if _told(readings.sensors, METER_SENSOR, "counts") == "energy":
        steps = sum(readings.moved(name, starts[0], ends[-1]) for name in readings.names(METERED))
        if steps < LEAST_STEPS:
            return np.full(len(starts), math.nan)
    return _watts(readings, METERED, starts, ends)


def _watts(readings: Readings, prefix: str, starts: Series, ends: Series) -> Series:
    """Of a counter in stretches: a window that no stretch covers wholly is unknown."""
    found = [readings.grown(name, starts, ends) for name in readings.names(prefix)]
    if not found:
        return np.full(len(starts), math.nan)
    return np.asarray(np.fmax.reduce(found) / (ends - starts) * 1e3)


def _told(sensors: Mapping[str, Any], name: str, key: str) -> str:
    entry = sensors.get(name)
    told = entry.get(key) if isinstance(entry, Mapping) else None
    return told[:_LONGEST_NAME] if isinstance(told, str) else "unknown"
