"""A process's memory: its peak since a phase began, and what it holds at a phase's end, by kind. All in bytes.

Linux: writing 5 to /proc/self/clear_refs sets the peak (VmHWM) back to the current resident size, so that every phase
has a peak of its own, short ones too; a polling thread missed up to 69 % of a short peak. `smaps_rollup` takes 1.5 ms,
so it is read at phase ends only. macOS: `proc_pid_rusage`'s physical footprint, whose maximum cannot be set back.
Windows: what psutil gives, where it is installed. Mapped weights count as file-backed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_RESET_PEAK = b"5"  # Documentation/filesystems/proc.rst: "reset the peak resident set size"


@dataclass(frozen=True)
class MemoryReading:
    """What was read at one moment. A kind that the system does not tell stands in `unknown` with the reason."""

    peak: int | None  # highest resident size since the last `reset_peak`
    settled: Mapping[str, int]  # kind -> bytes: rss, pss, uss, anonymous, file
    unknown: Mapping[str, str] = field(default_factory=dict)


def reset_peak(process: int | None = None) -> bool:
    """Begins a new peak; False where this system has no way to, and peaks are of the whole process.

    `process`: another one than this, by its id.
    """
    try:
        with Path(f"/proc/{process or 'self'}/clear_refs").open("wb", buffering=0) as file:
            file.write(_RESET_PEAK)
    except OSError:
        return False
    return True


def read(process: int | None = None) -> MemoryReading:
    """This process's memory now, or another's by its id. Never raises."""
    try:
        if sys.platform.startswith("linux"):
            return _read_linux(Path(f"/proc/{process or 'self'}"))
        if process is not None:
            raise ValueError("of another process it is read on Linux only so far")
        if sys.platform == "darwin":
            return _read_macos()
        return _read_psutil()
    except (OSError, ValueError, AttributeError) as error:
        return MemoryReading(peak=None, settled={}, unknown={"memory": f"cannot be read: {error}"})


def _read_linux(process: Path) -> MemoryReading:
    status = _kib_fields(process / "status")
    settled = {"rss": status["VmRSS"]}
    unknown = {}
    for kind, key in (("anonymous", "RssAnon"), ("file", "RssFile")):
        if key in status:
            settled[kind] = status[key] + (status.get("RssShmem", 0) if kind == "file" else 0)
        else:
            unknown[kind] = f"this kernel's /proc/PID/status has no {key}"
    try:
        rollup = _kib_fields(process / "smaps_rollup")
    except OSError as error:
        unknown["pss"] = unknown["uss"] = f"smaps_rollup cannot be read: {error.strerror}"
    else:
        settled["pss"] = rollup["Pss"]
        settled["uss"] = rollup["Private_Clean"] + rollup["Private_Dirty"]
    return MemoryReading(peak=status["VmHWM"], settled=settled, unknown=unknown)


def _kib_fields(file: Path) -> dict[str, int]:
    """The `Name:  123 kB` lines of a file of /proc, in bytes."""
    fields = {}
    for line in file.read_bytes().splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == b"kB":
            fields[words[0].rstrip(b":").decode()] = int(words[1]) * 1024
    return fields


def _read_macos() -> MemoryReading:
    from benchharness.device.sensors import macos_memory  # loads ctypes

    usage = macos_memory.resource_usage()
    return MemoryReading(
        peak=usage.lifetime_max_phys_footprint,
        settled={"rss": usage.resident_size, "footprint": usage.phys_footprint},
        unknown=dict.fromkeys(("pss", "uss", "anonymous", "file"), "macOS tells the physical footprint instead"),
    )


def _read_psutil() -> MemoryReading:
    try:
        import psutil
    except ImportError:
        reason = "this system's memory is read through psutil, which is not installed here"
        return MemoryReading(peak=None, settled={}, unknown={"memory": reason})
    info = psutil.Process().memory_full_info()
    unknown = dict.fromkeys(("pss", "anonymous", "file"), "not told on this system")
    settled = {"rss": int(info.rss), "uss": int(info.uss)}
    return MemoryReading(peak=getattr(info, "peak_wset", None), settled=settled, unknown=unknown)


class ResidentSize:
    """Another process's resident size, read cheaply and often: the file that tells it stays open."""

    def __init__(self, process: int) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):  # gone, or a system without such files
            self._file = os.open(f"/proc/{process}/statm", os.O_RDONLY)
            self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def read(self) -> int | None:
        """Bytes; None where the process is gone or the system needs more than a file to tell."""
        if self._file is None:
            return None
        try:
            return int(os.pread(self._file, 100, 0).split()[1]) * self._page_bytes
        except (OSError, IndexError, ValueError):
            return None

    def close(self) -> None:
        """Closes the file; what is read from then on is None."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def mapped_libraries() -> frozenset[Path]:
    """Shared libraries mapped into this process; empty where the system does not tell."""
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:
        return frozenset()
    paths = {line.split(None, 5)[5].decode("utf-8", "surrogateescape") for line in lines if line.count(b"/")}
    return frozenset(Path(path) for path in paths if ".so" in Path(path).name)
