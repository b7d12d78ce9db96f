"""Real conditions for sustained sessions: a CPU quota, a hog on a core, memory traffic, a core that is slower.

A condition is a lever: `apply` sets its level while a worker works, `release` takes it back, and `told` says whether it
really happened. Nothing of it outlives this process for longer than until the next start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil

from benchharness.device import hogs
from benchharness.device.processes.groups import group_name, processes_in, remove, remove_stale
from benchharness.device.sensors.cgroup import groups_of
from benchharness.device.sensors.quota import parse_counts
from benchharness.device.sensors.readings import Unreadable
from benchharness.device.sensors.steal import core_ticks
from benchharness.errors import UsageError
from benchharness.launch.local import LocalLauncher
from benchharness.launch.pipes import PipeConnection
from benchmarks.course_plan import (
    CONTENTION,
    MEMORY_BANDWIDTH,
    MOVED,
    OFF,
    ONE_CORE,
    QUOTA,
    SLOW_5,
    SLOW_15,
    UNDISTURBED,
    Planned,
)
from benchmarks.dilated.dilated_onnx import ADDED, SHARE, SIZE, WORKED, shared_numbers

Told = dict[str, Any]

_PERIOD_US = 100_000
_NO_QUOTA = -1
#: What a task weighs that stands in no group: a group that weighs so much for each thread competes as if it were none.
_WEIGHT = 1024
#: A condition took hold where the quota stopped the session so often, and so on.
_STOPS = 3
_HOG_SHARE = 0.2
_DILATION_WITHIN = 0.2


class Group:
    """A control group of version 1 for the supervisor and its workers, without a quota until one is set."""

    def __init__(self, number: int = 1) -> None:
        """Makes it, and removes those of benchmarks that were killed. Raises `UsageError` where it cannot."""
        remove_stale()
        try:
            groups = groups_of("cpu")
            if groups.version != 1:
                raise UsageError("quotas are set by cgroup version 1 here, and this system has version 2")
            self._outside = groups.folders[0]
            self.folder = self._outside / group_name("sessions", number)
            self.folder.mkdir()
        except (OSError, Unreadable) as error:
            raise UsageError(f"no control group can be made for the quotas: {error}") from error

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This process is in the group meanwhile, and so is whatever it starts."""
        try:
            _move(os.getpid(), self.folder)
            yield
        finally:
            _move(os.getpid(), self._outside)

    def limit(self, cores: float | None, threads: int) -> None:
        """CPU time of so many cores from now on, None for all of it; `threads` is how much the group weighs."""
        quota = _NO_QUOTA if cores is None else round(cores * _PERIOD_US)
        (self.folder / "cpu.cfs_quota_us").write_text(str(quota))
        (self.folder / "cpu.shares").write_text(str(_WEIGHT * threads))

    def stops(self) -> int:
        """How often its quota has stopped it."""
        return parse_counts((self.folder / "cpu.stat").read_bytes())["nr_throttled"]

    def worker(self) -> psutil.Process:
        """The worker: of the processes in the group the one whose parent is in it, too. Raises `ProcessLookupError`."""
        inside = set(processes_in(self.folder))
        for process in inside:
            with contextlib.suppress(psutil.NoSuchProcess):
                found = psutil.Process(process)
                if found.ppid() in inside:
                    return found
        raise ProcessLookupError("no worker is in the group")

    def remove(self) -> None:
        """Ends what runs in it."""
        remove(self.folder)


def _move(process: int, folder: Path) -> None:
    (folder / "cgroup.procs").write_text(str(process))


class GroupLauncher(LocalLauncher):
    """Starts supervisors inside a group, so that their workers are in it, too."""

    def __init__(self, state: Path, group: Group) -> None:
        super().__init__(state)
        self._group = group

    def start(self, work: str, bundle: str) -> PipeConnection:
        """Starts the supervisor in the group."""
        with self._group.inside():
            return super().start(work, bundle)


class Lever(Protocol):
    """One condition."""

    def prepare(self, planned: Planned) -> None:
        """Before the session starts."""
        ...

    def apply(self, level: float) -> None:
        """While the worker works; level 0 is off."""
        ...

    def release(self) -> None:
        """Takes the condition back. Safe to call twice."""
        ...

    def told(self, lasted_s: float) -> Told:
        """Figures that show what happened over so many seconds, and `took_hold`."""
        ...


class Nothing:
    """The condition of undisturbed sessions."""

    def prepare(self, planned: Planned) -> None:
        """Nothing to do."""

    def apply(self, level: float) -> None:
        """Nothing to do."""

    def release(self) -> None:
        """Nothing to do."""

    def told(self, lasted_s: float) -> Told:
        """It always holds."""
        return {"took_hold": True}


