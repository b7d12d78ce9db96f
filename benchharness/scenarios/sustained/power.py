"""What power is known of during a course, and of what: the first source that counts. Pure."""

from __future__ import annotations

import math
import re

import numpy as np

from benchharness.scenarios.sustained.readings import Readings, Series

#: A processor; `package-0 core` is a part of one.
_PACKAGE = re.compile(r"energy_uj\.package-\d+")
#: Rails that carry all of a board's power, by the names that their drivers give them.
_WHOLE_BOARD = ("power_uw.VDD_IN", "power_uw.POM_5V_IN")
#: What a Raspberry Pi 5's power chip gives to all of its rails: not the whole board.
_ALL_RAILS = "power_uw.PMIC"
PACKAGES, BOARD, RAILS, BATTERY, CHARGE = (
    "processor packages",
    "whole board",
    "rails of the power chip",
    "battery",
    "battery charge",
)


def power_of(readings: Readings, starts: Series, ends: Series) -> tuple[str, Series]:
    """What the power is of, and watts by window; the first that is counted: packages, board, its chip's rails, battery.

    Of a processor's packages the whole ones count, not the parts that they contain. A battery that is being charged
    tells nothing. Where nothing is counted: "" and NaN.
    """
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
