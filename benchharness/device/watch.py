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
from benchharness.device.sensors.memory import ResidentSize
from benchharness.device.sensors.panel import Panel
from benchharness.records import SENSOR_READING, HeldRow, ReadingRow

#: How often to look. All sensors take twice the time of memory alone: looked at ten times a second they slowed a model
#: on all cores by 1.2 %. The verdicts on 360 courses were the same with a third of the looks.
EVERY_S = 0.1
EVERY_WITH_SENSORS_S = 0.25
#: The worker's standard error is cut to its last part when it grows beyond this.
_MOST_EVIDENCE_BYTES = 4 * 1024 * 1024
_EVIDENCE_TAIL_BYTES = 8 * 1024


class Watch:
    """One worker's watch. `timeline` holds rows of the raw table of that name, flat, since `started_ns`.

    With `sensors` every look reads the device's sensors, too.
    """

    def __init__(self, process: int, evidence: Path, started_ns: int, *, sensors: bool) -> None:
        self.timeline: list[float] = []
        self._panel = Panel(process) if sensors else None
        self.every_s = EVERY_WITH_SENSORS_S if sensors else EVERY_S
        self._series: dict[str, list[float]] = {}
        self._resident = ResidentSize(process)
        self._path = evidence
        self._evidence = evidence.open("ab", buffering=0)  # what it appends lands behind the kept tail
        self._started_ns = started_ns

    def look(self) -> None:
        """Notes the resident memory, and keeps a chatty runtime from filling the disk."""
        resident = self._resident.read()
        if resident:
            self.timeline += HeldRow(moment=time.perf_counter_ns() - self._started_ns, resident=resident)
        if self._panel is not None:
            self._read(self._panel)
        with contextlib.suppress(OSError):  # a full disk costs evidence, not the attempt
            if os.fstat(self._evidence.fileno()).st_size > _MOST_EVIDENCE_BYTES:
                tail = self.tail()
                self._evidence.truncate(0)
                self._evidence.write(tail.encode())

    def _read(self, panel: Panel) -> None:
        # Counters go on while they are read: the moment between before and after is the least wrong one.
        before_ns = time.perf_counter_ns()
        readings = panel.look()
        moment_ns = (before_ns + time.perf_counter_ns()) // 2 - self._started_ns
        for channel, value in readings.items():
            self._series.setdefault(channel, []).extend(ReadingRow(moment=moment_ns, reading=value))

    def readings(self) -> Iterator[dict[str, Any]]:
        """Every channel's readings, as measurements."""
        for channel, series in self._series.items():
            last = SENSOR_READING.by_name(series)["reading"][-1]
            yield raw_rows(SENSOR_READING, {"channel": channel}, last, series)

    def sensors(self) -> dict[str, Any]:
        """Which sensors were read and how, and which were not and why; empty where none was asked for."""
        return {} if self._panel is None else {"sensors": self._panel.sensors()}

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
