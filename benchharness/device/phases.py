"""The phases of an attempt: when each ended, and what memory it needed. Reading memory is taken out of the times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchharness.device.measured import measurement
from benchharness.device.sensors import memory
from benchharness.device.sensors.readings import Unreadable, unknown
from benchharness.device.sensors.scheduling import waited_and_ran_ns

#: The phases that together are the cold start, in order.
COLD_START = ("start", "import", "load", "first_request")
#: What begins and ends with a phase's end: the time in which a warm model is measured, as the supervisor's stamps go.
_BOUNDS = {"load": "measured_from_ns", "measure": "measured_until_ns"}
_NUMPYS = frozenset(("numpy", "numpy.libs"))


class Phases:
    """Contiguous phases since the worker was spawned.

    `end` stamps a phase and then reads memory (about 2 ms). All later stamps are moved back by what that took, so the
    phases add up to the time that the attempt would have taken without being watched.
    """

    def __init__(self, spawned_ns: int) -> None:
        self.spawned_ns = spawned_ns
        self._ends: dict[str, int] = {}
        self._watching_ns = 0
        self._measured_ns: dict[str, float] = {}
        self._peaks: dict[str, int] = {}
        self._settled: dict[str, dict[str, int]] = {}
        self._highest = 0
        self._highest_of_model = 0  # without what the harness holds for itself
        self._own_bytes = 0
        self._unknown: dict[str, str] = {}
        self._library_bytes = 0
        self._mapped: list[str] = []
        self._waiting: Any = unknown("a thread ended while it was measured")
        self._libraries = memory.mapped_libraries()
        self._process: int | None = None  # another one, where that computes
        self._elsewhere = ""  # which, in words
        self._own_peak = True  # the first phase's peak is the process's so far
        self._waited_and_ran: tuple[int, int] | None = None
        self.end("start")

    def computed_by(self, process: int | None, told: str) -> None:
        """From now on, and for what was, memory and waiting are those of another process.

        `told` says which it is, or where its id is not known here why that is so.
        """
        self._process, self._elsewhere = process, told
        self._peaks.clear()
        self._settled.clear()
        self._unknown.clear()
        self._highest = self._highest_of_model = self._own_bytes = 0
        self._own_peak = True  # what it has used since it began is for its model
        reason = f"memory is that of {told}, which began with the load" if process else told
        self._unknown["before the model"] = reason

    def end(self, phase: str, at_ns: int | None = None) -> None:
        """The phase ended now, or at a stamp of `time.perf_counter_ns` taken just before."""
        began_ns = time.perf_counter_ns()
        self._ends[phase] = (began_ns if at_ns is None else at_ns) - self._watching_ns
        if phase in _BOUNDS:
            self._measured_ns[_BOUNDS[phase]] = float(began_ns - self.spawned_ns)
        self._read_memory(phase)
        self._read_scheduling(phase)
        self._watching_ns += time.perf_counter_ns() - began_ns

    def _read_memory(self, phase: str) -> None:
        if self._elsewhere and self._process is None:
            return
        reading = memory.read(self._process)
        self._unknown.update(reading.unknown)
        self._settled[phase] = dict(reading.settled)
        if reading.peak is not None:
            self._highest = max(self._highest, reading.peak)
            self._highest_of_model = max(self._highest_of_model, reading.peak - self._own_bytes)
            if self._own_peak:
                self._peaks[phase] = reading.peak
            else:
                self._unknown["phase peaks"] = "this system keeps one peak for the whole process"
        self._own_peak = memory.reset_peak(self._process)

    def _read_scheduling(self, phase: str) -> None:
        """Between the end of the load and the end of the measuring: how much of its time the process had to wait."""
        if phase not in {"load", "measure"}:
            return
        if self._elsewhere and self._process is None:
            self._waiting = unknown(self._elsewhere)
            return
        try:
            waited_ns, ran_ns = waited_and_ran_ns(process=self._process)
        except Unreadable as error:
            self._waiting = unknown(str(error))
            return
        if phase == "load":
            self._waited_and_ran = (waited_ns, ran_ns)
        elif self._waited_and_ran is not None:
            waited_ns, ran_ns = waited_ns - self._waited_and_ran[0], ran_ns - self._waited_and_ran[1]
            if waited_ns >= 0 and ran_ns > 0:
                self._waiting = waited_ns / (waited_ns + ran_ns)

    def cold_start(self, metric: str) -> list[dict[str, Any]]:
        """The cold start as a whole and by phase, in ns; the phases add up to the whole exactly."""
        measurements, previous_ns = [], self.spawned_ns
        for phase in COLD_START:
            measurements.append(measurement("cold_start_phase", {"phase": phase}, self._ends[phase] - previous_ns))
            previous_ns = self._ends[phase]
        return [measurement(metric, {}, previous_ns - self.spawned_ns), *measurements]

    def memory(self) -> list[dict[str, Any]]:
        """Peak and settled memory by phase, in bytes, absolute and above what was there before the model."""
        found = [measurement("phase_peak_memory", {"phase": phase}, peak) for phase, peak in self._peaks.items()]
        found += [
            measurement("settled_memory", {"phase": phase, "kind": kind}, held)
            for phase, kinds in self._settled.items()
            for kind, held in kinds.items()
            if held > 0
        ]
        resident = {phase: kinds["rss"] for phase, kinds in self._settled.items() if "rss" in kinds}
        added = {"peak_memory": self._highest}
        if not self._elsewhere:
            added["runtime_libraries"] = self._library_bytes
        if {"start", "import"} <= set(resident):
            added["model_memory"] = self._highest_of_model - resident["import"]
            added["runtime_memory"] = resident["import"] - resident["start"]
        return found + [measurement(metric, {}, value) for metric, value in added.items() if value > 0]

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Around what the harness does for itself between two phases: it belongs to neither."""
        began_ns = time.perf_counter_ns()
        yield
        self._watching_ns += time.perf_counter_ns() - began_ns

    @contextmanager
    def for_itself(self) -> Iterator[None]:
        """Around what the harness makes and keeps for itself once the model is loaded: its memory is no model's, too.

        What a model is fed is such, and what numpy loads to invent it: another 7 MiB with numpy 2, none with 1.26.
        """
        with self.unwatched():
            before = memory.read().settled.get("rss", 0) if self._process is None else 0
            yield
            if before:
                self._own_bytes += max(0, memory.read().settled.get("rss", 0) - before)

    def note_libraries(self) -> None:
        """Adds up the shared libraries mapped since the start; numpy's are the harness's own."""
        mapped = memory.mapped_libraries()
        self._mapped = sorted(map(str, mapped))
        added = mapped - self._libraries
        self._library_bytes = sum(_size(path) for path in added if not _NUMPYS.intersection(path.parts))

    def facts(self) -> dict[str, Any]:
        """What could not be read and why, how long reading took (in no phase), and the share of time spent waiting."""
        return {
            "memory_unknown": dict(self._unknown),
            "watching_ns": self._watching_ns,
            "waiting_share": self._waiting,
            "libraries": self._mapped,
            **self._measured_ns,
        }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # deleted while it was mapped
        return 0
