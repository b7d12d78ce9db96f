"""How many processor cores there are for a model here: what runtimes are asked for that are compared by default."""

from __future__ import annotations

import os
from pathlib import Path

from benchharness.device.sensors.cgroup import cpu_quota_us
from benchharness.device.sensors.readings import ROOT


def physical_cores(root: Path = ROOT) -> int:
    """Physical cores that this process may use, at least 1: those of its affinity, and no more than its CPU quota.

    It is what ONNX Runtime starts threads for by itself; TFLite starts one, whatever the machine.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    cores = _cores_of(allowed, root) if allowed else None
    cores = cores or _cores_by_psutil() or os.cpu_count() or 1
    if allowed:
        cores = min(cores, len(allowed))
    quota = cpu_quota_us(root)
    if isinstance(quota, tuple):
        cores = min(cores, quota[0] // quota[1])
    return max(1, cores)


def _cores_of(allowed: set[int], root: Path) -> int | None:
    """Cores behind logical ones, as Linux tells them; None where it does not."""
    found = set()
    for cpu in allowed:
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        try:
            found.add(((folder / "physical_package_id").read_text(), (folder / "core_id").read_text()))
        except OSError:
            return None
    return len(found)


def _cores_by_psutil() -> int | None:
    """Where it is installed: on systems that are not Linux nothing else tells."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil.cpu_count(logical=False)
