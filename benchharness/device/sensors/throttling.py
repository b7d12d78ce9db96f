"""What says outright that a processor is slowed down: counters, a firmware's bits, and the kernel's cooling devices."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchharness.device.sensors.readings import (
    ROOT,
    KeptFile,
    Unreadable,
    label_of,
    number_or_none,
    output_of,
)
from benchharness.device.sensors.sensor import ANYONE, Sensor

_CPUS = "sys/devices/system/cpu"
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
#: The kinds of cooling devices that slow a processor down; the others are fans, screens and chargers.
_SLOWING_WORDS = ("cpufreq", "cpu-", "processor", "powerclamp", "devfreq", "cpuidle", "gpu")
_MOST_COOLERS = 16

# What the bits of `get_throttled` mean now, and 16 bits further up: what has been since the start
# (https://www.raspberrypi.com/documentation/computers/os.html#get_throttled).
_UNDER_VOLTAGE, _CAPPED, _THROTTLED, _SOFT_LIMIT = 1, 2, 4, 8
_SINCE_START = 16


def find_throttle_counters(_process: int | None, root: Path = ROOT) -> Sensor:
    """`throttle_count`: how often Intel processors were too hot, over all cores and packages, since the start.

    Logical cores of one core, and all those of one package, tell of the same event
    (arch/x86/kernel/cpu/mce/therm_throt.c): it is counted once.
    """
    groups: dict[tuple[str, ...], list[KeptFile]] = {}
    for cpu in sorted((root / _CPUS).glob("cpu[0-9]*")):
        package = label_of(cpu / "topology/physical_package_id") or "0"
        core = label_of(cpu / "topology/core_id") or cpu.name
        for name, group in (("core", (package, core)), ("package", (package,))):
            try:
                file = KeptFile(cpu / f"thermal_throttle/{name}_throttle_count")
            except Unreadable:
                continue
            groups.setdefault(group, []).append(file)
    if not groups:
        raise Unreadable("no thermal_throttle counters: only Intel processors have them, and no virtual ones")

    def read() -> Mapping[str, int]:
        return {"throttle_count": sum(max(file.number() for file in files) for files in groups.values())}

    return Sensor(
        source="thermal_throttle",
        unit="times, since the system started",
        resolution="1",
        permission=ANYONE,
        read=read,
        period_s=1.0,
    )


def find_firmware_bits(_process: int | None, root: Path = ROOT) -> Sensor:
    """`get_throttled`: what a Raspberry Pi's firmware says it does about heat and power, as one number of bits."""
    program = shutil.which("vcgencmd") if root == ROOT else None
    try:
        file = KeptFile(root / _FIRMWARE)
        parse_bits(file.read().decode("ascii", "replace"))
    except Unreadable as error:
        if program is None:
            raise Unreadable(f"no Raspberry Pi firmware that tells ({error})") from error
        command = [program, "get_throttled"]
        return Sensor(
            source="vcgencmd get_throttled",
            unit="bits",
            resolution="1",
            permission="the group video",
            read=lambda: {"get_throttled": parse_bits(output_of(command))},
            period_s=10.0,
        )
    return Sensor(
        source=f"/{_FIRMWARE}",
        unit="bits",
        resolution="1",
        permission=ANYONE,
        read=lambda: {"get_throttled": parse_bits(file.read().decode("ascii", "replace"))},
        period_s=1.0,
    )


def parse_bits(said: str) -> int:
    """`throttled=0x50005` as the program prints it, or `50005` as the file does: both hexadecimal."""
    digits = said.strip().rpartition("=")[2]
    try:
        bits = int(digits, 16)
    except ValueError as error:
        raise Unreadable(f"get_throttled says {said.strip()[:40]!r}") from error
    if not 0 <= bits < 2**32 or "_" in digits:
        raise Unreadable(f"get_throttled says {said.strip()[:40]!r}")
    return bits


class Throttling(NamedTuple):
    """What a value of `get_throttled` means, in words: what heat does, what the supply does, what either may do."""

    heat: tuple[str, ...]
    power: tuple[str, ...]
    unclear: tuple[str, ...]


def meaning_of(bits: int, *, since_start: bool = False) -> Throttling:
    """What holds at this moment; with `since_start` what has held at any time since the board was started.

    A clock is capped or throttled for heat or for a weak supply, and the firmware does not say for which
    (https://github.com/raspberrypi/firmware/issues/615). It is heat's work where the supply's bit is not set.
    """
    now = bits >> _SINCE_START if since_start else bits
    weak, hot = bool(now & _UNDER_VOLTAGE), bool(now & _SOFT_LIMIT)
    slowed = [word for bit, word in ((_CAPPED, "clock capped"), (_THROTTLED, "throttled")) if now & bit]
    both = weak and hot
    return Throttling(
        heat=(*(["soft temperature limit"] if hot else []), *([] if weak else slowed)),
        power=(*(["under-voltage"] if weak else []), *(slowed if weak and not both else [])),
        unclear=tuple(slowed if both else []),
    )


def find_cooling(_process: int | None, root: Path = ROOT) -> Sensor:
    """`cooling.<device>`: how far the kernel slows a processor down for heat; 0 is not at all."""
    files: dict[str, KeptFile] = {}
    highest: dict[str, int] = {}
    folders = (root / "sys/class/thermal").glob("cooling_device*")
    for folder in sorted(folders, key=lambda each: (len(each.name), each.name)):
        kind = label_of(folder / "type")
        if not any(word in kind.lower() for word in _SLOWING_WORDS) or len(files) == _MOST_COOLERS:
            continue
        name = kind if f"cooling.{kind}" not in files else f"{kind} {folder.name[len('cooling_device') :]}"
        try:
            files[f"cooling.{name}"] = KeptFile(folder / "cur_state")
        except Unreadable:
            continue
        if (most := number_or_none(folder / "max_state")) is not None:
            highest[f"most_cooling.{name}"] = most
    if not files:
        raise Unreadable("no cooling device in /sys/class/thermal slows a processor")

    def read() -> Mapping[str, int]:
        readings = {}
        for channel, file in files.items():
            try:
                state = file.number()
            except Unreadable:
                continue
            if state >= 0:  # -1: intel_powerclamp where it is idle
                readings[channel] = state
        return readings

    return Sensor(
        source="/sys/class/thermal/cooling_device*",
        unit="steps, 0 is not slowed",
        resolution="1",
        permission=ANYONE,
        read=read,
        period_s=1.0,
        constants=highest,
    )
