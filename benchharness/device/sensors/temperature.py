"""The temperatures that Linux can read: thermal zones, hardware monitors and the battery's own sensor.

Zones and monitors count in thousandths of a degree Celsius (Documentation/driver-api/thermal/sysfs-api.rst,
hwmon/sysfs-interface.rst), a battery in tenths (power/power_supply_class.rst). Zones of older phone kernels count in
tenths or in whole degrees without saying so: such readings are refused, never guessed at.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchharness.device.sensors.power import supply_folders
from benchharness.device.sensors.readings import (
    ROOT,
    KeptFile,
    Unreadable,
    label_of,
    number_of,
    number_or_none,
    text_or_nothing,
)
from benchharness.device.sensors.sensor import ANYONE, Sensor

#: Words in the names of sensors that sit on a processor. A drive's or a battery's sensor can be hotter and would say
#: nothing about throttling, and asking a drive wakes it.
_PROCESSOR_WORDS = ("cpu", "x86_pkg", "coretemp", "k10temp", "zenpower", "soc", "core", "package", "tctl", "tdie")
#: Sensors of the rest of a phone or board that its makers throttle by, watched after the processor's.
_BOARD_WORDS = ("gpu", "skin", "quiet", "tj", "board", "battery", "acpitz", "xo_therm", "case")
#: Asking these wakes a device or takes its bus: never asked beside a measurement.
_OTHERS_WORDS = ("nvme", "drivetemp", "iwlwifi", "mt79", "ath10k", "ath11k", "ath12k", "mlx5")
#: How many are watched beside a measurement: a phone has a hundred zones.
_MOST_WATCHED = 16
#: A sensor on a slow bus would hold up the others.
_LONGEST_ANSWER_NS = 5_000_000
#: A reading so near zero is not in thousandths: 30.9 °C reads 309 in tenths and 31 in whole degrees.
_SMALLEST_MILLIDEGREES = 1500
#: What a sensor here can mean. -256 and -273 °C are how zones read that are switched off, 127 and 255 how eight bits
#: do that are all ones.
_PLAUSIBLE_CELSIUS = (-40.0, 127.0)
_ALL_ONES = frozenset((0xFF, 0xFFFF, 0xFFFFFFFF))
#: Trip points below are not for throttling: 0 means that none is set.
_COOLEST_TRIP_CELSIUS = 40.0


class Temperature(NamedTuple):
    """One reading, and the sensor's name as its driver gives it."""

    sensor: str
    celsius: float


class Thermometer(NamedTuple):
    """Where a temperature is read, in which part of a degree it counts, and which zone's trip points hold for it."""

    name: str
    file: Path
    per_degree: int
    zone: Path | None = None


def hottest(root: Path = ROOT) -> Temperature:
    """The hottest sensor on the processor; of all sensors where none says that it is there. Raises `Unreadable`."""
    found = [each for each in thermometers(root) if each.per_degree == 1000]
    near = [each for each in found if _is_near(each.name)]
    readings = list(_readings(near)) or list(_readings(found))
    if not readings:
        where = "no thermal zone and no hardware monitor" if not found else f"none of {len(found)} sensors answers"
        raise Unreadable(f"{where} in /sys/class/thermal and /sys/class/hwmon")
    return max(readings, key=lambda reading: reading.celsius)


def thermometers(root: Path = ROOT) -> Iterator[Thermometer]:
    """Every temperature that the kernel has a file for."""
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"), key=_by_number):
        yield Thermometer(label_of(zone / "type") or zone.name, zone / "temp", 1000, zone)
    for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*"), key=_by_number):
        chip = label_of(monitor / "name") or monitor.name
        for file in sorted(monitor.glob("temp*_input"), key=_by_number):
            label = label_of(file.with_name(file.name.replace("_input", "_label")))
            yield Thermometer(f"{chip} {label}".strip(), file, 1000)
    for supply in supply_folders(root):
        if text_or_nothing(supply / "type") == "Battery" and (supply / "temp").exists():
            yield Thermometer(f"{supply.name} battery" if supply.name != "battery" else "battery", supply / "temp", 10)


def celsius(count: int, per_degree: int = 1000) -> float:
    """A count as a temperature. Raises `Unreadable` where it can be none, with the reason."""
    if count in _ALL_ONES:
        raise Unreadable(f"reads {count}: all its bits are ones, it is not there")
    if per_degree == 1000 and abs(count) < _SMALLEST_MILLIDEGREES:
        raise Unreadable(f"reads {count}: not in thousandths of a degree, or nothing")
    low, high = _PLAUSIBLE_CELSIUS
    if not low <= count / per_degree < high:
        raise Unreadable(f"reads {count / per_degree:g} °C, which is not the temperature of anything here")
    return count / per_degree


