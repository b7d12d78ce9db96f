"""What the hypervisor takes away: the kernel's count of the time that cores were wanted and not given (Linux)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchharness.device.sensors.readings import ROOT, KeptFile, Unreadable, text_of
from benchharness.device.sensors.sensor import ANYONE, Sensor


class CoreTicks(NamedTuple):
    """Time of all cores since the system started, in kernel ticks of usually 10 ms."""

    stolen: int
    wanted: int  # stolen time, and all but idling and waiting for a disk
    total: int


def core_ticks(root: Path = ROOT) -> CoreTicks:
    """From /proc/stat. Raises `Unreadable`."""
    return parse_ticks(text_of(root / "proc/stat"))


def parse_ticks(text: str) -> CoreTicks:
    """From the first line of /proc/stat. Raises `Unreadable`.

    Its columns (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal; guest time stands behind these
    and is contained in user and nice.
    """
    words = text.split("\n", 1)[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
        raise Unreadable("/proc/stat tells no steal")
    user, nice, system, idle, iowait, irq, softirq, stolen = map(int, words[1:9])
    busy = user + nice + system + irq + softirq
    return CoreTicks(stolen, busy + stolen, busy + stolen + idle + iowait)


def steal_share(before: CoreTicks, after: CoreTicks) -> float:
    """Share of the wanted time that was stolen between two readings. Raises `Unreadable` where no tick passed."""
    wanted = after.wanted - before.wanted
    if wanted <= 0:
        raise Unreadable("no tick of the kernel's clock was counted meanwhile")
    return max(0, after.stolen - before.stolen) / wanted


def find_steal(_process: int | None, root: Path = ROOT) -> Sensor:
    """`stolen_ticks`, `wanted_ticks` and `all_ticks` of all cores, since the system started."""
    file = KeptFile(root / "proc/stat")

    def read() -> Mapping[str, int]:
        ticks = parse_ticks(file.read().decode("ascii", "replace"))
        return {"stolen_ticks": ticks.stolen, "wanted_ticks": ticks.wanted, "all_ticks": ticks.total}

    read()
    return Sensor(
        source="/proc/stat",
        unit="ticks",
        resolution=f"1 tick, which is {1000 / _ticks_per_s():g} ms of one core",
        permission=ANYONE,
        read=read,
        period_s=1.0,
    )


def _ticks_per_s() -> int:
    return os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
