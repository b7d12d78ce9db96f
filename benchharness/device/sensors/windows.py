"""What Windows says about itself: memory and power from kernel32, the machine's id from the registry."""

from __future__ import annotations

import ctypes
import sys

from benchharness.device.sensors.readings import Unreadable

#: What GetSystemPowerStatus writes where it does not know.
_UNKNOWN = 255


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("physical", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


class _PowerStatus(ctypes.Structure):
    """SYSTEM_POWER_STATUS."""

    _fields_ = (
        ("mains", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("percent", ctypes.c_uint8),
        ("saver", ctypes.c_uint8),
        ("seconds", ctypes.c_uint32 * 2),
    )


def memory_bytes() -> tuple[int, int]:
    """Physical memory, and what of it is available."""
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    _ask("GlobalMemoryStatusEx", status)
    return int(status.physical), int(status.available)


def power() -> tuple[str, float | None]:
    """Power source, and the battery's charge in percent; no charge where there is no battery or none is told."""
    status = _PowerStatus()
    _ask("GetSystemPowerStatus", status)
    if status.mains not in {0, 1}:
        raise Unreadable("GetSystemPowerStatus does not say")
    return ("mains" if status.mains else "battery"), None if status.percent == _UNKNOWN else float(status.percent)


def machine_id() -> str:
    """The id that Windows was given at its installation."""
    if sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key:
            return str(winreg.QueryValueEx(key, "MachineGuid")[0])
    raise Unreadable("the registry is on Windows only")


def _ask(function: str, status: ctypes.Structure) -> None:
    if sys.platform == "win32":
        if not getattr(ctypes.windll.kernel32, function)(ctypes.byref(status)):
            raise Unreadable(f"{function} failed")
    else:
        raise Unreadable(f"{function} is on Windows only")
