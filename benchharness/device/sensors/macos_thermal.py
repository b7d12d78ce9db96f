"""What macOS says about heat: the thermal pressure that its daemon publishes, and Intel processors' speed limit.

Temperatures need an administrator (`powermetrics`) or undocumented keys of the SMC and are not read. Not yet run on a
Mac; parsing is apart from asking, so that it can be tested anywhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from benchharness.device.sensors.readings import ROOT, Unreadable, output_of
from benchharness.device.sensors.sensor import ANYONE, Sensor

#: `OSThermalPressureLevel` on a Mac (<libkern/OSThermalNotification.h>); iPhones count 0, 10, … 50 instead.
PRESSURE_LEVELS = ("nominal", "moderate", "heavy", "trapping", "sleeping")
_PRESSURE_NAME = b"com.apple.system.thermalpressurelevel"
_LIMIT = re.compile(r"^\s*CPU_Speed_Limit\s*=\s*(\d{1,3})\s*$", re.MULTILINE)


def find_thermal_pressure(_process: int | None, _root: Path = ROOT) -> Sensor:
    """`thermal_state`: 0 nominal to 4 sleeping, as in `PRESSURE_LEVELS`."""
    if sys.platform != "darwin":
        raise Unreadable("told by macOS only")
    import ctypes  # not above: other systems need not load it

    library = ctypes.CDLL(None)
    token, state = ctypes.c_int(), ctypes.c_uint64()
    if library.notify_register_check(_PRESSURE_NAME, ctypes.byref(token)) != 0:
        raise Unreadable("notify_register_check refuses com.apple.system.thermalpressurelevel")

    def read() -> Mapping[str, int]:
        if library.notify_get_state(token, ctypes.byref(state)) != 0:
            raise Unreadable("notify_get_state refuses com.apple.system.thermalpressurelevel")
        return {"thermal_state": pressure_level(int(state.value))}

    read()
    return Sensor(
        source="com.apple.system.thermalpressurelevel",
        unit=", ".join(f"{number} {word}" for number, word in enumerate(PRESSURE_LEVELS)),
        resolution="1",
        permission=ANYONE,
        read=read,
        period_s=1.0,
    )


def pressure_level(state: int) -> int:
    """The level that was published. Raises `Unreadable` where it is none of a Mac's."""
    if not 0 <= state < len(PRESSURE_LEVELS):
        raise Unreadable(f"thermal pressure {state} is none of a Mac's levels")
    return state


def find_speed_limit(_process: int | None, _root: Path = ROOT) -> Sensor:
    """`cpu_speed_limit` in percent, on Macs with an Intel processor. A program is asked, which takes some ms."""
    if sys.platform != "darwin":
        raise Unreadable("told by macOS only")
    command = ["/usr/bin/pmset", "-g", "therm"]
    parse_speed_limit(output_of(command))
    return Sensor(
        source="pmset -g therm",
        unit="%",
        resolution="1 %",
        permission=ANYONE,
        read=lambda: {"cpu_speed_limit": parse_speed_limit(output_of(command))},
        period_s=10.0,
    )


def parse_speed_limit(listing: str) -> int:
    """`CPU_Speed_Limit` from `pmset -g therm`. Raises `Unreadable`: Macs with Apple's processors tell none."""
    found = _LIMIT.search(listing)
    if found is None or int(found[1]) > 100:
        raise Unreadable("pmset -g therm tells no CPU_Speed_Limit")
    return int(found[1])
