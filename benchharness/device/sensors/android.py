"""What Android's own programs print, read: `dumpsys` of several services, `getprop`. Only the parsing, of text.

A dump is a text for people: its lines differ by version and maker, and makers add their own below. So only lines whose
form Android's source gives are taken, and a number that cannot be meant as that source says is refused with the reason.
Sources: ThermalManagerService, BatteryService, PowerManagerService and ActivityManagerService in
https://android.googlesource.com/platform/frameworks/base, android.os.Temperature, android.os.BatteryManager.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from benchharness.device.sensors.readings import Unreadable

#: PowerManager.THERMAL_STATUS_* (https://developer.android.com/reference/android/os/PowerManager).
STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
#: BatteryManager.BATTERY_STATUS_*, which begin with 1.
BATTERY_STATES = ("unknown", "charging", "discharging", "not charging", "full")
#: What is read of a dump at most, and what of a line: a phone's longest have some hundred kilobytes.
_MOST_CHARACTERS, _MOST_SENSORS, _LONGEST_NAME = 1 << 20, 100, 48
_STATUS = re.compile(r"^[ \t]*Thermal Status: (\d)[ \t]*\r?$", re.MULTILINE)
_OVERRIDDEN = re.compile(r"^[ \t]*IsStatusOverride: true\b", re.MULTILINE)
_NOT_READY = re.compile(r"^[ \t]*HAL Ready: false\b", re.MULTILINE)
_TEMPERATURE = re.compile(
    r"Temperature\{mValue=(-?[\d.]{1,20}), mType=(-?\d{1,3}), mName=([^,}\n]{1,200}), mStatus=(\d{1,3})\}"
)
#: Temperature.TYPE_*: voltage, current and percentage of the battery, and what is of an unknown unit.
_NO_TEMPERATURES = (-1, 6, 7, 8)
_CPU, _BATTERY = 0, 2
_PLAUSIBLE_CELSIUS = (-40.0, 127.0)
_FIELD = re.compile(r"^ {1,4}([A-Za-z][A-Za-z ]{0,40}): (-?[\w.-]{1,40})[ \t]*\r?$", re.MULTILINE)
#: A battery of one cell, or of two; a full phone's charge from a watch's to a tablet's.
_PLAUSIBLE_MILLIVOLTS = (2_500, 10_000)
_PLAUSIBLE_FULL_UAH = (100_000, 40_000_000)
#: `Display #0 (activities from top to bottom):`, and what stands below it until the next; 0 is the device's own screen.
_DISPLAY = re.compile(r"^Display #(\d{1,9}) \(", re.MULTILINE)
#: In order of Android's versions: `mResumedActivity: ` of a stack, `topResumedActivity=` of a task from 12 on (a stray
#: brace before the task's number in 13 and 14, `, isEmbedded=false` behind it in 16), `Resumed: ` of a screen.
_RESUMED = re.compile(
    r"^[ \t]*(?:mResumedActivity|topResumedActivity|Resumed)[:=] ?"
    r"ActivityRecord\{[0-9a-f]{1,16} u\d{1,6} ([A-Za-z][\w.]{0,254})/",
    re.MULTILINE | re.ASCII,
)
#: Whichever screen has the focus: what an older Android tells of one screen, and no more.
_FOCUSED = re.compile(r"^[ \t]*ResumedActivity: ?(?:null|ActivityRecord\{)", re.MULTILINE)
_PROPERTY = re.compile(r"^\[([\w.-]{1,200})\]: \[([^\]\n]{0,500})\]", re.MULTILINE)
_RAM = re.compile(
    r"^[ \t]*(Total|Free|Used) RAM: +([\d,]{1,15}) ?(?:K|kB)\b(?:.*?\(status (\w{1,20})\))?", re.MULTILINE
)


class ThermalService(NamedTuple):
    """Thermal status, 0 to 6, the temperatures in °C by the name of their sensor, and which of those are a core's."""

    status: int
    celsius: dict[str, float]
    cores: tuple[str, ...] = ()
    battery: str = ""  # the name of the battery's


