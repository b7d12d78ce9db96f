"""What a device lacks for measuring, and how noisy it is: said before a run finds out."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchharness.device import adapters
from benchharness.execute.adding import unknown_system
from benchharness.execute.devices import reached
from benchharness.judge.noise import Verdict, judge
from benchharness.launch.ask import NamedAvailability, availabilities, description_of_device
from benchharness.launch.far import FarLauncher
from benchharness.launch.porter import Contact
from benchharness.suite.device import Device
from benchharness.suite.hardware import HardwareTarget

#: Less than a small model and its runtime take.
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2 << 30, 256 << 20
#: A clock may be off: stamps are corrected for it. What is signed or dated there goes wrong all the same.
_MOST_OFF_S = 60.0
#: Sensors without which a warning that people rely on cannot be given, and which one.
_WANTED = {
    "temperature": "heat is not told: nothing can say that it throttled for being hot",
    "waiting": "other programs that take the cores are not told",
    "clocks": "a lower clock is not told",
    "quota": "a CPU quota that holds attempts back is not told",
    "peak memory reset": "of memory the peak of a whole process is told, and not of its phases",
    "out-of-memory kills": "a kill for want of memory looks like any other",
}
#: What tells the same on another system.
_INSTEAD = {"temperature": "Android thermal service"}
_CONTROLS = ("cgroup memory control", "cgroup cpu control")


class State(StrEnum):
    """How well something stands."""

    FINE = "fine"
    DOUBT = "doubt"  # it measures, and says less
    BAD = "bad"  # it will not run


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at, what was found, and what helps."""

    of: str
    state: State
    found: str
    helps: str = ""


def check(device: Device, runtimes: Collection[str], probe_s: float, scratch: Path) -> list[Check]:
    """Looks at a device; `runtimes` are those that must run there, none of them for any. Raises `LaunchError`."""
    hardware = HardwareTarget(name=device.hardware, device=device)
    with reached(hardware, scratch) as launcher:
        assert isinstance(launcher, FarLauncher)
        told = description_of_device(launcher, probe_s)
        return [
            *_there(told),
            *_at_the_door(launcher.contact, device),
            *_of_runtimes(availabilities(launcher), runtimes, device),
            *_of_sensors(told.get("sensors")),
            *_of_noise(told),
        ]


def _there(told: Mapping[str, Any]) -> Iterator[Check]:
    if why := unknown_system(told):
        yield Check(of="device", state=State.BAD, found=why)


def _at_the_door(contact: Contact, device: Device) -> Iterator[Check]:
    yield Check(of="Python", state=State.FINE, found=f"{contact.python} ({contact.executable})")
    free = contact.free_bytes
    state = State.BAD if free < _TOO_LITTLE_BYTES else State.DOUBT if free < _LITTLE_BYTES else State.FINE
    helps = "" if state is State.FINE else f"benchharness device clean {device.name}, or another 'work' in its profile"
    yield Check(of="disk", state=state, found=f"{free / 2**30:.1f} GiB free for {contact.work}", helps=helps)
    off_s = contact.clock_unix_ns / 1e9 - time.time()
    yield Check(
        of="clock",
        state=State.FINE if abs(off_s) <= _MOST_OFF_S else State.DOUBT,
        found=f"{abs(off_s):,.0f} s {'ahead' if off_s > 0 else 'behind'}" if abs(off_s) > 1 else "as here",
        helps=""
        if abs(off_s) <= _MOST_OFF_S
        else "times of attempts are corrected for it; set the clock (timedatectl)",
    )


def _of_runtimes(told: Iterable[NamedAvailability], wanted: Collection[str], device: Device) -> Iterator[Check]:
    found = {each.name: each for each in told if each.name in wanted or adapters.is_runtime(each.name)}
    for name in wanted or found:
        each = found.get(name)
        if each is not None and each.available:
            yield Check(of=name, state=State.FINE, found=each.version)
        elif wanted:
            reason = each.reason if each is not None else "no such adapter"
            helps = f"benchharness device prepare {device.name} --for SUITE.toml"
            yield Check(of=name, state=State.BAD, found=f"does not run there: {reason}", helps=helps)
    if not wanted and not any(each.available for each in found.values()):
        helps = f"benchharness device prepare {device.name} --for SUITE.toml"
        yield Check(of="runtimes", state=State.BAD, found="none runs there", helps=helps)


def _of_sensors(told: Any) -> Iterator[Check]:
    sensors: Mapping[str, Any] = told if isinstance(told, dict) else {}
    for name, without in _WANTED.items():
        if not _found(sensors, name) and not _found(sensors, _INSTEAD.get(name, name)):
            yield Check(of=name, state=State.DOUBT, found=f"no sensor ({_reason(sensors, name)})", helps=without)
    seen = sorted(name for name in sensors if _found(sensors, name))
    yield Check(of="sensors", state=State.FINE, found=", ".join(seen) or "none")
    if missing := [name for name in _CONTROLS if not _found(sensors, name)]:
        helps = "no memory floor is found, and no quota tried, there"
        yield Check(of="limits", state=State.DOUBT, found=_reason(sensors, missing[0]), helps=helps)


def _found(sensors: Mapping[str, Any], name: str) -> bool:
    each = sensors.get(name)
    return isinstance(each, dict) and each.get("found") is True


def _reason(sensors: Mapping[str, Any], name: str) -> str:
    each = sensors.get(name)
    return str(each.get("reason", "not told")) if isinstance(each, dict) else "not told"


def _of_noise(told: Mapping[str, Any]) -> Iterator[Check]:
    if "probe" not in told:
        return
    try:
        noise = judge(told["probe"])
    except ValueError:
        yield Check(of="noise", state=State.DOUBT, found="unknown (its probe tells nonsense)")
        return
    state = State.FINE if noise.verdict is Verdict.QUIET else State.DOUBT
    yield Check(of="noise", state=state, found=f"{noise.verdict}: {noise.reason}", helps=noise.hint)
