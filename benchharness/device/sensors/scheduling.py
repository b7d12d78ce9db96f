"""How long a process's threads ran and waited for a core, and how often they were switched and moved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from benchharness.device.sensors.readings import ROOT, KeptFile, KeptFolder, Unreadable, text_of
from benchharness.device.sensors.sensor import Sensor

__all__ = [
    "PROCESS_OWNER",
    "ThreadCounters",
    "find_switches",
    "find_waiting",
    "waited_and_ran_ns",
    "watched",
]

#: Who may read what /proc tells about a process.
PROCESS_OWNER = "any user, unless /proc hides other users' processes"
_SWITCHES = {
    "voluntary_switches": (b"nr_voluntary_switches", b"voluntary_ctxt_switches"),
    "involuntary_switches": (b"nr_involuntary_switches", b"nonvoluntary_ctxt_switches"),
    "migrations": (b"se.nr_migrations",),
}
_COUNTS = re.compile(rb"^([\w.]+)\s*:\s*(\d+)\s*$", re.MULTILINE)


def waited_and_ran_ns(root: Path = ROOT, process: int | None = None) -> tuple[int, int]:
    """(time runnable but waiting, time on a core) of all living threads, in ns, since each began.

    Of this process, or another by its id: from /proc/PID/task/*/schedstat (Documentation/scheduler/sched-stats.rst).
    Raises `Unreadable`.
    """
    waited = ran = 0
    try:
        for file in (root / f"proc/{process or 'self'}/task").glob("*/schedstat"):
            on_core, waiting, _ = file.read_text().split()
            ran += int(on_core)
            waited += int(waiting)
    except (OSError, ValueError) as error:
        raise Unreadable(f"schedstat cannot be read: {error}") from error
    if not ran:
        raise Unreadable("this kernel keeps no schedstat")
    return waited, ran


class ThreadCounters:
    """Counters of all threads of a process, added up; those of a thread that has ended stay in the sum.

    A thread's file stays open for as long as it lives, so a look costs one call a thread, and a new thread that gets
    an old one's number is not taken for it. What a thread did between the last look at it and its end is lost, and so
    is one that came and went between two looks: the sums are a little too small, and never fall.
    """

    def __init__(self, process: int, name: str, root: Path = ROOT) -> None:
        self._tasks = root / "proc" / str(process) / "task"
        self._list = KeptFolder(self._tasks)
        self._name = name
        self._living: dict[str, tuple[KeptFile, Mapping[str, int]]] = {}
        self._ended: dict[str, int] = {}

    def read(self) -> Mapping[str, int]:
        """The sums by counter. Raises `Unreadable` when the process is gone."""
        threads = self._list.names()
        if not threads:
            raise Unreadable("the process has ended")
        for thread in self._living.keys() - threads:
            self._bury(thread)
        for thread in threads:
            self._look_at(thread)
        sums = dict(self._ended)
        for _, counters in self._living.values():
            for name, count in counters.items():
                sums[name] = sums.get(name, 0) + count
        return sums

    def _look_at(self, thread: str) -> None:
        if thread not in self._living:
            try:
                self._living[thread] = (KeptFile(self._tasks / thread / self._name), {})
            except Unreadable as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    return  # it has ended since it was listed
                raise  # such as too many open files: a sum without it would be too small
        file, _ = self._living[thread]
        try:
            self._living[thread] = (file, self._parsed(file.read()))
        except Unreadable as error:
            if isinstance(error.__cause__, ProcessLookupError):
                self._bury(thread)  # another thread may have its number by the next look
            elif not self._living[thread][1]:
                raise

    def _bury(self, thread: str) -> None:
        file, counters = self._living.pop(thread)
        file.close()
        for name, count in counters.items():
            self._ended[name] = self._ended.get(name, 0) + count

    def _parsed(self, text: bytes) -> Mapping[str, int]:
        if self._name == "schedstat":
            return schedstat(text)
        return switches(text)


def schedstat(text: bytes) -> Mapping[str, int]:
    """`ran_ns` and `waited_ns` of a thread, and `times_run`: how often it was put on a core. Raises `Unreadable`."""
    words = text.split()
    if len(words) != 3 or not all(word.isdigit() and len(word) <= 20 for word in words):
        raise Unreadable(f"schedstat says {text[:40]!r}")
    return {"ran_ns": int(words[0]), "waited_ns": int(words[1]), "times_run": int(words[2])}


def switches(text: bytes) -> Mapping[str, int]:
    """Context switches, and migrations where they are counted, from a thread's `sched` or `status`."""
    counted = dict(_COUNTS.findall(text))
    found = {}
    for channel, names in _SWITCHES.items():
        for name in names:
            if name in counted:
                found[channel] = int(counted[name])
                break
    if not found:
        raise Unreadable("no context switches are counted")
    return found


def find_waiting(process: int | None, root: Path = ROOT) -> Sensor:
    """`ran_ns`, `waited_ns` and `times_run` of all threads of the process."""
    counters = ThreadCounters(watched(process), "schedstat", root)
    if not any(counters.read().values()):
        raise Unreadable("schedstat counts nothing: this kernel was built without scheduler statistics")
    return Sensor(
        source=f"/proc/{process}/task/*/schedstat",
        unit="ns, summed over threads; times",
        resolution="1 ns",
        permission=PROCESS_OWNER,
        read=counters.read,
    )


def find_switches(process: int | None, root: Path = ROOT) -> Sensor:
    """`voluntary_switches`, `involuntary_switches` and, where the kernel counts them, `migrations` between cores."""
    own = root / "proc" / str(watched(process)) / "task" / str(process)
    name = next((each for each in ("sched", "status") if _counts_switches(own / each)), None)
    if name is None:
        raise Unreadable("neither /proc/PID/task/TID/sched nor status counts context switches")
    counters = ThreadCounters(watched(process), name, root)
    return Sensor(
        source=f"/proc/{process}/task/*/{name}",
        unit="times, summed over threads",
        resolution="1",
        permission=PROCESS_OWNER,
        read=counters.read,
        period_s=1.0,  # the kernel writes fifty lines for it
        left_out={} if name == "sched" else {"migrations": "this kernel has no /proc/PID/task/TID/sched"},
    )


def _counts_switches(path: Path) -> bool:
    try:
        return bool(switches(text_of(path).encode()))
    except Unreadable:
        return False


def watched(process: int | None) -> int:
    """The process, where there is one. Raises `Unreadable`."""
    if process is None:
        raise Unreadable("no process is watched")
    return process
