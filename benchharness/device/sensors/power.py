"""Whether the device runs on mains or on its battery, and how full that is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.device.sensors import android_services, macos
from benchharness.device.sensors.readings import ROOT, Unreadable, text_or_nothing, unknown


def power(root: Path = ROOT) -> Mapping[str, Any]:
    """`power_source` (`mains`, `battery`; both in words where the charger is too weak) and `battery_percent`."""
    try:
        source, percent = _power(root)
    except (Unreadable, OSError, ValueError) as error:
        return {"power_source": unknown(str(error)), "battery_percent": unknown(str(error))}
    return {
        "power_source": source,
        "battery_percent": unknown("no battery that tells its charge") if percent is None else percent,
    }


def _power(root: Path) -> tuple[str, float | None]:
    if sys.platform == "darwin":
        return macos.power()
    if sys.platform == "win32":
        from benchharness.device.sensors import windows

        return windows.power()
    if android_services.is_android(root):  # whose user may seldom read the kernel's own files
        return android_services.power(root)
    supplies = [folder for folder in supply_folders(root) if text_or_nothing(folder / "type")]
    batteries = [folder for folder in supplies if text_or_nothing(folder / "type") in {"Battery", "UPS"}]
    lines = [folder for folder in supplies if folder not in batteries]
    if not supplies:
        raise Unreadable(
            "nothing in /sys/class/power_supply: a virtual machine, or a board or desktop that cannot tell its supply"
        )
    return _source(batteries, lines), _charge_percent(batteries)


def supply_folders(root: Path = ROOT) -> list[Path]:
    """The supplies of the whole system; those of single devices, such as a mouse's battery, are left out."""
    folders = sorted((root / "sys/class/power_supply").glob("*"))
    return [folder for folder in folders if text_or_nothing(folder / "scope") != "Device"]


def _source(batteries: list[Path], lines: list[Path]) -> str:
    plugged = any(text_or_nothing(line / "online") not in {"", "0"} for line in lines)
    states = {text_or_nothing(battery / "status") for battery in batteries}
    drained = "Discharging" in states
    if plugged:
        return "mains and battery" if drained else "mains"
    if drained:
        return "battery"
    if states & {"Charging", "Full", "Not charging"}:  # over a plug whose driver does not tell
        return "mains"
    if batteries and lines:
        return "battery"  # its driver knows no state, but nothing is plugged in
    raise Unreadable("the power supplies in /sys/class/power_supply do not say which one is in use")


def _charge_percent(batteries: list[Path]) -> float | None:
    charges = [text_or_nothing(battery / "capacity") for battery in batteries]
    known = [float(charge) for charge in charges if charge.isdigit()]
    return sum(known) / len(known) if known else None
