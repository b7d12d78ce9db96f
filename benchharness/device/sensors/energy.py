"""Energy and power: the processor's own counters (RAPL), a board's power rails, and the battery.

Sources: the kernel's power/powercap/powercap.rst, hwmon/sysfs-interface.rst and hwmon/ina3221.rst,
power/power_supply_class.rst and ABI/testing/sysfs-class-power.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Callable

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
from benchharness.device.sensors.sensor import ANYONE, Reading, Sensor

_MOST_DOMAINS = 16
#: A device that runs a model draws more from its battery than this: some phones count current in mA and say µA.
_LEAST_BATTERY_UW = 20_000
_MOST_UW = 2_000_000_000


class GrowingEnergy:
    """An energy counter that starts again at zero beyond its range, as one that only grows."""

    def __init__(self, counter: KeptFile, range_uj: int | None) -> None:
        self._counter = counter
        self._range_uj = range_uj
        self._lost = ""
        self._last_uj = self._total_uj = counter.number()
        if self._last_uj < 0:
            raise Unreadable(f"{counter.path} counts {self._last_uj}")

    def read(self) -> int:
        """µJ. Raises `Unreadable`, and from then on, where it fell and its range does not say by how much it grew."""
        now_uj = self._counter.number()
        if now_uj < 0:
            raise Unreadable(f"{self._counter.path} counts {now_uj}")
        grown_uj = now_uj - self._last_uj
        if grown_uj < 0:
            grown_uj += self._range_uj or 0
        if grown_uj < 0 or self._lost:
            self._lost = (
                self._lost or f"{self._counter.path} fell from {self._last_uj} to {now_uj}: by how much it grew"
            )
            raise Unreadable(f"{self._lost} is not known")
        self._last_uj = now_uj
        self._total_uj += grown_uj
        return self._total_uj


def find_energy_counters(_process: int | None, root: Path = ROOT) -> Sensor:
    """`energy_uj.<domain>`: `package-0`, its parts as `package-0 core`, and `psys`, the whole platform."""
    counters: dict[str, GrowingEnergy] = {}
    left_out: dict[str, str] = {}
    for name, folder in _domains(root):
        try:
            counters[name] = GrowingEnergy(
                KeptFile(folder / "energy_uj"), number_or_none(folder / "max_energy_range_uj")
            )
        except Unreadable as error:
            left_out[name] = str(error)
    if not counters:
        if any("denied" in reason for reason in left_out.values()):
            raise Unreadable("RAPL counters are there and only an administrator may read them")
        raise Unreadable("; ".join(left_out.values()) or "no RAPL counters")
    return Sensor(
        source="RAPL, through /sys/class/powercap",
        unit="µJ",
        resolution="61 µJ on most processors, updated every ms",
        permission="an administrator, since Linux 5.10",
        read=lambda: _those_that_answer({f"energy_uj.{name}": each.read for name, each in counters.items()}, left_out),
        period_s=1.0,
        left_out=left_out,
    )


def _domains(root: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder of each domain. What is reached over memory too (`intel-rapl-mmio`) is the same energy."""
    folders = [each for each in sorted((root / "sys/class/powercap").glob("*-rapl*:*")) if (each / "name").exists()]
    direct = [each for each in folders if "mmio" not in each.name] or folders
    names: set[str] = set()
    for folder in direct[:_MOST_DOMAINS]:
        parent = folder.with_name(folder.name.rpartition(":")[0])
        inside = label_of(parent / "name") if ":" in parent.name else ""
        name = f"{inside} {label_of(folder / 'name')}".strip()
        if name in names:
            name = f"{name} {folder.name}"
        names.add(name)
        yield name, folder


def find_power_rails(_process: int | None, root: Path = ROOT) -> Sensor:
    """`power_uw.<rail>`: what hardware monitors measure, such as `VDD_IN` on a Jetson board."""
    rails = dict(_rails(root))
    left_out: dict[str, str] = {}
    for name in list(rails):
        try:
            rails[name]()
        except Unreadable as error:
            left_out[name] = str(error)
            del rails[name]
    if not rails:
        raise Unreadable("; ".join(left_out.values()) or "no hardware monitor measures power")
    return Sensor(
        source="/sys/class/hwmon",
        unit="µW",
        resolution="of the monitor's chip; from an INA3221 1 mV times 1 mA",
        permission=ANYONE,
        read=lambda: _those_that_answer({f"power_uw.{name}": read for name, read in rails.items()}, left_out),
        period_s=1.0,
        left_out=left_out,
    )


