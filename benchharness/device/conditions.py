"""The state that the device is in just before an attempt. What cannot be read is `unknown` with the reason.

Readings that are never the same twice are floats, states and limits are not: so a report can tell the two apart.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from benchharness.device.questions.device_facts import (
    device_facts,
    device_id,
    meminfo_bytes,
    memory_bytes,
    processor,
    virtualisation,
)
from benchharness.device.sensors import android_services, cgroup, connected_device, macos
from benchharness.device.sensors.power import power
from benchharness.device.sensors.pressure import pressure
from benchharness.device.sensors.readings import (
    ON_LINUX,
    ROOT,
    Unreadable,
    or_unknown,
    text_of,
    text_or_nothing,
    unknown,
)
from benchharness.device.sensors.temperature import Temperature, hottest

__all__ = [
    "available_memory_bytes",
    "conditions_now",
    "cores_allowed",
    "cpu_pressure",
    "device_facts",
    "device_id",
    "governor",
    "load_average",
    "memory_bytes",
    "memory_pressure",
    "out_of_memory_kills",
    "pressure",
    "processor",
    "swap_used_bytes",
    "temperature",
    "turbo",
    "unknown",
]


def conditions_now(root: Path = ROOT) -> dict[str, Any]:
    """Everything about the device's present state, flat, the same keys on every system and more on Android.

    Takes about half a millisecond on Linux, three times that when first called, and more with many cores or sensors;
    macOS and Android are asked through programs, which take longer. Read it outside of timed regions. Never raises.
    Where this machine speaks for another device, none of it is known of that.
    """
    return connected_device.instead_of(_of_this_machine(root))


def _of_this_machine(root: Path) -> dict[str, Any]:
    return {
        "governor": governor(root),
        "turbo": turbo(root),
        **power(root),
        "load_average": load_average(),
        "memory_available_bytes": available_memory_bytes(root),
        "swap_used_bytes": swap_used_bytes(root),
        "memory_pressure": memory_pressure(root),
        "cpu_pressure": cpu_pressure(root),
        **temperature(root),
        **cgroup.limits(root),
        "cores_allowed": cores_allowed(),
        "virtualisation": virtualisation(root),
        **android_services.state_now(root),
    }


@or_unknown
def governor(root: Path = ROOT) -> Any:
    """The frequency governors of all cores, usually one."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    found = sorted({text_of(file) for file in files})
    return ", ".join(found) if found else unknown("no cpufreq on this system")


@or_unknown
def turbo(root: Path = ROOT) -> Any:
    """Whether the clock may go above its nominal rate for as long as power and heat allow: `on` or `off`."""
    cpu = root / "sys/devices/system/cpu"
    if told := text_or_nothing(cpu / "intel_pstate/no_turbo"):
        return "off" if told == "1" else "on"
    if told := text_or_nothing(cpu / "cpufreq/boost"):
        return "on" if told == "1" else "off"
    return unknown("nothing under /sys/devices/system/cpu tells")


@or_unknown
def load_average() -> Any:
    """Runnable tasks (on Linux also those that wait for a disk), averaged over the last minute."""
    if not hasattr(os, "getloadavg"):
        return unknown("this system has no load average")
    return round(os.getloadavg()[0], 2)


@or_unknown
def available_memory_bytes(root: Path = ROOT) -> Any:
    """Memory that can be had without swapping, in bytes: the kernel's own estimate where it makes one."""
    if sys.platform == "darwin":
        return macos.available_memory_bytes()
    if sys.platform == "win32":
        from benchharness.device.sensors import windows

        return float(windows.memory_bytes()[1])
    return float(meminfo_bytes("MemAvailable", root))


@or_unknown
def swap_used_bytes(root: Path = ROOT) -> Any:
    """Memory that stands in the swap (Linux)."""
    return float(meminfo_bytes("SwapTotal", root) - meminfo_bytes("SwapFree", root))


@or_unknown
def memory_pressure(root: Path = ROOT) -> Any:
    """Percent of the last 10 s in which some task waited for memory; on macOS the kernel's level in a word."""
    return macos.memory_pressure() if sys.platform == "darwin" else pressure("memory", root)


@or_unknown
def cpu_pressure(root: Path = ROOT) -> Any:
    """Percent of the last 10 s in which some task waited for a core."""
    return pressure("cpu", root)


def temperature(root: Path = ROOT) -> dict[str, Any]:
    """`temperature_celsius` of the processor's hottest sensor, and which one that was."""
    try:
        if not ON_LINUX:
            raise Unreadable("temperatures are read on Linux only; elsewhere they need a driver or an administrator")
        found = hottest(root) if not android_services.is_android(root) else _hottest_of_phone(root)
    except Unreadable as error:
        return {"temperature_celsius": unknown(str(error)), "temperature_sensor": unknown(str(error))}
    return {"temperature_celsius": found.celsius, "temperature_sensor": found.sensor}


def _hottest_of_phone(root: Path) -> Temperature:
    """The kernel's own files where Android's user may read them, else what Android lists."""
    try:
        return hottest(root)
    except Unreadable:
        found = android_services.thermal_service(root)
    names = found.cores or tuple(found.celsius)
    if not names:
        raise Unreadable("neither the kernel nor Android's thermal service tells a temperature")
    name = max(names, key=found.celsius.__getitem__)
    return Temperature(f"{name} (Android)", found.celsius[name])


@or_unknown
def cores_allowed() -> Any:
    """How many logical cores this process, and so the worker it starts, may run on."""
    if not hasattr(os, "sched_getaffinity"):
        return unknown("this system does not say which cores a process may use")
    return len(os.sched_getaffinity(0))


def out_of_memory_kills(root: Path = ROOT) -> int | None:
    """How often the kernel has killed for want of memory since it started, cgroup limits included; Linux only."""
    try:
        lines = text_of(root / "proc/vmstat").splitlines()
    except Unreadable:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
