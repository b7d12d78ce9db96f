"""The temperatures that Linux can read: thermal zones and hardware monitors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchharness.device.sensors.readings import ROOT, Unreadable, text_of, text_or_nothing

#: Words in the names of sensors that sit on a processor. A drive's or a battery's sensor can be hotter and would say
#: nothing about throttling, and asking a drive wakes it.
_PROCESSOR_WORDS = ("cpu", "x86_pkg", "coretemp", "k10temp", "zenpower", "soc", "core", "package", "tctl", "tdie")
#: Sysfs counts in thousandths of a degree Celsius. Exactly zero, whole degrees by mistake, and what no sensor here can
#: mean are how broken sensors read.
_SMALLEST_MILLIDEGREES = 200
_PLAUSIBLE_CELSIUS = (-40.0, 150.0)


class Temperature(NamedTuple):
    """One reading, and the sensor's name as its driver gives it."""

    sensor: str
    celsius: float


class _Sensor(NamedTuple):
    name: str
    file: Path


def hottest(root: Path = ROOT) -> Temperature:
    """The hottest sensor on the processor; of all sensors where none says that it is there. Raises `Unreadable`."""
    sensors = list(_sensors(root))
    near = [sensor for sensor in sensors if any(word in sensor.name.lower() for word in _PROCESSOR_WORDS)]
    readings = list(_readings(near)) or list(_readings(sensors))
    if not readings:
        where = "no thermal zone and no hardware monitor" if not sensors else f"none of {len(sensors)} sensors answers"
        raise Unreadable(f"{where} in /sys/class/thermal and /sys/class/hwmon")
    return max(readings, key=lambda reading: reading.celsius)


def temperatures(root: Path = ROOT) -> list[Temperature]:
    """Every sensor that answers with something plausible; asking all takes longer than asking the processor's."""
    return list(_readings(_sensors(root)))


def _sensors(root: Path) -> Iterator[_Sensor]:
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        yield _Sensor(text_or_nothing(zone / "type") or zone.name, zone / "temp")
    for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        chip = text_or_nothing(monitor / "name") or monitor.name
        for file in sorted(monitor.glob("temp*_input")):
            label = text_or_nothing(file.with_name(file.name.replace("_input", "_label")))
            yield _Sensor(f"{chip} {label}".strip(), file)


def _readings(sensors: Iterator[_Sensor] | list[_Sensor]) -> Iterator[Temperature]:
    for sensor in sensors:
        try:
            millidegrees = int(text_of(sensor.file))
        except (Unreadable, ValueError):
            continue  # a sensor of a device that sleeps answers with an error
        low, high = _PLAUSIBLE_CELSIUS
        if abs(millidegrees) > _SMALLEST_MILLIDEGREES and low < millidegrees / 1000 < high:
            yield Temperature(sensor.name, millidegrees / 1000)
