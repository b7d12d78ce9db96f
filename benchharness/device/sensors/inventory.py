"""Which sensors there are on this device and which are not, with the reason: what a report will be able to say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable

from benchharness.device.conditions import out_of_memory_kills, pressure
from benchharness.device.sensors import cgroup
from benchharness.device.sensors.power import supply_folders
from benchharness.device.sensors.readings import (
    ON_LINUX,
    ROOT,
    Unreadable,
    or_unknown,
    reason_of,
    text_of,
    text_or_nothing,
)
from benchharness.device.sensors.steal import core_ticks
from benchharness.device.sensors.temperature import temperatures

#: A laptop has a dozen temperatures, a server a hundred; the hottest ones tell.
_MOST_LISTED = 12
_CPUS = "sys/devices/system/cpu"
_RASPBERRY_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def sensors(root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """By name `{"found": true, "source", "reading"}` or `{"found": false, "reason"}`. Takes some milliseconds."""
    return {name: _entry(look, root) for name, look in _SENSORS.items()}


def _entry(look: Callable[[Path], tuple[str, Any]], root: Path) -> dict[str, Any]:
    if not ON_LINUX:
        return {"found": False, "reason": "read on Linux only so far"}
    found = or_unknown(look)(root)
    reason = reason_of(found)
    if reason is not None:
        return {"found": False, "reason": reason}
    source, reading = found
    return {"found": True, "source": source, "reading": reading}


def _temperature(root: Path) -> tuple[str, Any]:
    found = sorted(temperatures(root), key=lambda each: -each.celsius)
    if not found:
        raise Unreadable("no thermal zone and no hardware monitor gives a temperature")
    celsius = {each.sensor: each.celsius for each in reversed(found[:_MOST_LISTED])}  # the hotter of two of one name
    return "/sys/class/thermal, /sys/class/hwmon", {"celsius": dict(reversed(celsius.items()))}


def _clocks(root: Path) -> tuple[str, Any]:
    current = _numbers((root / _CPUS).glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    if not current:
        raise Unreadable("no cpufreq: the clock of the cores cannot be read")
    return "cpufreq", {"lowest_khz": min(current), "highest_khz": max(current)}


def _throttle_counters(root: Path) -> tuple[str, Any]:
    if bits := text_or_nothing(root / _RASPBERRY_THROTTLED):
        return "the board's firmware", {"get_throttled": bits}
    counts = _numbers((root / _CPUS).glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    if not counts:
        raise Unreadable("no thermal_throttle counters and no get_throttled: heat must be told from speed alone")
    return "thermal_throttle", {"throttled_times": max(counts)}


def _energy(root: Path) -> tuple[str, Any]:
    files = sorted((root / "sys/class/powercap").glob("*/energy_uj"))
    readable = {text_or_nothing(file.with_name("name")) or file.parent.name: _numbers([file]) for file in files}
    joules = {name: round(values[0] / 1e6, 3) for name, values in readable.items() if values}
    if joules:
        return "RAPL", {"joules": joules}
    watts = [found for folder in supply_folders(root) if (found := _battery_watts(folder)) is not None]
    if watts:
        return "battery", {"watts": round(sum(watts), 3)}
    if files:
        raise Unreadable("RAPL counters are there and only an administrator may read them")
    raise Unreadable("no RAPL counters, and no battery that tells its power")


def _battery_watts(supply: Path) -> float | None:
    """From `power_now` in µW, or `current_now` in µA times `voltage_now` in µV. Drivers differ in signs."""
    if text_or_nothing(supply / "type") != "Battery":
        return None
    if power := _numbers([supply / "power_now"]):
        return abs(power[0]) / 1e6
    both = _numbers([supply / "current_now", supply / "voltage_now"])
    return abs(both[0]) * both[1] / 1e12 if len(both) == 2 else None


def _pressure(root: Path) -> tuple[str, Any]:
    return "/proc/pressure", {f"{resource}_percent": pressure(resource, root) for resource in ("cpu", "memory", "io")}


def _memory_control(root: Path) -> tuple[str, Any]:
    return cgroup.can_limit("memory", root), {}


def _cpu_control(root: Path) -> tuple[str, Any]:
    return cgroup.can_limit("cpu", root), {}


def _scheduling(root: Path) -> tuple[str, Any]:
    ran_ns, waited_ns, _ = map(int, text_of(root / "proc/self/schedstat").split())
    if not ran_ns:
        raise Unreadable("/proc/self/schedstat counts nothing: this kernel was built without scheduler statistics")
    return "/proc/self/schedstat", {"ran_ns": ran_ns, "waited_ns": waited_ns}


def _steal(root: Path) -> tuple[str, Any]:
    ticks = core_ticks(root)
    return "/proc/stat", {"stolen_ticks": ticks.stolen, "all_ticks": ticks.total}


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


def _numbers(files: Iterable[Path]) -> list[int]:
    """The numbers in those files that can be read."""
    texts = (text_or_nothing(file) for file in files)
    return [int(text) for text in texts if text.lstrip("-").isdigit()]


_SENSORS: dict[str, Callable[[Path], tuple[str, Any]]] = {
    "temperature": _temperature,
    "clocks": _clocks,
    "throttle counters": _throttle_counters,
    "energy": _energy,
    "pressure": _pressure,
    "cgroup memory control": _memory_control,
    "cgroup cpu control": _cpu_control,
    "scheduling": _scheduling,
    "steal": _steal,
    "peak memory reset": _peak_memory,
    "out-of-memory kills": _kills,
}
