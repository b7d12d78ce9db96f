"""What this device is: the facts that do not change while a process lives."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
import uuid
from pathlib import Path
from typing import Any

from benchharness.device import connected
from benchharness.device.questions import android_id
from benchharness.device.sensors import android_services, connected_device, macos
from benchharness.device.sensors.readings import (
    ON_LINUX,
    ROOT,
    Unreadable,
    or_unknown,
    text_of,
    text_or_nothing,
    unknown,
)

#: What firmware names as the maker or product of a virtual machine, in lower case.
_VIRTUAL_PRODUCTS = ("qemu", "kvm", "vmware", "virtualbox", "virtual machine", "amazon ec2", "google compute", "xen")
#: `uuid.getnode` sets this bit when it found no network address and made a number up, a new one in every process.
_MADE_UP_NODE = 1 << 40


def device_facts(root: Path = ROOT) -> dict[str, Any]:
    """Device id, operating system, kernel, machine, processor, logical cores and physical memory in bytes."""
    if connected.udid():
        return connected_device.facts()
    return {
        "device": device_id(root),
        "os": operating_system(root),
        "kernel": f"{platform.release()} {platform.version()}",
        "machine": platform.machine(),
        "processor": processor(root),
        "cores": os.cpu_count() or unknown("the system does not say"),
        "memory_bytes": memory_bytes(root),
        **android_services.facts(root),
    }


def device_id(root: Path = ROOT) -> str:
    """A stable name for this unit: the machine's own id, hashed, so that nothing private leaves it."""
    if connected.udid():
        return connected_device.device_id()
    return hashlib.sha256(b"benchharness device " + _machine_id(root).encode()).hexdigest()[:12]


def _machine_id(root: Path) -> str:
    if serial := android_id.serial(root):
        return serial
    for name in ("etc/machine-id", "var/lib/dbus/machine-id", "sys/class/dmi/id/product_uuid"):
        if found := text_or_nothing(root / name):
            return found
    if serial := text_or_nothing(root / "proc/device-tree/serial-number").strip("\0"):
        return serial
    try:
        if sys.platform == "darwin":
            return macos.machine_id()
        if sys.platform == "win32":
            from benchharness.device.sensors import windows

            return windows.machine_id()
    except (Unreadable, OSError):
        pass  # the last resort is the same everywhere
    return _last_resort(root)


def _last_resort(root: Path) -> str:
    """The network's names, which are alike on all of Android's devices."""
    if android_services.is_android(root):
        return android_id.own_id(root)
    node = uuid.getnode()
    return platform.node() if node & _MADE_UP_NODE else f"{platform.node()} {node:x}"


def operating_system(root: Path = ROOT) -> str:
    """The system's name and release as its users know it, such as `Debian GNU/Linux 12 (bookworm)`."""
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    if release := android_services.first_property("ro.build.version.release", root=root):
        build = android_services.first_property("ro.build.id", root=root)
        return f"Android {release}{f' ({build})' if build else ''}"
    for name in ("etc/os-release", "usr/lib/os-release"):
        for line in text_or_nothing(root / name).splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip("\"'")
    return f"{platform.system()} {platform.release()}"


@or_unknown
def processor(root: Path = ROOT) -> Any:
    """The processor's marketing name; on boards whose processor has none, the board's."""
    if sys.platform == "darwin":
        return macos.processor()
    if soc := android_services.first_property("ro.soc.model", "ro.board.platform", root=root):
        maker = android_services.first_property("ro.soc.manufacturer", root=root)
        return f"{maker} {soc}".strip()
    lines = _cpuinfo(root).splitlines()
    for key in ("model name", "Model", "Hardware"):
        for line in lines:
            if line.startswith(key) and ":" in line:
                return line.split(":", 1)[1].strip()
    board = text_or_nothing(root / "proc/device-tree/model").strip("\0")
    return board or platform.processor() or unknown("/proc/cpuinfo and the device tree name no model")


@functools.lru_cache(maxsize=4)
def _cpuinfo(root: Path) -> str:
    """Read once: on a machine with many cores the kernel takes milliseconds to write it."""
    return text_or_nothing(root / "proc/cpuinfo")


@or_unknown
def memory_bytes(root: Path = ROOT) -> Any:
    """Physical memory in bytes, as the kernel has it to give."""
    if sys.platform == "win32":
        from benchharness.device.sensors import windows  # not above: it needs ctypes, which others need not load

        return windows.memory_bytes()[0]
    if ON_LINUX:
        return meminfo_bytes("MemTotal", root)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def meminfo_bytes(name: str, root: Path) -> int:
    """One line of /proc/meminfo, which counts in KiB. Raises `Unreadable`."""
    for line in text_of(root / "proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise Unreadable(f"/proc/meminfo has no line {name}")


@or_unknown
def virtualisation(root: Path = ROOT) -> Any:
    """`none`, or that this is a virtual machine and whose: there a core can be taken away without a trace but steal.

    On x86 the processor's `hypervisor` flag decides. Others have no such flag: there the firmware can say that this is
    a virtual machine, and never that it is none.
    """
    if sys.platform == "darwin":
        return "virtual machine" if macos.in_virtual_machine() else "none"
    product = " ".join(text_or_nothing(root / f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    dummy = "dummy-virt" in text_or_nothing(root / "proc/device-tree/compatible")  # what QEMU calls its ARM board
    named = any(word in product.lower() for word in _VIRTUAL_PRODUCTS)
    flags = next((line.split() for line in _cpuinfo(root).splitlines() if line.startswith("flags")), None)
    if named or dummy or (root / "proc/device-tree/hypervisor").exists() or (flags and "hypervisor" in flags):
        return f"virtual machine ({product.strip()})" if named else "virtual machine"
    if flags:
        return "none"
    return unknown("the processor has no flag for it, and the firmware names no hypervisor")
