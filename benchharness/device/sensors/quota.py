"""How often, and for how long, control groups' CPU quotas stopped a process (Linux).

Sources: the kernel's scheduler/sched-bwc.rst (version 1: `nr_throttled`, `throttled_time` in ns) and cgroup-v2.rst
(`nr_throttled`, `throttled_usec`). Both are summed over the process's own group and all groups above it that are to be
seen here; a group's figures include what was stopped of its other processes, and times add up over cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchharness.device.sensors.cgroup import groups_of
from benchharness.device.sensors.readings import ROOT, KeptFile, Unreadable
from benchharness.device.sensors.sensor import ANYONE, Sensor


def times_throttled(root: Path = ROOT) -> int:
    """How often a CPU quota has stopped this process's groups since they were made. Raises `Unreadable`."""
    return _stops(_files("self", root))["quota_throttled_times"]


def find_quota_stops(process: int | None, root: Path = ROOT) -> Sensor:
    """`quota_throttled_times` and `quota_throttled_ns` of the groups that the process is in at this moment."""
    name = "self" if process is None else str(process)
    files = _files(name, root)
    _stops(files)
    return Sensor(
        source="cpu.stat of " + ", ".join(str(file.path.parent) for file in files),
        unit="times; ns, summed over cores",
        resolution="1; 1 ns in version 1 of cgroups, 1 µs in version 2",
        permission=ANYONE,
        read=lambda: _stops(files),
    )


def _files(process: str, root: Path) -> list[KeptFile]:
    """The statistics of every group: the top of a hierarchy has no quota and, in version 2, no such file."""
    paths = [folder / "cpu.stat" for folder in groups_of("cpu", root, process).folders]
    return [KeptFile(path) for path in paths if path.exists()]


def _stops(files: Iterable[KeptFile]) -> Mapping[str, int]:
    times = nanoseconds = 0
    told = False
    for file in files:
        counts = parse_counts(file.read())
        told = told or "nr_throttled" in counts
        times += counts.get("nr_throttled", 0)
        nanoseconds += counts.get("throttled_time", 0) + 1000 * counts.get("throttled_usec", 0)
    if not told:
        raise Unreadable("no CPU controller's statistics are visible")
    return {"quota_throttled_times": times, "quota_throttled_ns": nanoseconds}


def parse_counts(text: bytes) -> Mapping[str, int]:
    """`name count` lines, as in `cpu.stat`."""
    pairs = (line.split() for line in text.splitlines())
    return {
        pair[0].decode("ascii", "replace"): int(pair[1])
        for pair in pairs
        if len(pair) == 2 and pair[1].isdigit() and len(pair[1]) <= 20
    }
