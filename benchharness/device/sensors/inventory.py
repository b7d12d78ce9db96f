"""Which sensors there are on this device and which are not, with the reason: what a report will be able to say.

The sensors are those of the panel that watches a measurement, looked at once; what else a measurement can use is tried.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from benchharness.device.conditions import out_of_memory_kills
from benchharness.device.sensors import android_services, cgroup
from benchharness.device.sensors.android import STATUSES
from benchharness.device.sensors.meters import powermetrics
from benchharness.device.sensors.panel import Panel
from benchharness.device.sensors.pressure import pressure
from benchharness.device.sensors.readings import ON_LINUX, ROOT, Unreadable, or_unknown, reason_of
from benchharness.device.sensors.sensor import ANYONE, Reading
from benchharness.device.sensors.throttling import meaning_of

#: A phone has a hundred temperatures; the hottest ones tell.
_MOST_LISTED = 12


def sensors(root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """By name `{"found": true, "source", "reading", "unit", "resolution", "permission", "cost_us", …}`.

    Or `{"found": false, "reason"}`. Takes some milliseconds.
    """
    with Panel(os.getpid(), root) as panel:
        readings = panel.by_sensor()
        found = panel.sensors()
    for name, told in readings.items():
        found[name]["reading"] = _SUMMARIES.get(name, dict)(told) if told else {}
    if found["pressure"]["found"]:
        found["pressure"]["reading"] = _pressure(found["pressure"]["left_out"], root)
    found["powermetrics"] = powermetrics.available()
    return {**found, **{name: _tried(look, root) for name, look in _ABILITIES.items()}}


def _pressure(left_out: Mapping[str, str], root: Path) -> dict[str, Any]:
    """Percent of the last 10 s, which says more to a reader than µs since the start do."""
    told = [resource for resource in ("cpu", "memory", "io") if resource not in left_out]
    return {f"{resource}_percent": or_unknown(pressure)(resource, root) for resource in told}


def _temperatures(readings: Mapping[str, Reading]) -> dict[str, Any]:
    hottest = sorted(_named(readings).items(), key=lambda pair: -pair[1])[:_MOST_LISTED]
    return {"celsius": dict(hottest)}


def _clocks(readings: Mapping[str, Reading]) -> dict[str, Any]:
    cores = [khz for channel, khz in readings.items() if channel != "khz.gpu"]
    gpu = {"gpu_khz": readings["khz.gpu"]} if "khz.gpu" in readings else {}
    return {**({"lowest_khz": min(cores), "highest_khz": max(cores)} if cores else {}), **gpu}


def _thermal_service(readings: Mapping[str, Reading]) -> dict[str, Any]:
    celsius = {name: value for name, value in readings.items() if name.startswith("celsius.")}
    return {"status": STATUSES[int(readings["android_thermal_status"])], **_temperatures(celsius)}


def _throttled_times(readings: Mapping[str, Reading]) -> dict[str, Any]:
    return {"throttled_times": readings["throttle_count"]}


def _firmware(readings: Mapping[str, Reading]) -> dict[str, Any]:
    bits = int(readings["get_throttled"])
    since_start = meaning_of(bits, since_start=True)
    return {
        "get_throttled": f"{bits:#x}",
        "now": _in_words(meaning_of(bits)),
        "since the start": _in_words(since_start),
    }


def _in_words(meaning: tuple[tuple[str, ...], ...]) -> str:
    return ", ".join(word for words in meaning for word in words) or "nothing"


def _cooling(readings: Mapping[str, Reading]) -> dict[str, Any]:
    return {"steps": _named(readings)}


def _energy(readings: Mapping[str, Reading]) -> dict[str, Any]:
    return {"joules": {name: round(count / 1e6, 3) for name, count in _named(readings).items()}}


def _rails(readings: Mapping[str, Reading]) -> dict[str, Any]:
    return {"watts": {name: round(power / 1e6, 3) for name, power in _named(readings).items()}}


def _battery(readings: Mapping[str, Reading]) -> dict[str, Any]:
    scaled = (("battery_uw", "watts", 1e6), ("battery_uwh", "watt_hours", 1e6), ("battery_uah", "ampere_hours", 1e6))
    found = {name: round(readings[channel] / scale, 3) for channel, name, scale in scaled if channel in readings}
    return {**found, **{name: readings[name] for name in ("battery_percent",) if name in readings}}


def _named(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """Readings by the name of their sensor, which is the channel without its unit."""
    return {channel.partition(".")[2]: value for channel, value in readings.items()}


_SUMMARIES: dict[str, Callable[[Mapping[str, Reading]], dict[str, Any]]] = {
    "temperature": _temperatures,
    "clocks": _clocks,
    "throttle counters": _throttled_times,
    "firmware throttling": _firmware,
    "cooling": _cooling,
    "energy counters": _energy,
    "power rails": _rails,
    "PMIC rails": _rails,
    "battery": _battery,
    "Android thermal service": _thermal_service,
}


def _tried(look: Callable[[Path], tuple[str, Any]], root: Path) -> dict[str, Any]:
    if not ON_LINUX:
        return {"found": False, "reason": "read on Linux only so far"}
    began_ns = time.perf_counter_ns()
    found = or_unknown(look)(root)
    cost_us = round((time.perf_counter_ns() - began_ns) / 1000, 1)
    reason = reason_of(found)
    if reason is not None:
        return {"found": False, "reason": reason}
    source, reading = found
    return {"found": True, "source": source, "permission": ANYONE, "cost_us": cost_us, "reading": reading}


def _memory_control(root: Path) -> tuple[str, Any]:
    return cgroup.can_limit("memory", root), {}


def _cpu_control(root: Path) -> tuple[str, Any]:
    return cgroup.can_limit("cpu", root), {}


def _peak_memory(root: Path) -> tuple[str, Any]:
    """Tried on this process, which nobody measures: some container runtimes have the file and refuse."""
    file = root / "proc/self/clear_refs"
    if not file.exists():
        raise Unreadable("/proc/self/clear_refs is not there: a peak can be had once per process only")
    file.write_text("5")
    return "/proc/self/clear_refs resets VmHWM", {}


def _kills(root: Path) -> tuple[str, Any]:
    kills = out_of_memory_kills(root)
    if kills is None:
        raise Unreadable("/proc/vmstat does not count oom_kill: a kill for want of memory looks like any other")
    return "/proc/vmstat", {"kills": kills}


def _android_memory(root: Path) -> tuple[str, Any]:
    return "dumpsys meminfo", dict(android_services.memory(root))


_ABILITIES: dict[str, Callable[[Path], tuple[str, Any]]] = {
    "cgroup memory control": _memory_control,
    "cgroup cpu control": _cpu_control,
    "peak memory reset": _peak_memory,
    "out-of-memory kills": _kills,
    "Android memory": _android_memory,
}
