"""What this device is, and the state it is in while an attempt runs. Unreadable facts are `unknown` with a reason."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any


def unknown(reason: str) -> dict[str, str]:
    """How a fact that cannot be read is written: never as zero, never left out."""
    return {"unknown": reason}


def device_facts() -> dict[str, Any]:
    """What does not change while this process lives."""
    return {
        "device": device_id(),
        "os": f"{platform.system()} {platform.release()}",
        "kernel": platform.version(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count() or unknown("the system does not say"),
        "memory_bytes": memory_bytes(),
    }


def device_id() -> str:
    """A stable name for this unit: the machine's own id, hashed, so that nothing private leaves it."""
    return hashlib.sha256(b"benchharness device " + _machine_id().encode()).hexdigest()[:12]


def _machine_id() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/dmi/id/product_uuid"):
        try:
            found = Path(path).read_text().strip()
        except OSError:
            continue
        if found:
            return found
    if sys.platform == "darwin":
        listing = _output(["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"])
        for line in listing.splitlines():
            if "IOPlatformUUID" in line:
                return line.split('"')[-2]
    return f"{platform.node()} {uuid.getnode():x}"


def processor() -> Any:
    """The processor's marketing name."""
    if sys.platform == "darwin":
        return _output(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]) or unknown("sysctl does not say")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or unknown("the system does not say")
    for key in ("model name", "Model", "Hardware"):
        for line in lines:
            if line.startswith(key) and ":" in line:
                return line.split(":", 1)[1].strip()
    return platform.processor() or unknown("/proc/cpuinfo names no model")


def memory_bytes() -> Any:
    """Physical memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return unknown("sysconf does not say")


def load_average() -> Any:
    """Runnable tasks averaged over the last minute, before the attempt began."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return unknown("this system has no load average")


def governor() -> Any:
    """The frequency governors of all cores, usually one."""
    files = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    try:
        found = sorted({file.read_text().strip() for file in files})
    except OSError as error:
        return unknown(f"cpufreq cannot be read: {error.strerror}")
    return ", ".join(found) if found else unknown("no cpufreq on this system")


def out_of_memory_kills() -> int | None:
    """How often the kernel has killed for want of memory since it started, cgroup limits included; Linux only."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
