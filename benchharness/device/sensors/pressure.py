"""Pressure stall information: how long tasks of the whole system stood still for want of a core, memory or a disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from benchharness.device.sensors.readings import ROOT, KeptFile, Unreadable, text_of
from benchharness.device.sensors.sensor import ANYONE, Sensor

#: Of a core the kernel tells `some` only; `full` is a line of zeroes (Documentation/accounting/psi.rst).
_TOLD = {"cpu": ("some",), "memory": ("some", "full"), "io": ("some", "full")}
_TOTAL = re.compile(rb"^(some|full) .*\btotal=(\d{1,20})\s*$", re.MULTILINE)


def pressure(resource: str, root: Path = ROOT) -> float:
    """Percent of the last 10 s in which some task waited for `cpu`, `memory` or `io`. Raises `Unreadable`."""
    for line in text_of(root / "proc/pressure" / resource).splitlines():
        kind, average = line.split()[:2]
        if kind == "some" and average.startswith("avg10="):
            return float(average[len("avg10=") :])
    raise Unreadable(f"/proc/pressure/{resource} has no average over 10 s")


def stalled_us(text: bytes) -> Mapping[str, int]:
    """Total µs by `some` (at least one task stood still) and `full` (all did)."""
    return {kind.decode(): int(total) for kind, total in _TOTAL.findall(text)}


def find_pressure(_process: int | None, root: Path = ROOT) -> Sensor:
    """`psi_cpu_some_us`, `psi_memory_some_us`, `psi_memory_full_us` and the same for `io`, since the system started."""
    files: dict[str, KeptFile] = {}
    left_out: dict[str, str] = {}
    for resource in _TOLD:
        try:
            file = KeptFile(root / "proc/pressure" / resource)
            file.read()  # where it is switched off (psi=0), only this fails
            files[resource] = file
        except Unreadable as error:
            left_out[resource] = str(error)
    if not files:
        raise Unreadable(f"this kernel keeps no pressure stall information ({left_out['cpu']})")

    def read() -> Mapping[str, int]:
        readings = {}
        for resource, file in files.items():
            stalled = stalled_us(file.read())
            for kind in _TOLD[resource]:
                if kind in stalled:
                    readings[f"psi_{resource}_{kind}_us"] = stalled[kind]
        return readings

    return Sensor(
        source="/proc/pressure",
        unit="µs, of the whole system",
        resolution="1 µs",
        permission=ANYONE,
        read=read,
        left_out=left_out,
    )
