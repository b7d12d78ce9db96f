"""How a device is before something is measured on it, and after: cleared, and in a state that somebody can look at.

For devices that nobody stands beside. Every finding is a condition, told with the results; only what makes measuring
senseless is a reason to leave the device alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.execute.devices import reached
from benchharness.launch import Launcher, ask
from benchharness.launch.far import FarLauncher
from benchharness.launch.tidying import tidy
from benchharness.suite.hardware import HardwareTarget

#: Less than a small model and its runtime take.
_TOO_LITTLE_BYTES = 256 << 20
#: A battery below this may end the device, or has it save power.
_LOW_BATTERY_PERCENT = 15
#: What is told of a device's state, by the names of its conditions; what it does not have, it does not tell.
_TOLD = (
    *("battery_percent", "power_source", "temperature_celsius", "thermal_status", "screen", "airplane_mode"),
    *("governor", "swap_used_bytes", "uptime_s"),
)
_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Hygiene:
    """What was found, and why the device is better left alone; nothing where it is well."""

    found: Mapping[str, Any]
    trouble: str = ""


def look_after(hardware: HardwareTarget, scratch: Path) -> Hygiene:
    """Clears a device of what dead runs left, and says how it is. Raises `LaunchError`."""
    with reached(hardware, scratch) as launcher:
        found: dict[str, Any] = {"left_over": _cleared(launcher, scratch), "free_bytes": _free_bytes(launcher, scratch)}
        now = ask.description_of_device(launcher, 0).get("conditions")
        found |= {name: now[name] for name in _TOLD if isinstance(now, dict) and name in now}
    return Hygiene(found=found, trouble=_trouble(found))


def _cleared(launcher: Launcher, scratch: Path) -> list[str]:
    if not isinstance(launcher, FarLauncher):
        return []  # of this machine each supervisor clears away its own
    tidied = tidy(launcher, launcher.contact.work, scratch)
    waiting = [f"attempts of run {run}" for run in tidied.waiting]
    return [*tidied.removed, *waiting][:_MOST_NAMED]


def _free_bytes(launcher: Launcher, scratch: Path) -> int:
    if isinstance(launcher, FarLauncher):
        return launcher.contact.free_bytes
    return shutil.disk_usage(next(each for each in (scratch, *scratch.parents) if each.exists())).free


def _trouble(found: Mapping[str, Any]) -> str:
    if found["free_bytes"] < _TOO_LITTLE_BYTES:
        return f"{found['free_bytes'] / 2**20:.0f} MiB are free there, and a small model takes more"
    battery = found.get("battery_percent")
    if isinstance(battery, int | float) and battery < _LOW_BATTERY_PERCENT:
        return f"its battery has {battery:.0f} % left"
    return ""