class QuotaLever:
    """A quota on the session's group; the level is a share of the time of as many cores as it has threads."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._threads = 1
        self._stops = 0

    def prepare(self, planned: Planned) -> None:
        """Notes the count of stops."""
        self._threads = planned.threads
        self._stops = self._group.stops()

    def apply(self, level: float) -> None:
        """Sets the quota."""
        self._group.limit(level * self._threads if level != OFF else None, self._threads)

    def release(self) -> None:
        """No quota."""
        self._group.limit(None, self._threads)

    def told(self, lasted_s: float) -> Told:
        """How often it stopped the session."""
        stops = self._group.stops() - self._stops
        return {"took_hold": stops >= _STOPS, "stops": stops}


class MoveLever:
    """Moves the worker to another group, which has a quota; the level is the same share."""

    def __init__(self, group: Group, limited: Group) -> None:
        self._group = group
        self._limited = limited
        self._threads = 1
        self._stops = 0

    def prepare(self, planned: Planned) -> None:
        """Notes the count of stops."""
        self._threads = planned.threads
        self._stops = self._limited.stops()

    def apply(self, level: float) -> None:
        """Sets the other group's quota and moves the worker."""
        self._limited.limit(level * self._threads, self._threads)
        _move(self._group.worker().pid, self._limited.folder)

    def release(self) -> None:
        """No quota; the worker ends where it is."""
        self._limited.limit(None, self._threads)

    def told(self, lasted_s: float) -> Told:
        """How often the other group's quota stopped the session."""
        stops = self._limited.stops() - self._stops
        return {"took_hold": stops >= _STOPS, "stops": stops}


class OneCoreLever:
    """Leaves the worker one core of those that it had."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._core = 0
        self._held: list[int] = []

    def prepare(self, planned: Planned) -> None:
        """Which core."""
        self._core, self._held = _cores()[planned.core], []

    def apply(self, level: float) -> None:
        """Holds all its threads there."""
        worker = self._group.worker()
        _hold(worker, {self._core})
        self._held = worker.cpu_affinity() or []

    def release(self) -> None:
        """Nothing to do: the worker ends with its session."""

    def told(self, lasted_s: float) -> Told:
        """Where it was held."""
        return {"took_hold": self._held == [self._core], "core": self._core}


class HogLever:
    """A process that loads one core, or memory. It waits, stopped, until it is wanted.

    The session is held to as many cores as it has threads, the hog's among them where it is to contend for it, and not
    among them where there are enough others: the scheduler would move one of the two.
    """

    def __init__(self, group: Group, hog: hogs.Hog, *, contends: bool) -> None:
        assert hog.process is not None
        self._group = group
        self._contends = contends
        self._hog = psutil.Process(hog.process)
        self._hog.suspend()
        self._planned: Planned | None = None
        self._before_s = 0.0

    def prepare(self, planned: Planned) -> None:
        """Puts the hog on its core, still stopped."""
        self._planned = planned
        self._hog.cpu_affinity([_cores()[planned.core]])
        self._before_s = self._cpu_s()

    def apply(self, level: float) -> None:
        """Holds the worker where it belongs and lets the hog go."""
        assert self._planned is not None
        cores = _cores()
        first = self._planned.core if self._contends else self._planned.core + 1
        _hold(self._group.worker(), {cores[(first + at) % len(cores)] for at in range(self._planned.threads)})
        self._hog.resume()

    def release(self) -> None:
        """Stops the hog; the worker's place ends with it."""
        self._hog.suspend()

    def told(self, lasted_s: float) -> Told:
        """The hog's CPU time, as a share of the time."""
        share = (self._cpu_s() - self._before_s) / lasted_s if lasted_s > 0 else 0.0
        return {"took_hold": share >= _HOG_SHARE, "hog_share": round(share, 3)}

    def _cpu_s(self) -> float:
        times = self._hog.cpu_times()
        return float(times.user + times.system)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _hold(process: psutil.Process, cores: set[int]) -> None:
    """Keeps all threads of a process on some cores."""
    for thread in process.threads():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread.id, cores)


