"""What holds a process back, and since when: its groups, their CPU quota and memory limit, the cores it may use.

Systems move what goes to the background to another group, and set quotas and cores while a process works. So this is
looked at again and again, and every change of it is kept with its moment. Sources: proc_pid_status(5) and what
`cgroup` names. The cores are those of the process's main thread: the kernel's answer to affinity and cpuset together.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, Union

from benchharness.device.measured import raw_rows
from benchharness.device.sensors.cgroup import MEMORY_LIMIT, QUOTA, Groups, tightest_memory, tightest_quota
from benchharness.device.sensors.membership import GroupFiles, Membership
from benchharness.device.sensors.readings import ON_LINUX, ROOT, KeptFile, Unreadable, text_of
from benchharness.device.sensors.scheduling import PROCESS_OWNER
from benchharness.records import PROCESS_LIMITS

Fact = Union[str, int, float]
#: Facts about a process, sorted by name.
Facts = tuple[tuple[str, Fact], ...]

#: The controllers whose groups are told; in version 2 of cgroups one group has them all.
_CONTROLLERS = ("cpu", "cpuset", "memory")
#: By version: where a group tells which cores it leaves. Read where something changed: it takes 70 µs.
_CPUSET = {1: "cpuset.effective_cpus", 2: "cpuset.cpus.effective"}
_ALLOWED = b"\nCpus_allowed_list:"
#: A process that has ended and is not yet reaped: version 1 of cgroups shows it in the group at the top.
_ENDED = re.compile(rb"\nState:[ \t]*[ZX]")
_STATE_WITHIN = 200  # bytes
_CORES = re.compile(r"[0-9][0-9,-]{0,199}")
_LONGEST_PATH = 200
#: A group's limits may appear without a move, when a controller is enabled for it: files are looked for this often.
_ANEW_NS = 1_000_000_000
#: More changes than this are no longer kept.
_MOST_CHANGES = 200
_FAILURES = (Unreadable, OSError, ValueError, ArithmeticError, LookupError)


class ProcessLimits:
    """The limits on one process over time. Neither making it nor looking raises."""

    def __init__(self, process: int, root: Path = ROOT) -> None:
        self._moments: dict[Facts, list[int]] = {}
        self._facts: Facts = ()
        self._seen: tuple[Any, ...] = ()
        self._changes = self._looks = self._spent_ns = self._due_ns = 0
        self._reasons: dict[str, str] = {}
        self._membership: Membership | None = self._part("groups", lambda: _opened(Membership, str(process), root))
        self._status = self._part("cores", lambda: _opened(KeptFile, root / "proc" / str(process) / "status"))
        self._quota = _Limit("cpu", QUOTA)
        self._memory = _Limit("memory", {version: (name,) for version, name in MEMORY_LIMIT.items()})

    def look(self, moment_ns: int) -> bool:
        """Notes what holds at this moment; whether that is another than before."""
        began_ns = time.perf_counter_ns()
        seen = self._now(began_ns)
        changed = seen is not None and seen != self._seen and self._note(seen, moment_ns)
        self._looks += 1
        self._spent_ns += time.perf_counter_ns() - began_ns
        return changed

    def _now(self, now_ns: int) -> tuple[Any, ...] | None:
        """What files say, as they say it: mostly that is what they said before. None where the process has ended."""
        try:
            status = b"" if self._status is None else self._status.read()
        except Unreadable as error:
            if isinstance(error.__cause__, ProcessLookupError):
                return None
            status = b""
        if _ENDED.search(status, 0, _STATE_WITHIN):
            return None
        membership = self._membership
        if membership is None:
            return _allowed(status), None, None, None
        if membership.moved() or self._due_ns <= now_ns:
            self._due_ns = now_ns + _ANEW_NS
            for limit in (self._quota, self._memory):
                limit.follow(membership)
        return _allowed(status), membership.text, self._quota.lines(membership), self._memory.lines(membership)

    def _note(self, seen: tuple[Any, ...], moment_ns: int) -> bool:
        """Whether what files say otherwise than before means another thing."""
        self._seen = seen
        allowed, _, quota, memory = seen
        read: dict[str, tuple[str, Callable[[], Fact]]] = {"cores": ("cores", lambda: _cores(allowed))}
        if self._membership is not None:
            read["quota_cores"] = ("quota", lambda: _quota_cores(_told_by(quota)))
            read["memory_bytes"] = ("memory limit", lambda: tightest_memory(_told_by(memory)))
            read["cpuset_cores"] = ("cpuset", self._cpuset)
        found = {key: self._part(name, reader) for key, (name, reader) in read.items()}
        facts = tuple(sorted((key, fact) for key, fact in {**found, **self._paths()}.items() if fact is not None))
        if not facts or facts == self._facts:
            return False
        self._facts = facts
        self._changes += 1
        if self._changes <= _MOST_CHANGES:
            self._moments.setdefault(facts, []).append(moment_ns)
        return True

    def _part(self, name: str, read: Callable[[], Any]) -> Any:
        """One fact; None, and the reason is kept, where it cannot be read this time."""
        try:
            fact = read()
        except _FAILURES as error:
            self._reasons.setdefault(name, str(error)[:200] or type(error).__name__)
            return None
        self._reasons.pop(name, None)
        return fact

    def _paths(self) -> dict[str, Fact]:
        if self._membership is None:
            return {}
        paths = {f"{name}_group": self._membership.path(name)[-_LONGEST_PATH:] for name in _CONTROLLERS}
        return {key: path for key, path in paths.items() if path}

    def _cpuset(self) -> str:
        assert self._membership is not None
        groups = self._membership.groups("cpuset")
        names = (folder / _CPUSET[groups.version] for folder in groups.folders)
        return _cores(next((text_of(path) for path in names if path.exists()), ""))

    def groups(self, controller: str) -> Groups | None:
        """The groups with a controller that it was in at the last look; None where that cannot be told."""
        try:
            return self._membership.groups(controller) if self._membership else None
        except _FAILURES:
            return None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Everything that has held, each with the moments from which on it did, as measurements."""
        for facts, moments in self._moments.items():
            yield raw_rows(PROCESS_LIMITS, dict(facts), moments[-1], moments)

    def described(self) -> dict[str, Any]:
        """As the sensors on a panel are described."""
        if not self._facts:
            return {"found": False, "reason": "; ".join(dict.fromkeys(self._reasons.values())) or "never looked at"}
        left_out = dict(self._reasons)
        if self._changes > _MOST_CHANGES:
            left_out["later changes"] = f"{self._changes} were seen, and the first {_MOST_CHANGES} are kept"
        return {
            "found": True,
            "source": "/proc/PID/cgroup, /proc/PID/status, and the limits of the groups that the process is in",
            "unit": "what holds, and since when",
            "resolution": "a look; cores are the main thread's",
            "permission": PROCESS_OWNER,
            "cost_us": round(self._spent_ns / max(1, self._looks) / 1000, 1),
            "period_s": 0.0,
            "left_out": left_out,
        }


