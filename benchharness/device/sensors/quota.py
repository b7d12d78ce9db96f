"""How often, and for how long, control groups' CPU quotas stopped a process (Linux).

Sources: the kernel's scheduler/sched-bwc.rst (version 1: `nr_throttled`, `throttled_time` in ns) and cgroup-v2.rst
(`nr_throttled`, `throttled_usec`). Both are summed over the process's own group and all groups above it that are to be
seen here; a group's figures include what was stopped of its other processes, and times add up over cores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.device.sensors.membership import GroupFiles, Membership
from benchharness.device.sensors.readings import ROOT, KeptFile, Unreadable, unknown
from benchharness.device.sensors.sensor import ANYONE, Sensor


class QuotaStops:
    """How often and how long quotas stopped a process, wherever it was: the sums go on when it is moved.

    They begin with what the first groups had counted since they were made. Of a group that it comes to later counts
    what is added from the first look on, so that a sum neither jumps nor falls; what happened between that look and
    the one before it is lost.
    """

    def __init__(self, process: str, root: Path = ROOT) -> None:
        """Raises `Unreadable` where this system has no groups."""
        self._membership = Membership(process, root)
        self._files = GroupFiles()
        self._counts: dict[KeptFile, tuple[int, int]] = {}
        self._sums = [0, 0]
        self._began = False

    def read(self) -> Mapping[str, int]:
        """`quota_throttled_times` and `quota_throttled_ns`. Raises `Unreadable` where no group tells them now."""
        if self._membership.moved():
            self._follow()
        try:
            told = self._files.read()
        except Unreadable:  # a group was removed, and there may be another of its name
            self._follow()
            told = self._files.read()
        counts = {file: stops for file, text in told.items() if (stops := _stops(text)) is not None}
        if not counts:
            raise Unreadable("no CPU controller's statistics are visible")
        for file, stops in counts.items():
            before = self._counts.get(file, stops if self._began else (0, 0))
            self._sums = [so_far + max(0, now - then) for so_far, now, then in zip(self._sums, stops, before)]
        self._counts, self._began = counts, True
        return {"quota_throttled_times": self._sums[0], "quota_throttled_ns": self._sums[1]}

    def where(self) -> str:
        """Which groups' statistics these are now."""
        return "cpu.stat of " + (", ".join(str(file.path.parent) for file in self._counts) or "no group yet")

    def _follow(self) -> None:
        """The top of a hierarchy has no quota and, in version 2, no such figures."""
        try:
            folders = self._membership.groups("cpu").folders
        except Unreadable:
            self._files.follow(())  # those that it left say nothing of it
            raise
        self._files.follow(folder / "cpu.stat" for folder in folders)


class StopsSince:
    """How often quotas have stopped a process since the first time that this could be read. Never raises."""

    def __init__(self, process: str, root: Path = ROOT) -> None:
        self._reason = "never looked at"
        self._first: int | None = None
        self._last = 0
        self._stops: QuotaStops | None = None
        try:
            self._stops = QuotaStops(process, root)
        except Unreadable as error:
            self._reason = str(error)

    def look(self) -> None:
        """Reads it, where it can be read this time."""
        if self._stops is None:
            return
        try:
            self._last = self._stops.read()["quota_throttled_times"]
        except (Unreadable, OSError, ValueError) as error:
            self._reason = str(error)
            return
        self._first = self._last if self._first is None else self._first

    def times(self) -> Any:
        """Up to the last look; or why that is unknown."""
        return unknown(self._reason) if self._first is None else self._last - self._first


def find_quota_stops(process: int | None, root: Path = ROOT) -> Sensor:
    """`quota_throttled_times` and `quota_throttled_ns` of the groups that the process is in, whichever they become."""
    stops = QuotaStops("self" if process is None else str(process), root)
    with contextlib.suppress(Unreadable):
        stops.read()
    return Sensor(
        source=f"{stops.where()}, and of those that the process is moved to",
        unit="times; ns, summed over cores",
        resolution="1; 1 ns in version 1 of cgroups, 1 µs in version 2",
        permission=ANYONE,
        read=stops.read,
        may_come=True,
    )


def _stops(text: bytes) -> tuple[int, int] | None:
    """Times and ns; None where a group has no quota's statistics."""
    counts = parse_counts(text)
    if "nr_throttled" not in counts:
        return None
    return counts["nr_throttled"], counts.get("throttled_time", 0) + 1000 * counts.get("throttled_usec", 0)


def parse_counts(text: bytes) -> Mapping[str, int]:
    """`name count` lines, as in `cpu.stat`."""
    pairs = (line.split() for line in text.splitlines())
    return {
        pair[0].decode("ascii", "replace"): int(pair[1])
        for pair in pairs
        if len(pair) == 2 and pair[1].isdigit() and len(pair[1]) <= 20
    }
