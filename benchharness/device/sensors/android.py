"""What Android's `dumpsys thermalservice` says. Only its parsing: a phone is asked from the host."""

from __future__ import annotations

import re
from typing import NamedTuple

from benchharness.device.sensors.readings import Unreadable

#: PowerManager.THERMAL_STATUS_* (https://developer.android.com/reference/android/os/PowerManager).
STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_STATUS = re.compile(r"^\s*Thermal Status: (\d)\s*$", re.MULTILINE)
_TEMPERATURE = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(-?\d+), mName=([^,}]+), mStatus=(\d+)\}")
_PLAUSIBLE_CELSIUS = (-40.0, 127.0)


class ThermalService(NamedTuple):
    """Thermal status, 0 to 6, and the temperatures in °C by the name of their sensor."""

    status: int
    celsius: dict[str, float]


def parse_thermal_service(dump: str) -> ThermalService:
    """The status and the current temperatures; the cached ones are those of an earlier event and are not taken.

    A phone writes 0.0 for a sensor that it does not have. Raises `Unreadable`.
    """
    status = _STATUS.search(dump)
    if status is None or int(status[1]) >= len(STATUSES):
        raise Unreadable("dumpsys thermalservice tells no thermal status")
    _, _, current = dump.partition("Current temperatures from HAL:")
    current = current.partition("Current cooling devices")[0]
    celsius = {}
    low, high = _PLAUSIBLE_CELSIUS
    for value, _, name, _ in _TEMPERATURE.findall(current):
        try:
            degrees = float(value)
        except ValueError:
            continue
        if degrees != 0.0 and low <= degrees < high:
            celsius[name] = degrees
    return ThermalService(int(status[1]), celsius)
