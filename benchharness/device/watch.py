"""Looks at a worker from outside while it works: memory and sensors over time, and the size of its standard error.

It does so some times a second beside the measurement, so a look opens nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchharness.device.measured import raw_rows
from benchharness.device.sensors.cgroup import Groups
from benchharness.device.sensors.memory import ResidentSize
from benchharness.device.sensors.meters import Meters
from benchharness.device.sensors.panel import Panel
from benchharness.device.sensors.process_limits import ProcessLimits
from benchharness.device.sensors.quota import StopsSince
from benchharness.records import SENSOR_READING, HeldRow, ReadingRow

#: How often to look. All sensors take twice the time of memory alone: looked at ten times a second they slowed a model
#: on all cores by 1.2 %. The verdicts on 360 courses were the same with a third of the looks.
EVERY_S = 0.1
EVERY_WITH_SENSORS_S = 0.25
#: Groups and limits are looked at with every look at sensors, and with every second or third one at memory alone.
_LIMITS_EVERY_NS = 200_000_000
#: The worker's standard error is cut to its last part when it grows beyond this.
_MOST_EVIDENCE_BYTES = 4 * 1024 * 1024
_EVIDENCE_TAIL_BYTES = 8 * 1024


class Watch:
    """One worker's watch. `timeline` holds rows of the raw table of that name, flat, since `started_ns`.

    With `sensors` every look reads the device's sensors, too, and what counts energy by a clock of its own (`meters`).
    Groups, quota and cores are looked at in any case, with the quota's stops, for the process may be moved.
    """

    def __init__(
        self, process: int, evidence: Path, started_ns: int, *, sensors: bool, meters: Meters | None = None
    ) -> None:
        self.every_s = EVERY_WITH_SENSORS_S if sensors else EVERY_S
        self._path = evidence
        self._evidence = evidence.open("ab", buffering=0)  # what it appends lands behind the kept tail
        self._started_ns = started_ns
        self._with_sensors = sensors
        self._meters = meters
        self._begin(process)
        self._limits = ProcessLimits(process)
        self._stops = StopsSince(str(process))
        self._limits_due_ns = 0
        self._look_at_limits(started_ns)

    def _begin(self, process: int) -> None:
        self.timeline: list[float] = []
        self._series: dict[str, list[float]] = {}
        self._panel = Panel(process) if self._with_sensors else None
        self._resident = ResidentSize(process)

    def follow(self, process: int) -> None:
        """Another process computes: what was seen of the first one is of no model.

        Its groups are still those of the first one, which started it.
        """
        self._resident.close()
        if self._panel is not None:
            self._panel.close()
        self._begin(process)

    def look(self) -> None:
        """Notes the resident memory, and keeps a chatty runtime from filling the disk."""
        resident = self._resident.read()
        if resident:
            self.timeline += HeldRow(moment=time.perf_counter_ns() - self._started_ns, resident=resident)
        if self._panel is not None:
            self._read(self._panel)
        if self._meters is not None:
            self._meters.look()
        if self._limits_due_ns <= time.perf_counter_ns():
            self._look_at_limits(time.perf_counter_ns())
        with contextlib.suppress(OSError):  # a full disk costs evidence, not the attempt
            if os.fstat(self._evidence.fileno()).st_size > _MOST_EVIDENCE_BYTES:
                tail = self.tail()
                self._evidence.truncate(0)
                self._evidence.write(tail.encode())

    def _look_at_limits(self, now_ns: int) -> None:
        self._limits.look(now_ns - self._started_ns)
        self._stops.look()
        self._limits_due_ns = now_ns + _LIMITS_EVERY_NS

    def _read(self, panel: Panel) -> None:
        # Counters go on while they are read: the moment between before and after is the least wrong one.
        before_ns = time.perf_counter_ns()
        readings = panel.look()
        moment_ns = (before_ns + time.perf_counter_ns()) // 2 - self._started_ns
        for channel, value in readings.items():
            self._series.setdefault(channel, []).extend(ReadingRow(moment=moment_ns, reading=value))

    def readings(self) -> Iterator[dict[str, Any]]:
        """What limited the process, and every channel's readings, as measurements."""
        yield from self._limits.rows()
        for channel, series in self._series.items():
            last = SENSOR_READING.by_name(series)["reading"][-1]
            yield raw_rows(SENSOR_READING, {"channel": channel}, last, series)
        for channel, counted in (self._meters.channels() if self._meters is not None else {}).items():
            flat = SENSOR_READING.flat(ReadingRow(*each) for each in counted)
            yield raw_rows(SENSOR_READING, {"channel": channel}, flat[-1], flat)

    def sensors(self) -> dict[str, Any]:
        """Which sensors were read and how, and which were not and why; empty where none was asked for."""
        if self._panel is None:
            return {}
        meters = {} if self._meters is None else self._meters.described()
        return {"sensors": {**self._panel.sensors(), **meters, "limits": self._limits.described()}}

    def times_throttled(self) -> Any:
        """How often a CPU quota has stopped the process's groups meanwhile; or why that is unknown."""
        self._stops.look()
        return self._stops.times()

    def groups(self, controller: str) -> Groups | None:
        """The groups that the process was in at the last look; None where that cannot be told."""
        return self._limits.groups(controller)

    def tail(self) -> str:
        """The end of the worker's standard error."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(max(0, self._path.stat().st_size - _EVIDENCE_TAIL_BYTES))
                return stream.read(_EVIDENCE_TAIL_BYTES).decode("utf-8", "backslashreplace")
        except OSError:
            return ""

    def close(self) -> None:
        """Ends looking; the timeline and the tail can still be read."""
        self._resident.close()
        self._evidence.close()
        if self._panel is not None:
            self._panel.close()
        if self._meters is not None:
            self._meters.close()
