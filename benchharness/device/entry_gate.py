"""The entry gate: an attempt begins when the device is cool and settled, or when it has waited long enough.

By the hottest sensor where there is one, on Android the battery's; else by a probe kernel, a fixed piece of work whose
fastest run shows the clock that the core has now. Both are held against the best of this run, so that the device cools
down between jobs. While Android's thermal status says that it slows the phone down, the gate stays shut whatever else
is seen.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Callable, NamedTuple

from benchharness.device.sensors.android import STATUSES, ThermalService
from benchharness.device.sensors.android_services import battery, is_android, thermal_service
from benchharness.device.sensors.readings import ROOT, Unreadable
from benchharness.device.sensors.temperature import hottest

#: How often the gate looks, and over how many looks a device must have held still.
_EVERY_S = 0.5
#: A phone's services take some of a core to answer, and its battery is slow to warm.
_PHONE_EVERY_S = 2.0
_LOOKS = 6
#: By a sensor: within so much over those looks, and above the coolest of this run.
_STILL_CELSIUS = 1.0
_ABOVE_COOLEST_CELSIUS = 3.0
#: By the probe kernel: the same as shares of its time.
_STILL_SHARE = 0.02
_ABOVE_FASTEST_SHARE = 0.03
#: SHA-256 over 16 KiB, so often a run, and the fastest of so many runs: about 10 ms a look.
_ROUNDS = 100
_RUNS = 5
_BUFFER = bytes(16 * 1024)
#: Windows counts a thread's time in steps of 16 ms.
_clock_ns = time.perf_counter_ns if sys.platform == "win32" else time.thread_time_ns
_PROBE = "probe kernel"
_SENSOR = "sensor"
_BATTERY = "battery"

Facts = dict[str, Any]


class _Look(NamedTuple):
    """What was looked at, of which kind, the value, and what says outright that it is hot; empty for nothing."""

    kind: str
    by: str
    value: float
    hot: str = ""


def probe_ns() -> float:
    """The fastest of some runs of a fixed piece of arithmetic, in ns."""
    return float(min(_one_run() for _ in range(_RUNS)))


def _one_run() -> int:
    start = _clock_ns()
    for _ in range(_ROUNDS):
        hashlib.sha256(_BUFFER).digest()
    return max(1, _clock_ns() - start)


class EntryGate:
    """One run's gate: `begin`, then `step` until it answers. It remembers the best state seen."""

    def __init__(
        self, root: Path = ROOT, *, probe: Callable[[], float] = probe_ns, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root
        self._probe = probe
        self._clock = clock
        self._best: dict[str, float] = {}  # by kind of look
        self._kind = ""  # of the looks so far: two kinds are never compared
        self._looks: deque[float] = deque(maxlen=_LOOKS)
        self._longest_s = self._began_s = self._next_s = 0.0

    def begin(self, longest_s: float) -> None:
        """An attempt wants in; it waits for `longest_s` at most."""
        self._longest_s = longest_s
        self._began_s = self._next_s = self._clock()
        self._looks.clear()

    def step(self) -> Facts | None:
        """Looks if it is time to; the facts for the attempt's conditions once the gate is open, else None.

        No facts where nobody asked for a gate.
        """
        now = self._clock()
        if self._longest_s <= 0:
            return {}
        if now < self._next_s:
            return None
        self._next_s = now + (_PHONE_EVERY_S if is_android(self._root) else _EVERY_S)
        kind, by, value, hot = self._look()
        if kind != self._kind:
            self._kind = kind
            self._looks.clear()
        self._looks.append(value)
        self._best[kind] = best = min(value, self._best.get(kind, value))
        reason = hot or _unsettled(kind, self._looks, best)
        if reason and now - self._began_s < self._longest_s:
            return None
        why = f"{reason}; went in after the {self._longest_s:g} s allowed" if reason else _told(kind, value, best)
        return {"waited_s": round(now - self._began_s, 2), "by": by, "settled": not reason, "reason": why}

    def _look(self) -> _Look:
        """Which sensor is the hottest may change; it is one kind."""
        if is_android(self._root):
            return self._look_at_phone()
        try:
            found = hottest(self._root)
        except Unreadable:
            return _Look(_PROBE, _PROBE, self._probe())
        return _Look(_SENSOR, f"{_SENSOR} {found.sensor}", found.celsius)

    def _look_at_phone(self) -> _Look:
        """Its thermal status where that is told, and the temperature of the battery, else the probe kernel's time."""
        try:
            thermal: ThermalService | None = thermal_service(self._root)
        except Unreadable:
            thermal = None
        hot = f"Android's thermal status is {STATUSES[thermal.status]}" if thermal and thermal.status else ""
        celsius = _battery_celsius(self._root, thermal)
        by = "thermal status and " if thermal else ""
        if celsius is None:
            return _Look(_PROBE, f"{by}{_PROBE}", self._probe(), hot)
        return _Look(_BATTERY, f"{by}{_BATTERY}", celsius, hot)


def _battery_celsius(root: Path, thermal: ThermalService | None) -> float | None:
    """By the battery service, else by the thermal service's list."""
    try:
        celsius = battery(root).celsius
    except Unreadable:
        celsius = None
    if celsius is None and thermal is not None:
        celsius = thermal.celsius.get(thermal.battery)
    return celsius


def _unsettled(kind: str, looks: deque[float], best: float) -> str:
    """What still moves or is too warm; empty where the device has settled."""
    if len(looks) < _LOOKS:
        return f"looked {len(looks)} times, and {_LOOKS} are needed"
    low, high = min(looks), max(looks)
    if kind == _PROBE:
        half = _LOOKS // 2
        sooner, later = min(list(looks)[:half]), min(list(looks)[half:])
        if abs(later - sooner) > _STILL_SHARE * sooner:
            return f"the probe kernel still changes by {100 * abs(later - sooner) / sooner:.1f} %"
        slower = later / best - 1
        told = f"the probe kernel is {100 * slower:.1f} % slower than at its best"
        return told if slower > _ABOVE_FASTEST_SHARE else ""
    if high - low > _STILL_CELSIUS:
        return f"the temperature still changes by {high - low:.1f} °C"
    above = looks[-1] - best
    return f"{above:.1f} °C warmer than at its coolest" if above > _ABOVE_COOLEST_CELSIUS else ""


def _told(kind: str, value: float, best: float) -> str:
    if kind == _PROBE:
        return f"the probe kernel took {value / 1e6:.2f} ms, {best / 1e6:.2f} ms at its best"
    return f"{value:.1f} °C, {best:.1f} °C at its coolest"
