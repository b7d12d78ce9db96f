"""All sensors of a device on one panel, looked at again and again while a process works.

A look is made beside a measurement, on the cores that are measured. So files stay open, what changes slowly is read
once a second and not in the same look as the rest, and what turns out to be slow is read seldom.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Callable

from benchharness.device.sensors.android_services import find_drained_energy, find_thermal_service
from benchharness.device.sensors.clocks import find_clocks
from benchharness.device.sensors.energy import find_battery, find_energy_counters, find_power_rails
from benchharness.device.sensors.faults import find_major_faults
from benchharness.device.sensors.macos_thermal import find_speed_limit, find_thermal_pressure
from benchharness.device.sensors.pmic import find_pmic_rails
from benchharness.device.sensors.pressure import find_pressure
from benchharness.device.sensors.quota import find_quota_stops
from benchharness.device.sensors.readings import ON_LINUX, ROOT, Unreadable
from benchharness.device.sensors.scheduling import find_switches, find_waiting
from benchharness.device.sensors.sensor import Reading, Sensor
from benchharness.device.sensors.steal import find_steal
from benchharness.device.sensors.temperature import find_temperatures
from benchharness.device.sensors.throttling import find_cooling, find_firmware_bits, find_throttle_counters

Finder = Callable[[Any, Path], Sensor]
_ON_LINUX: dict[str, Finder] = {
    "waiting": find_waiting,
    "switches": find_switches,
    "major faults": find_major_faults,
    "quota": find_quota_stops,
    "pressure": find_pressure,
    "steal": find_steal,
    "temperature": find_temperatures,
    "clocks": find_clocks,
    "throttle counters": find_throttle_counters,
    "firmware throttling": find_firmware_bits,
    "cooling": find_cooling,
    "energy counters": find_energy_counters,
    "power rails": find_power_rails,
    "PMIC rails": find_pmic_rails,
    "battery": find_battery,
    "Android thermal service": find_thermal_service,
    "Android battery charge": find_drained_energy,
}
_ON_MACOS: dict[str, Finder] = {"thermal state": find_thermal_pressure, "speed limit": find_speed_limit}
FINDERS = {**_ON_LINUX, **_ON_MACOS}

#: A source that takes over a millisecond is read the less often the slower it is: 5 ms once in 10 s, and never less.
#: Judged by the quickest of its last readings: the others may have been held up by what they were to watch.
_LAST_READINGS = 5
_CHEAP_NS = 1_000_000
_LONGEST_PERIOD_NS = 10_000_000_000
_COST_SHARE = 2000
#: What takes longer is not read a second time at the opening.
_SLOW_NS = 5_000_000
#: Slow sources begin their turns one look apart, so that they do not all fall into the same one.
_APART_NS = 100_000_000
#: What raises where a sensor fails: nothing that a driver says may end a measurement.
_FAILURES = (Unreadable, OSError, ValueError, ArithmeticError, LookupError)


class Panel:
    """The sensors for one process, None for those of the device alone. Opening takes some milliseconds.

    Sensors are looked for once, here. One of the process's groups follows it when it is moved to others.
    """

    def __init__(self, process: int | None, root: Path = ROOT) -> None:
        self._rows: dict[str, _Row] = {}
        self._reasons: dict[str, str] = {}
        for name, find in FINDERS.items():
            try:
                if name in _ON_LINUX and not ON_LINUX:
                    raise Unreadable("read on Linux only so far")
                self._rows[name] = _Row(find(process, root), shift_ns=_APART_NS * len(self._rows))
            except _FAILURES as error:
                self._reasons[name] = _told(error)

    def look(self) -> Mapping[str, Reading]:
        """Readings by channel, of the sensors whose turn it is; the first look has all. Never raises."""
        now_ns = time.monotonic_ns()
        readings: dict[str, Reading] = {}
        for row in self._rows.values():
            if row.due_ns <= now_ns:
                readings.update(row.look(now_ns))
        return readings

    def by_sensor(self) -> dict[str, Mapping[str, Reading]]:
        """What every sensor that was found reads now, whosever turn it is. Never raises."""
        return {name: row.read() for name, row in self._rows.items() if row.described()["found"]}

    def sensors(self) -> dict[str, dict[str, Any]]:
        """By name `{"found": true, "source", "unit", "resolution", "permission", "cost_us", "period_s", "left_out"}`.

        Or `{"found": false, "reason"}`. `cost_us` is the mean of all readings since it was opened; `left_out` says
        what of it is not read and why.
        """
        rows = {name: row.described() for name, row in self._rows.items()}
        return {name: rows.get(name) or {"found": False, "reason": self._reasons[name]} for name in FINDERS}

    def close(self) -> None:
        """Gives all files back; no further look sees anything."""
        self._reasons.update(dict.fromkeys(self._rows, "the panel is closed"))
        self._rows.clear()

    def __enter__(self) -> Panel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Row:
    """One sensor on the panel: when its turn is, and what it costs."""

    def __init__(self, sensor: Sensor, shift_ns: int) -> None:
        self.due_ns = 0
        self._sensor = sensor
        self._constants = dict(sensor.constants)
        self._shift_ns = shift_ns if sensor.period_s else 0
        self._reads = self._spent_ns = 0
        self._costs_ns: deque[int] = deque(maxlen=_LAST_READINGS)
        self._failure = ""
        self._answered = False
        if not self.read() and not sensor.may_come:  # the first reading warms it up, and shows if it answers at all
            raise Unreadable(self._failure or "it gives no reading")
        if self._quickest_ns() <= _SLOW_NS:
            self._reads = self._spent_ns = 0
            self.read()

    def look(self, now_ns: int) -> Mapping[str, Reading]:
        readings = {**self.read(), **self._constants}
        self._constants = {}
        self.due_ns = now_ns + self._period_ns() + self._shift_ns
        self._shift_ns = 0
        return readings

    def described(self) -> dict[str, Any]:
        if not self._answered:
            return {"found": False, "reason": self._failure}
        left_out = {**self._sensor.left_out, **({"all of it": self._failure} if self._failure else {})}
        return {
            "found": True,
            "source": self._sensor.source,
            "unit": self._sensor.unit,
            "resolution": self._sensor.resolution,
            "permission": self._sensor.permission,
            "cost_us": round(self._spent_ns / self._reads / 1000, 1),
            "period_s": self._period_ns() / 1e9,
            "left_out": left_out,
        }

    def read(self) -> Mapping[str, Reading]:
        """Readings now; none where it fails this time."""
        began_ns = time.perf_counter_ns()
        self._failure = ""
        try:
            readings = self._sensor.read()
        except _FAILURES as error:
            self._failure = _told(error)
            readings = {}
        self._answered = self._answered or bool(readings)
        cost_ns = time.perf_counter_ns() - began_ns
        self._costs_ns.append(cost_ns)
        self._spent_ns += cost_ns
        self._reads += 1
        return readings

    def _quickest_ns(self) -> int:
        return min(self._costs_ns)

    def _period_ns(self) -> int:
        own_ns, cost_ns = round(self._sensor.period_s * 1e9), self._quickest_ns()
        if cost_ns <= _CHEAP_NS:
            return own_ns
        return max(own_ns, min(_LONGEST_PERIOD_NS, cost_ns * _COST_SHARE))


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
