"""What macOS tells a process about itself. Written from <sys/resource.h>; not yet run on a Mac."""

from __future__ import annotations

import ctypes
import os

_RUSAGE_INFO_V4 = 4
_BEFORE = ("user_time", "system_time", "pkg_idle_wkups", "interrupt_wkups", "pageins", "wired_size")


class ResourceUsage(ctypes.Structure):
    """`struct rusage_info_v4`, sizes in bytes; 20 fields between the footprint and its maximum are not used here."""

    resident_size: int
    phys_footprint: int
    lifetime_max_phys_footprint: int
    _fields_ = (
        ("uuid", ctypes.c_uint8 * 16),
        *((name, ctypes.c_uint64) for name in _BEFORE),
        ("resident_size", ctypes.c_uint64),
        ("phys_footprint", ctypes.c_uint64),
        ("between", ctypes.c_uint64 * 20),
        ("lifetime_max_phys_footprint", ctypes.c_uint64),
        ("after", ctypes.c_uint64 * 6),
    )


def resource_usage() -> ResourceUsage:
    """This process's usage. Raises `OSError`."""
    info = ResourceUsage()
    if ctypes.CDLL(None).proc_pid_rusage(os.getpid(), _RUSAGE_INFO_V4, ctypes.byref(info)) != 0:
        raise OSError("proc_pid_rusage failed")
    return info