def find_temperatures(_process: int | None, root: Path = ROOT) -> Sensor:
    """`celsius.<sensor>`, and once `passive_trip_celsius.<sensor>`: where the kernel begins to slow its zone down."""
    found = sorted(_uniquely_named(thermometers(root)), key=lambda each: _rank(each.name))
    left_out: dict[str, str] = {}
    files: dict[str, tuple[KeptFile, int]] = {}
    trips: dict[str, float] = {}
    for each in found:
        try:
            if len(files) == _MOST_WATCHED:
                raise Unreadable(f"not among the {_MOST_WATCHED} that are watched")
            if _rank(each.name) == len(_RANKS):
                raise Unreadable("asking it wakes a device that has nothing to do with the processor")
            file = KeptFile(each.file)
            began_ns = time.perf_counter_ns()
            celsius(file.number(), each.per_degree)
            took_ns = time.perf_counter_ns() - began_ns
            if took_ns > _LONGEST_ANSWER_NS:
                raise Unreadable(f"takes {took_ns / 1e6:.0f} ms to answer")
        except Unreadable as error:
            left_out[each.name] = str(error)
            continue
        files[each.name] = (file, each.per_degree)
        if each.zone is not None and (trip := passive_trip_celsius(each.zone)) is not None:
            trips[f"passive_trip_celsius.{each.name}"] = trip
    if not files:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
        raise Unreadable(f"none of {len(left_out)} sensors gives a temperature ({reasons})" if reasons else _NO_SENSORS)

    def read() -> Mapping[str, float]:
        readings = {}
        for name, (file, per_degree) in files.items():
            try:
                readings[f"celsius.{name}"] = celsius(file.number(), per_degree)
            except Unreadable:
                continue  # a sensor of a part that sleeps answers with an error
        return readings

    return Sensor(
        source="/sys/class/thermal, /sys/class/hwmon, /sys/class/power_supply",
        unit="°C",
        resolution="0.001 °C, of a battery 0.1 °C; most sensors step by 0.1 to 1 °C",
        permission=ANYONE,
        read=read,
        period_s=1.0,
        constants=trips,
        left_out=left_out,
    )


def passive_trip_celsius(zone: Path) -> float | None:
    """The lowest temperature at which the kernel slows down what heats the zone; None where it has none."""
    trips = []
    for kind in zone.glob("trip_point_*_type"):
        count = number_or_none(kind.with_name(kind.name.replace("_type", "_temp")))
        if text_or_nothing(kind) == "passive" and count is not None:
            trips.append(count / 1000)
    high = _PLAUSIBLE_CELSIUS[1]
    return min((trip for trip in trips if _COOLEST_TRIP_CELSIUS <= trip < high), default=None)


_NO_SENSORS = "no thermal zone and no hardware monitor gives a temperature"
_RANKS = (_PROCESSOR_WORDS, _BOARD_WORDS, ("",))


def _rank(name: str) -> int:
    """The processor's sensors first, those that must not be asked last."""
    lowered = name.lower()
    if any(word in lowered for word in _OTHERS_WORDS):
        return len(_RANKS)
    return next(rank for rank, words in enumerate(_RANKS) if any(word in lowered for word in words))


def _is_near(name: str) -> bool:
    return any(word in name.lower() for word in _PROCESSOR_WORDS)


def _uniquely_named(found: Iterable[Thermometer]) -> Iterator[Thermometer]:
    """Two sockets have two sensors of one name: the second is called `name 2`."""
    seen: dict[str, int] = {}
    for each in found:
        seen[each.name] = seen.get(each.name, 0) + 1
        yield each if seen[each.name] == 1 else each._replace(name=f"{each.name} {seen[each.name]}")


def _by_number(path: Path) -> tuple[int, str]:
    """temp2 before temp10."""
    digits = re.search(r"\d+", path.name)
    return int(digits[0]) if digits else 0, path.name


def _readings(found: Iterable[Thermometer]) -> Iterator[Temperature]:
    for each in found:
        try:
            yield Temperature(each.name, celsius(number_of(each.file), each.per_degree))
        except Unreadable:
            continue  # a sensor of a device that sleeps answers with an error
