"""How often the kernel has killed here for want of memory, and under which limit. Linux only."""

from __future__ import annotations

from pathlib import Path

from benchharness.device.sensors.cgroup import MEMORY_LIMIT, Groups, groups_of, tightest_memory
from benchharness.device.sensors.readings import ROOT, Unreadable, text_or_nothing

_MIB = 1 << 20
#: By version: where a group's own kills are counted, without those in groups below it.
_COUNTED = {1: "memory.oom_control", 2: "memory.events.local"}
_PEAK = {1: "memory.max_usage_in_bytes", 2: "memory.peak"}


def kills(*, everywhere: bool, root: Path = ROOT) -> int | None:
    """Kills on the whole system, or among the processes of this process's group, where that counts them.

    A worker may be in a group of its own, so that any kill may be its own. A conductor is in its supervisor's, and its
    trials are not: their kills are none of the conductor's.
    """
    if everywhere:
        return _oom_kill(root / "proc/vmstat")
    try:
        groups = groups_of("memory", root)
    except Unreadable:
        found = None
    else:
        found = _oom_kill(groups.folders[0] / _COUNTED[groups.version])
    return _oom_kill(root / "proc/vmstat") if found is None else found


def limit_and_peak(groups: Groups) -> str:
    """The tightest memory limit on some groups and the peak under it, for a message; empty without a limit."""
    told = {folder: text_or_nothing(folder / MEMORY_LIMIT[groups.version]) for folder in groups.folders}
    try:
        limit = tightest_memory(filter(None, told.values()))
    except ValueError:
        return ""
    if not isinstance(limit, int):
        return ""
    held_by = next(folder for folder, text in told.items() if text == str(limit))
    peak = text_or_nothing(held_by / _PEAK[groups.version])
    reached = f", peak {int(peak) / _MIB:.1f} MiB" if peak.isdigit() else ""
    return f"the group's limit is {limit / _MIB:.1f} MiB{reached}"


def _oom_kill(file: Path) -> int | None:
    lines = (line.split() for line in text_or_nothing(file).splitlines())
    return next((int(words[1]) for words in lines if len(words) == 2 and words[0] == "oom_kill"), None)
