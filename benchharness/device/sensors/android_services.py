"""Android's services, asked on the phone itself by the programs in /system/bin: state, heat, energy, what it is.

A question takes tens of milliseconds and some of a core, so none is put beside a measurement more often than the panel
allows what is slow.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.device.sensors.android import (
    Battery,
    ThermalService,
    parse_battery,
    parse_memory,
    parse_properties,
    parse_resumed,
    parse_screen,
    parse_thermal_service,
)
from benchharness.device.sensors.readings import ROOT, Unreadable, or_unknown, output_of, text_of, unknown
from benchharness.device.sensors.sensor import ANYONE, Reading, Sensor

_PROGRAMS = "system/bin"
_PERIOD_S = 5.0
#: µAh times mV is 3.6 µJ.
_UJ = 3.6


def is_android(root: Path = ROOT) -> bool:
    """Whether this is an Android device, whoever's Python this is."""
    return (root / _PROGRAMS / "dumpsys").exists()


def asked(root: Path, program: str, *words: str) -> str:
    """What one of Android's programs prints. Raises `Unreadable`."""
    if not is_android(root):
        raise Unreadable("this is no Android")
    return output_of([str(root / _PROGRAMS / program), *words])


def thermal_service(root: Path = ROOT) -> ThermalService:
    """Thermal status and temperatures. Raises `Unreadable`."""
    return parse_thermal_service(asked(root, "dumpsys", "thermalservice"))


def battery(root: Path = ROOT) -> Battery:
    """The battery. Raises `Unreadable`."""
    return parse_battery(asked(root, "dumpsys", "battery"))


def state_now(root: Path = ROOT) -> dict[str, Any]:
    """What an attempt's conditions have of an Android device alone; nothing elsewhere. Never raises."""
    if not is_android(root):
        return {}
    return {
        "thermal_status": or_unknown(lambda: thermal_service(root).status)(),
        **_battery_state(root),
        "screen": or_unknown(lambda: parse_screen(asked(root, "dumpsys", "power")))(),
        "in_front": or_unknown(lambda: ", ".join(in_front(root)) or "no application")(),
        "airplane_mode": _airplane_mode(root),
        "uptime_s": _uptime_s(root),
    }


def in_front(root: Path = ROOT) -> tuple[str, ...]:
    """The packages whose activities are resumed on the device's own screen; none while it is dark.

    Raises `Unreadable`.
    """
    if parse_screen(asked(root, "dumpsys", "power")) != "on":
        return ()
    return parse_resumed(asked(root, "dumpsys", "activity", "activities"))


def power(root: Path = ROOT) -> tuple[str, float | None]:
    """What it runs on, and how full the battery is. Raises `Unreadable`."""
    found = battery(root)
    if found.state == "unknown" and not found.powered_by:
        raise Unreadable("the battery service does not say what it runs on")
    source = "mains" if found.powered_by else "battery"
    if found.powered_by and found.state == "discharging":
        source = "mains and battery"
    return source, None if found.percent is None else float(found.percent)


def _battery_state(root: Path) -> dict[str, Any]:
    try:
        found = battery(root)
    except Unreadable as error:
        return dict.fromkeys(("battery_state", "battery_celsius", "battery_charge_uah"), unknown(str(error)))
    celsius, charge = found.celsius, found.charge_uah
    return {
        "battery_state": found.state,
        "battery_celsius": unknown(found.doubts["temperature"]) if celsius is None else celsius,
        "battery_charge_uah": unknown(found.doubts["Charge counter"]) if charge is None else float(charge),
    }


@or_unknown
def _airplane_mode(root: Path) -> Any:
    told = asked(root, "settings", "get", "global", "airplane_mode_on")
    if told not in ("0", "1"):
        raise Unreadable(f"the setting airplane_mode_on is {told[:40]!r}")
    return "on" if told == "1" else "off"


@or_unknown
def _uptime_s(root: Path) -> Any:
    return float(text_of(root / "proc/uptime").split()[0])


@functools.lru_cache(maxsize=4)
def properties(root: Path = ROOT) -> Mapping[str, str]:
    """The system's properties, read once. Raises `Unreadable`."""
    return parse_properties(asked(root, "getprop"))