def _rails(root: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """Rails by label, an INA3221's as voltage times current: only there do the two of one number belong together."""
    for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        chip = label_of(monitor / "name") or monitor.name
        for file in sorted([*monitor.glob("power*_input"), *monitor.glob("power*_average")]):
            label = label_of(file.with_name(f"{file.name.partition('_')[0]}_label"))
            yield f"{chip} {label}".strip(), partial(_monitor_uw, file)
        if chip != "ina3221":
            continue
        for channel in ("1", "2", "3"):
            label = label_of(monitor / f"in{channel}_label")
            if label and label != "NC":  # not connected
                yield label, partial(_rail_uw, monitor, channel)


def _monitor_uw(file: Path) -> int:
    return _plausible_uw(number_of(file), file)


def _rail_uw(monitor: Path, channel: str) -> int:
    millivolts, milliamperes = number_of(monitor / f"in{channel}_input"), number_of(monitor / f"curr{channel}_input")
    return _plausible_uw(millivolts * milliamperes, monitor)


def _plausible_uw(microwatts: int, file: Path) -> int:
    """Power meters that are not connected read as if all their bits were ones, or below zero."""
    if not 0 <= microwatts <= _MOST_UW:
        raise Unreadable(f"{file} tells {microwatts / 1e6:g} W")
    return microwatts


def find_battery(_process: int | None, root: Path = ROOT) -> Sensor:
    """`battery_uw`, positive where the device draws it; `battery_uwh`, `battery_uah` and `battery_percent` left.

    `battery_drained` is 1 where nothing but the batteries feeds the device, as their states and all other supplies say.
    """
    batteries = [each for each in supply_folders(root) if text_or_nothing(each / "type") == "Battery"]
    if not batteries:
        raise Unreadable("no battery")
    left_out: dict[str, str] = {}

    def read() -> Mapping[str, Reading]:
        readings: dict[str, Reading] = {}
        left_out.clear()
        for battery in batteries:
            for channel, reader in _BATTERY_READERS.items():
                try:
                    readings[channel] = readings.get(channel, 0) + reader(battery)
                except Unreadable as error:
                    left_out[channel] = str(error)
        if "battery_percent" in readings:
            readings["battery_percent"] /= len(batteries)
        if readings:
            readings["battery_drained"] = int(_drained(batteries, root))
        readings = {channel: value for channel, value in readings.items() if channel not in left_out}
        if not readings:
            raise Unreadable("; ".join(left_out.values()))
        return readings

    read()
    return Sensor(
        source=", ".join(f"/sys/class/power_supply/{battery.name}" for battery in batteries),
        unit="µW, µWh, µAh, %",
        resolution="of the battery's gauge, which many update every 1 to 60 s only",
        permission=ANYONE,
        read=read,
        period_s=1.0,
        left_out=left_out,
    )


def _drained(batteries: list[Path], root: Path) -> bool:
    """Whether one of the batteries is drained and none is charged, and no other supply is plugged in."""
    states = {text_or_nothing(each / "status") for each in batteries}
    others = [each for each in supply_folders(root) if each not in batteries]
    plugged = any(text_or_nothing(each / "online") not in ("", "0") for each in others)
    return "Discharging" in states and "Charging" not in states and not plugged


def battery_uw(battery: Path) -> int:
    """What flows out of a battery, negative into it. Drivers differ in the sign: the direction is the status's.

    From `power_now` in µW, or `current_now` in µA times `voltage_now` in µV. Raises `Unreadable`.
    """
    status = text_or_nothing(battery / "status")
    if status not in {"Discharging", "Charging"}:
        raise Unreadable(f"the battery is neither drained nor charged ({status or 'it tells no status'})")
    told: float | None = number_or_none(battery / "power_now")
    if told is None:
        told = number_of(battery / "current_now") * number_of(battery / "voltage_now") / 1e6
    microwatts = round(abs(told))
    if not _LEAST_BATTERY_UW <= microwatts <= _MOST_UW:
        raise Unreadable(f"the battery tells {microwatts / 1e6:g} W: its driver counts in another unit, or not at all")
    return microwatts if status == "Discharging" else -microwatts


def _charge_uah(battery: Path) -> int:
    """`charge_now`, or a phone's `charge_counter`."""
    charge = number_or_none(battery / "charge_now")
    return number_of(battery / "charge_counter") if charge is None else charge


_BATTERY_READERS: dict[str, Callable[[Path], int]] = {
    "battery_uw": battery_uw,
    "battery_uwh": lambda battery: number_of(battery / "energy_now"),
    "battery_uah": _charge_uah,
    "battery_percent": lambda battery: number_of(battery / "capacity"),
}


def _those_that_answer(readers: Mapping[str, Callable[[], int]], left_out: dict[str, str]) -> Mapping[str, int]:
    """Of the others it is told why they were left out, this time or for good."""
    readings = {}
    for channel, read in readers.items():
        name = channel.partition(".")[2]
        try:
            readings[channel] = read()
            left_out.pop(name, None)
        except Unreadable as error:
            left_out[name] = str(error)
    return readings