class Battery(NamedTuple):
    """What the battery service says; None where it does not, or not in Android's units: `doubts` says why, by name."""

    powered_by: tuple[str, ...]  # AC, USB, Wireless, Dock
    state: str
    percent: int | None
    millivolts: int | None
    celsius: float | None
    charge_uah: int | None
    doubts: Mapping[str, str]


def parse_thermal_service(dump: str) -> ThermalService:
    """The status and the current temperatures; the cached ones are those of an earlier event and are not taken.

    A phone writes 0.0 for a sensor that it does not have. Without a hardware layer the status is what it began with,
    and one that somebody has set by hand says nothing of heat. Raises `Unreadable`.
    """
    dump = dump[:_MOST_CHARACTERS]
    if _OVERRIDDEN.search(dump):
        raise Unreadable("the thermal status was set by hand: 'cmd thermalservice reset' ends that")
    if _NOT_READY.search(dump):
        raise Unreadable("the thermal service has no hardware layer to ask (HAL Ready: false)")
    status = _STATUS.search(dump)
    if status is None or int(status[1]) >= len(STATUSES):
        raise Unreadable("dumpsys thermalservice tells no thermal status")
    _, _, current = dump.partition("Current temperatures from HAL:")
    current = current.partition("Current cooling devices")[0]
    celsius: dict[str, float] = {}
    cores, battery = [], ""
    for value, kind, told, _ in _TEMPERATURE.findall(current)[:_MOST_SENSORS]:
        degrees = _degrees(value)
        if degrees is None or int(kind) in _NO_TEMPERATURES:
            continue
        name = _label(told)
        celsius[name] = degrees
        if int(kind) == _CPU:
            cores.append(name)
        elif int(kind) == _BATTERY and not battery:
            battery = name
    return ThermalService(int(status[1]), celsius, tuple(dict.fromkeys(cores)), battery)


def _degrees(text: str) -> float | None:
    low, high = _PLAUSIBLE_CELSIUS
    try:
        degrees = float(text)
    except ValueError:
        return None
    return degrees if degrees != 0.0 and low <= degrees < high else None


def _label(name: str) -> str:
    """A sensor's name as one short line of printable characters."""
    return " ".join("".join(each for each in name if each.isprintable()).split())[:_LONGEST_NAME] or "unnamed"


def parse_battery(dump: str) -> Battery:
    """What `dumpsys battery` says. Raises `Unreadable` where it says nothing, or what somebody has set by hand."""
    _, found, rest = dump[:_MOST_CHARACTERS].partition("Current Battery Service state:")
    if not found:
        raise Unreadable("dumpsys battery tells no state")
    if "UPDATES STOPPED" in rest:
        raise Unreadable("the battery service tells what was set by hand: 'dumpsys battery reset' ends that")
    fields: dict[str, str] = {}
    for key, value in _FIELD.findall(rest):
        fields.setdefault(key, value)  # makers and an event log repeat some below
    doubts: dict[str, str] = {}
    percent = _whole(fields, "level", (0, 100), doubts)
    millivolts = _whole(fields, "voltage", _PLAUSIBLE_MILLIVOLTS, doubts)
    tenths = _whole(fields, "temperature", (-400, 1200), doubts)
    if "voltage" in fields and millivolts is None:
        tenths = None  # who tells volts for millivolts may tell degrees for tenths
        doubts["temperature"] = "the voltage beside it is in another unit than Android's"
    return Battery(
        powered_by=tuple(way for way in ("AC", "USB", "Wireless", "Dock") if fields.get(f"{way} powered") == "true"),
        state=_state(fields.get("status", "")),
        percent=percent if fields.get("scale", "100") == "100" else None,
        millivolts=millivolts,
        celsius=None if tenths is None else tenths / 10,
        charge_uah=_charge(fields, percent, doubts),
        doubts=doubts,
    )


def _state(text: str) -> str:
    return BATTERY_STATES[int(text) - 1] if text in {"1", "2", "3", "4", "5"} else "unknown"


