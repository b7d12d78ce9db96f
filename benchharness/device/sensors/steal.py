"""What the hypervisor takes away: the kernel's count of the time that cores were wanted and not given (Linux)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchharness.device.sensors.readings import ROOT, Unreadable, text_of


class CoreTicks(NamedTuple):
    """Time of all cores since the system started, in kernel ticks of usually 10 ms."""

    stolen: int
    wanted: int  # stolen time, and all but idling and waiting for a disk
    total: int


def core_ticks(root: Path = ROOT) -> CoreTicks:
    """From /proc/stat. Raises `Unreadable`.

    Its columns (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal; guest time stands behind these
    and is contained in user and nice.
    """
    words = text_of(root / "proc/stat").split("\n", 1)[0].split()
    if words[0] != "cpu" or len(words) < 9:
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