class DilationLever:
    """Makes the steps of a session in adapter `dilated-onnx` longer by a share of their own CPU time."""

    def __init__(self, numbers: memoryview[float]) -> None:
        self._numbers = numbers
        self._share = 0.0

    def prepare(self, planned: Planned) -> None:
        """No dilation yet."""
        for place in (SHARE, WORKED, ADDED):
            self._numbers[place] = 0.0

    def apply(self, level: float) -> None:
        """From the next step on."""
        self._share = level
        self._numbers[SHARE] = level

    def release(self) -> None:
        """No dilation."""
        self._numbers[SHARE] = 0.0

    def told(self, lasted_s: float) -> Told:
        """What was added to the steps' CPU time, as a share of it."""
        worked = self._numbers[WORKED]
        share = self._numbers[ADDED] / worked if worked else 0.0
        held = bool(worked) and abs(share / self._share - 1) <= _DILATION_WITHIN
        return {"took_hold": held, "dilation": round(share, 4)}


class Conditions:
    """All conditions, ready: hogs started and stopped, the group made. A context manager."""

    def __init__(self, dilation: Path) -> None:
        self._dilation = dilation
        self._stack = ExitStack()
        self._levers: dict[str, Lever] = {}

    def __enter__(self) -> Conditions:
        """Raises `UsageError` where a condition cannot be made."""
        with ExitStack() as stack:
            self.group = Group()
            stack.callback(self.group.remove)
            limited = Group(2)
            stack.callback(limited.remove)
            self._dilation.write_bytes(bytes(SIZE))
            numbers = stack.enter_context(shared_numbers(self._dilation))
            busy = stack.enter_context(hogs.Hog(hogs.BUSY_CORE))
            streaming = stack.enter_context(hogs.Hog(hogs.MEMORY_BANDWIDTH))
            self.memory_hog = streaming.says
            dilation = DilationLever(numbers)
            self._levers = {
                UNDISTURBED: Nothing(),
                QUOTA: QuotaLever(self.group),
                MOVED: MoveLever(self.group, limited),
                ONE_CORE: OneCoreLever(self.group),
                CONTENTION: HogLever(self.group, busy, contends=True),
                MEMORY_BANDWIDTH: HogLever(self.group, streaming, contends=False),
                SLOW_5: dilation,
                SLOW_15: dilation,
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the hogs and removes the group."""
        self._stack.close()

    def injection(self, planned: Planned, levels: Sequence[tuple[float, float]]) -> Injection:
        """The condition of one session, prepared."""
        self.group.limit(None, planned.threads)
        lever = self._levers[planned.name]
        lever.prepare(planned)
        return Injection(lever, planned, levels)


class Injection:
    """One session's condition: `progress` hears of the session's start, `end` takes everything back."""

    def __init__(self, lever: Lever, planned: Planned, levels: Sequence[tuple[float, float]]) -> None:
        self._lever = lever
        self._moments = [(planned.begins_s + after_s, level) for after_s, level in levels]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._started_s = 0.0
        self._applied: list[tuple[float, float]] = []
        self._failure = ""
        self._ticks = core_ticks()

    def progress(self, phase: str, done: int, total: int) -> None:
        """The session's first request begins with its first word of progress."""
        if phase.startswith("session") and not self._started_s:
            self._started_s = time.monotonic()
            self._ticks = core_ticks()
            self._thread.start()

    def _follow(self) -> None:
        try:
            for moment_s, level in self._moments:
                if self._over.wait(max(0.0, self._started_s + moment_s - time.monotonic())):
                    return
                self._lever.apply(level)
                self._applied.append((round(time.monotonic() - self._started_s, 3), level))
        except (OSError, psutil.Error) as error:
            self._failure = f"{type(error).__name__}: {error}"

    def end(self) -> Told:
        """What was done when (seconds since the first request), whether it took hold, how busy all cores were."""
        self._over.set()
        if self._started_s:
            self._thread.join()
        self._lever.release()
        now_s = time.monotonic()
        since_s = self._started_s + self._applied[0][0] if self._applied else now_s
        told = {**self._lever.told(now_s - since_s), "applied": self._applied}
        if self._failure:
            told.update(took_hold=False, failure=self._failure)
        after = core_ticks()
        busy = after.wanted - self._ticks.wanted - (after.stolen - self._ticks.stolen)
        lasted_s = now_s - self._started_s
        told["busy_cores"] = round(busy / os.sysconf("SC_CLK_TCK") / lasted_s, 3)
        return told


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """A polite end by signal ends like Ctrl-C, so that everything is taken back."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def adapters_visible(folder: Path) -> Iterator[None]:
    """Third-party adapters in a folder are to be found, by this process and by those that it starts."""
    before: Mapping[str, str] = dict(os.environ)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before.get("PYTHONPATH"))))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if "PYTHONPATH" in before:
            os.environ["PYTHONPATH"] = before["PYTHONPATH"]
        else:
            del os.environ["PYTHONPATH"]