def _whole(fields: Mapping[str, str], key: str, between: tuple[int, int], doubts: dict[str, str]) -> int | None:
    """A whole number within what it can be; else None, and why."""
    text = fields.get(key)
    low, high = between
    if text is None:
        doubts[key] = f"no {key} is told"
    elif not re.fullmatch(r"-?\d{1,12}", text):
        doubts[key] = f"the {key} is told as {text!r}"
    elif not low <= int(text) <= high:
        doubts[key] = f"the {key} is told as {text}: in another unit than Android's, or not at all"
    else:
        return int(text)
    return None


def _charge(fields: Mapping[str, str], percent: int | None, doubts: dict[str, str]) -> int | None:
    """The charge left in µAh, if what a full battery would have by it can be one's."""
    charge = _whole(fields, "Charge counter", (1, _PLAUSIBLE_FULL_UAH[1]), doubts)
    if charge is None:
        return None
    low, high = _PLAUSIBLE_FULL_UAH
    if not percent or not low <= charge * 100 // percent <= high:
        doubts["Charge counter"] = f"it counts {charge} at {percent} %: not in µAh"
        return None
    return charge


def parse_screen(dump: str) -> str:
    """Whether the screen is lit, by `dumpsys power`: `on`, `off` or `dozing`. Raises `Unreadable`."""
    dump = dump[:_MOST_CHARACTERS]
    display = re.search(r"^[ \t]*Display Power: state=(\w{1,20})", dump, re.MULTILINE)
    if display is not None and display[1] in ("ON", "OFF", "DOZE", "DOZE_SUSPEND"):
        return {"ON": "on", "OFF": "off"}.get(display[1], "dozing")
    awake = re.search(r"^[ \t]*mWakefulness=(\w{1,20})", dump, re.MULTILINE)
    states = {"Awake": "on", "Asleep": "off", "Dozing": "dozing"}
    if awake is None or awake[1] not in states:
        raise Unreadable("dumpsys power tells no state of the screen")
    return states[awake[1]]


def parse_resumed(dump: str) -> tuple[str, ...]:
    """The packages whose activities are resumed on the device's own screen, by `dumpsys activity activities`.

    None where nothing is: a dark or locked screen. More than one beside each other on a divided one. What is resumed on
    another display, a mirrored or virtual one, is nothing that a user of the device sees. Raises `Unreadable`.
    """
    dump = dump[:_MOST_CHARACTERS]
    screens = list(_DISPLAY.finditer(dump))
    own = next((at for at, each in enumerate(screens) if each[1] == "0"), None)
    if own is None:
        raise Unreadable("dumpsys activity activities tells of no screen of the device's own")
    ends = screens[own + 1].start() if own + 1 < len(screens) else len(dump)
    found = _RESUMED.findall(dump, screens[own].end(), ends)
    if not found and not _FOCUSED.search(dump) and "mResumedActivity" not in dump and "mLastPausedActivity" not in dump:
        raise Unreadable("dumpsys activity activities tells of no activity, resumed or paused")
    return tuple(dict.fromkeys(found))


def parse_memory(dump: str) -> dict[str, int | str]:
    """`total_bytes`, `free_bytes`, `used_bytes` and `status` of the whole system, by `dumpsys meminfo`.

    Raises `Unreadable`.
    """
    found: dict[str, int | str] = {}
    for name, count, status in _RAM.findall(dump[:_MOST_CHARACTERS]):
        digits = count.replace(",", "")
        if digits:
            found.setdefault(f"{name.lower()}_bytes", int(digits) * 1024)
        if status:
            found.setdefault("status", status)
    if "total_bytes" not in found:
        raise Unreadable("dumpsys meminfo tells no total")
    return found


def parse_properties(dump: str) -> dict[str, str]:
    """What `getprop` lists. Raises `Unreadable` where that is nothing."""
    found = {name: value.strip() for name, value in _PROPERTY.findall(dump[:_MOST_CHARACTERS])}
    if not found:
        raise Unreadable("getprop lists nothing")
    return found
