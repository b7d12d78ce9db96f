"""The conditions that one job ran under: those that are known, and those that are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reports.model.visible import name_text, value_text

Facts = tuple[tuple[str, str], ...]
#: It holds figures, which differ from job to job: told in the details of each.
GATE_REASON = "entry gate: reason"
#: Names that read better in words. Others stand as the device gave them.
_TITLES = {
    "os": "system",
    "python": "Python",
    "numpy_threads": "numpy's own threads",
    "harness_modules": "the harness's own modules",
    "libraries": "the runtime's libraries in the page cache",
    "waiting_share": "time waiting for a core",
    "times_throttled": "stops by a CPU quota",
    "memory_bytes": "memory",
    "memory_available_bytes": "memory available",
    "load_average": "load average (1 min)",
    "memory_pressure": "memory pressure (10 s)",
    "cpu_pressure": "CPU pressure (10 s)",
    "power_source": "power source",
    "battery_percent": "battery",
    "temperature_celsius": "temperature",
    "temperature_sensor": "hottest sensor",
    "cgroup_memory_limit_bytes": "cgroup memory limit",
    "cgroup_cpu_quota_us": "cgroup CPU quota",
    "cgroup_cpu_period_us": "cgroup CPU period",
    "cores_allowed": "cores allowed",
    "page_cache": "page cache before the load",
    "page_cache_resident": "artefact in the page cache",
    "entry gate: settled": "entry gate settled",
    "entry gate: waited_s": "entry gate: waited (s)",
    "measured_from_ns": "model loaded, since the start",
    "measured_until_ns": "measured, since the start",
    "watching_ns": "time spent reading memory, in no phase",
}
#: What moves by itself from one attempt to the next though it is no fraction: which sensor is the hottest, how long
#: reading memory took.
_ALSO_READINGS = frozenset(("temperature_sensor", "watching_ns", "entry gate: waited_s", GATE_REASON))


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """Conditions that could not be read, and the one reason for all of them."""

    names: tuple[str, ...]
    reason: str


def split(conditions: Mapping[str, Any]) -> tuple[Facts, tuple[Unreadable, ...]]:
    """The conditions of one job: those that are known, and those that are not."""
    told = dict(flat(conditions))
    unknown = {title(name): value_text(value["unknown"]) for name, value in told.items() if is_unknown(value)}
    known = tuple((title(name), value_text(value, name)) for name, value in told.items() if not is_unknown(value))
    return known, grouped_by_reason(unknown)


def grouped_by_reason(reasons: Mapping[str, str]) -> tuple[Unreadable, ...]:
    """Names with one reason together."""
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(reason, []).append(name)
    return tuple(Unreadable(names=tuple(names), reason=reason) for reason, names in groups.items())


def flat(conditions: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Kinds of memory and sensors that are unknown, and what an entry gate tells, are conditions of their own."""
    for name, value in conditions.items():
        if not isinstance(value, Mapping) or is_unknown(value):
            yield name, value
        elif name == "memory_unknown":
            yield from ((f"memory: {kind}", {"unknown": reason}) for kind, reason in value.items())
        elif name == "sensors":
            yield from _sensors(value)
        elif name == "entry_gate":
            yield from ((f"entry gate: {fact}", told) for fact, told in value.items())
        else:
            yield name, value


def _sensors(sensors: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Which there were, not what each reading of them cost, which is never the same twice."""
    told = {name: entry for name, entry in sensors.items() if isinstance(entry, Mapping)}
    yield "sensors read", [name for name, entry in told.items() if entry.get("found")]
    for name, entry in told.items():
        if not entry.get("found"):
            yield f"sensor: {name}", {"unknown": entry.get("reason", "no reason was recorded")}


def title(name: str) -> str:
    """What a condition is called on a page."""
    return _TITLES.get(name) or name_text(name)


def is_unknown(value: Any) -> bool:
    """Whether a condition could not be read."""
    return isinstance(value, Mapping) and set(value) == {"unknown"}


def is_reading(name: str, value: Any) -> bool:
    """A fraction is a reading, such as the load, which is hardly ever the same twice; most others are states."""
    return not is_unknown(value) and (isinstance(value, float) or name in _ALSO_READINGS)
