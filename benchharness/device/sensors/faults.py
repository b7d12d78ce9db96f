"""How often a process had to wait for a disk to give it its memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchharness.device.sensors.readings import ROOT, KeptFile, Unreadable
from benchharness.device.sensors.scheduling import PROCESS_OWNER, watched
from benchharness.device.sensors.sensor import Sensor


def find_major_faults(process: int | None, root: Path = ROOT) -> Sensor:
    """`major_faults`: pages of the process that a disk had to give, those of ended threads included."""
    file = KeptFile(root / "proc" / str(watched(process)) / "stat")

    def read() -> Mapping[str, int]:
        return {"major_faults": major_faults(file.read())}

    read()
    return Sensor(
        source=f"/proc/{process}/stat",
        unit="pages",
        resolution="1",
        permission=PROCESS_OWNER,
        read=read,
        period_s=1.0,
    )


def major_faults(text: bytes) -> int:
    """The twelfth field of /proc/PID/stat (proc_pid_stat(5)); the second is a name that may hold anything."""
    fields = text.rpartition(b")")[2].split()
    if len(fields) < 10 or not fields[9].isdigit():
        raise Unreadable("/proc/PID/stat was not understood")
    return int(fields[9])