def first_property(*names: str, root: Path = ROOT) -> str:
    """The first of some properties that says anything; empty where none does, or this is no Android."""
    try:
        found = properties(root)
    except Unreadable:
        return ""
    return next((found[name] for name in names if found.get(name)), "")


def facts(root: Path = ROOT) -> dict[str, Any]:
    """What an Android device is, beside what every device is; nothing elsewhere. Never raises."""
    if not is_android(root):
        return {}
    named = {
        "model": ("ro.product.model",),
        "maker": ("ro.product.manufacturer",),
        "build": ("ro.build.fingerprint", "ro.build.display.id"),
    }
    return {key: first_property(*names, root=root) or unknown("getprop does not say") for key, names in named.items()}


def find_thermal_service(_process: int | None, root: Path = ROOT) -> Sensor:
    """`android_thermal_status`, and `celsius.<sensor>` of Android's own list of sensors."""

    def read() -> Mapping[str, Reading]:
        found = thermal_service(root)
        return {
            "android_thermal_status": found.status,
            **{f"celsius.{name} (Android)": degrees for name, degrees in found.celsius.items()},
        }

    read()
    return Sensor(
        source="dumpsys thermalservice",
        unit="0 to 6; °C",
        resolution="of the maker's; many sensors are read by the service every few seconds only",
        permission=ANYONE,
        read=read,
        period_s=_PERIOD_S,
    )


def find_drained_energy(_process: int | None, root: Path = ROOT) -> Sensor:
    """`drained_uj`: what has left the battery since the sensor was opened, by its charge counter and voltage.

    And `drained_uah`, the charge alone, and `level_percent` as the service tells it.
    """
    drained = _Drained(battery(root))
    return Sensor(
        source="dumpsys battery, its charge counter times its voltage",
        unit="µJ, µAh, %",
        resolution="of the gauge; many count in steps of 1,000 µAh and more, which is 14 J at 3.9 V",
        permission=ANYONE,
        read=lambda: drained.until(battery(root)),
        period_s=_PERIOD_S,
    )


class _Drained:
    """Sums up what leaves a battery, each fall of its charge at the mean of both voltages. Raises `Unreadable`.

    Once something else has fed the device the sum is not what it took, and never becomes so again.
    """

    def __init__(self, first: Battery) -> None:
        if feeds := _other_feeds(first):
            raise Unreadable(
                f"the battery is not all that it runs on ({feeds}): unplug it, and use adb over the network"
            )
        self._last_uah, self._last_mv = _charge_of(first)
        self._total_uj, self._total_uah = 0.0, 0
        self._charged = ""

    def until(self, now: Battery) -> Mapping[str, Reading]:
        """Microjoules and microampere-hours since the first, and the level now where it is told."""
        self._charged = self._charged or _other_feeds(now)
        uah, mv = (0, 0) if self._charged else _charge_of(now)
        if uah > self._last_uah:
            self._charged = "its charge rose"
        if self._charged:
            raise Unreadable(f"the battery was charged meanwhile ({self._charged}): leave it unplugged")
        self._total_uj += (self._last_uah - uah) * (self._last_mv + mv) / 2 * _UJ
        self._total_uah += self._last_uah - uah
        self._last_uah, self._last_mv = uah, mv
        level = {} if now.percent is None else {"level_percent": now.percent}
        return {"drained_uj": round(self._total_uj), "drained_uah": self._total_uah, **level}


def _other_feeds(found: Battery) -> str:
    """What feeds a device beside its battery, or that it is not being drained; empty where it is, and nothing does."""
    return " and ".join(found.powered_by) or ("" if found.state == "discharging" else found.state)


def _charge_of(found: Battery) -> tuple[int, int]:
    """Charge in µAh and voltage in mV. Raises `Unreadable`."""
    if found.charge_uah is None or found.millivolts is None:
        raise Unreadable(found.doubts.get("Charge counter") or found.doubts["voltage"])
    return found.charge_uah, found.millivolts


def memory(root: Path = ROOT) -> Mapping[str, int | str]:
    """Memory of the whole system; takes a second and more, and reads every process. Raises `Unreadable`."""
    return parse_memory(asked(root, "dumpsys", "meminfo"))