class _Limit:
    """The files in which a process's groups tell one limit."""

    def __init__(self, controller: str, names: Mapping[int, tuple[str, ...]]) -> None:
        self._controller = controller
        self._names = names
        self._files = GroupFiles()
        self._together = 1
        self._missing = ""

    def follow(self, membership: Membership) -> None:
        """Opens those of the groups that it is in now."""
        try:
            groups = membership.groups(self._controller)
            names = self._names[groups.version]
            told = [folder for folder in groups.folders if all((folder / name).exists() for name in names)]
            self._files.follow(folder / name for folder in told for name in names)
            self._together, self._missing = len(names), ""
        except _FAILURES as error:
            self._files.follow(())
            self._missing = str(error) or type(error).__name__

    def lines(self, membership: Membership) -> Sequence[bytes] | str:
        """What each group says, of version 1's quotas both files in a line; else why that cannot be read."""
        for again in (False, True):
            if again:  # a group was removed, and there may be another of its name
                self.follow(membership)
            if self._missing:
                return self._missing
            try:
                texts = list(self._files.read().values())
            except Unreadable as error:
                missing = str(error)
            else:
                return [b" ".join(texts[at : at + self._together]) for at in range(0, len(texts), self._together)]
        return missing


def _opened(make: Callable[..., Any], *arguments: Any) -> Any:
    if not ON_LINUX:
        raise Unreadable("read on Linux only so far")
    return make(*arguments)


def _told_by(lines: Sequence[bytes] | str) -> Iterator[str]:
    """Raises `Unreadable` where a reason stands for the lines."""
    if isinstance(lines, str):
        raise Unreadable(lines)
    return (line.decode("ascii", "replace").strip() for line in lines)


def _quota_cores(lines: Iterable[str]) -> Fact:
    quota = tightest_quota(lines)
    return quota if isinstance(quota, str) else round(quota[0] / quota[1], 4)


def _allowed(status: bytes) -> bytes:
    """The list of cores, out of /proc/PID/status; empty where it says none."""
    return status.partition(_ALLOWED)[2].partition(b"\n")[0]


def _cores(told: bytes | str) -> str:
    text = (told.decode("ascii", "replace") if isinstance(told, bytes) else told).strip()
    if not _CORES.fullmatch(text):
        raise Unreadable(f"no list of cores but {text[:40]!r}")
    return text
