"""What macOS says about itself through its own programs, which take some milliseconds each.

Parsing is apart from asking, so that it can be tested anywhere.
"""

from __future__ import annotations

import re
from typing import Any

from benchharness.device.sensors.readings import Unreadable, output_of

#: Levels of `kern.memorystatus_vm_pressure_level`: DISPATCH_MEMORYPRESSURE_NORMAL, _WARN and _CRITICAL.
_PRESSURE_LEVELS = {"1": "normal", "2": "warning", "4": "critical"}
#: Of vm_stat's counts, what can be handed out without swapping; psutil counts the same.
_AVAILABLE = ("Pages free", "Pages speculative", "Pages inactive")


def machine_id() -> str:
    """The hardware's UUID."""
    for line in output_of(["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]).splitlines():
        if "IOPlatformUUID" in line:
            return line.split('"')[-2]
    raise Unreadable("ioreg names no platform UUID")


def processor() -> str:
    """The processor's marketing name."""
    return output_of(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"])


def in_virtual_machine() -> bool:
    """Whether a hypervisor runs this system."""
    return output_of(["/usr/sbin/sysctl", "-n", "kern.hv_vmm_present"]) == "1"


def power() -> tuple[str, float | None]:
    """Power source, and the battery's charge in percent."""
    return parse_power(output_of(["/usr/bin/pmset", "-g", "batt"]))


def parse_power(listing: str) -> tuple[str, float | None]:
    """Source and charge from `pmset -g batt`; no charge where there is no battery."""
    source = re.search(r"drawing from '(\w+) Power'", listing)
    if source is None:
        raise Unreadable("pmset names no power source")
    charge = re.search(r"(\d+)%", listing)
    named = {"AC": "mains", "Battery": "battery"}.get(source[1], source[1])
    return named, float(charge[1]) if charge else None


def available_memory_bytes() -> float:
    """Memory that can be had without swapping."""
    return parse_available_memory(output_of(["/usr/bin/vm_stat"]))


def parse_available_memory(listing: str) -> float:
    """Bytes in free, speculative and inactive pages, from `vm_stat`."""
    page = re.search(r"page size of (\d+) bytes", listing)
    counts = dict(re.findall(r"^(.+?):\s+(\d+)\.$", listing, re.MULTILINE))
    if page is None or any(name not in counts for name in _AVAILABLE):
        raise Unreadable("vm_stat's answer was not understood")
    return float(int(page[1]) * sum(int(counts[name]) for name in _AVAILABLE))


def memory_pressure() -> Any:
    """The kernel's own level: normal, warning or critical."""
    level = output_of(["/usr/sbin/sysctl", "-n", "kern.memorystatus_vm_pressure_level"])
    if level not in _PRESSURE_LEVELS:
        raise Unreadable(f"the kernel's pressure level {level!r} is not a known one")
    return _PRESSURE_LEVELS[level]
