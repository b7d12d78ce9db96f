"""Ways to limit a trial: control groups of both versions, systemd's scopes, and the address space where there are none.

A `Way` encloses one trial at a time. `best` finds the one that counts memory most truly, and says why others cannot be.
Sources: the kernel's cgroup-v1/memory.rst, cgroup-v2.rst and scheduler/sched-bwc.rst, systemd.resource-control(5),
setrlimit(2).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchharness.device.processes.groups import group_name, processes_in, remove
from benchharness.device.sensors.cgroup import groups_of
from benchharness.device.sensors.readings import ON_LINUX, ROOT, Unreadable, text_of, text_or_nothing

MEMORY_FLOOR = "memory floor"
ADDRESS_SPACE_FLOOR = "address-space floor"
_PERIOD_US = 100_000
#: The kernel takes no quota below 1 ms.
_LEAST_QUOTA_US = 1000
_PATIENCE_S = 10


class NotApplied(Exception):
    """A limit cannot be set here; the message is the reason."""


class Enclosure:
    """What one trial runs in: nothing, unless a way says otherwise. `close` ends everything in it."""

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that starts the trial."""
        return list(command)

    def enter(self) -> None:
        """Called in the child, before it becomes the trial."""

    def look(self, process: int) -> None:
        """Called now and then while the trial runs."""

    def processes(self) -> list[int]:
        """What runs in it; empty where that cannot be told."""
        return []

    def kills(self) -> int:
        """How many processes the kernel has killed because the limit was reached."""
        return 0

    def peak_bytes(self, told: Mapping[str, float]) -> float:
        """The most memory that the limit counts, 0 where that is not known. `told`: what the trial read of itself."""
        return told.get("peak_memory", 0)

    def close(self) -> None:
        """Removes it, and everything that still runs in it."""


class Way:
    """How trials are limited on this device. `by` names it, `swap` says whether a trial can swap."""

    by = "no limit"
    floor_name = MEMORY_FLOOR
    swap = ""
    counts = "resident memory as the trial itself reads it"

    def enclose(self, attempt: str, *, memory_bytes: int | None = None, cores: float | None = None) -> Enclosure:
        """An enclosure with a memory limit, and CPU time of so many cores. Raises `NotApplied`."""
        if memory_bytes is not None or cores is not None:
            raise NotApplied("nothing here can limit a process")
        return Enclosure()


class _Group(Enclosure):
    """Control groups: one in version 2, in version 1 one for each controller."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._folders: dict[str, Path] = {}

    def make(self, controller: str, folder: Path) -> None:
        """Makes a group for a controller. Raises `OSError`."""
        if folder not in self._folders.values():
            folder.mkdir()
        self._folders[controller] = folder

    def write(self, controller: str, name: str, value: object) -> None:
        (self._folders[controller] / name).write_text(str(value), encoding="utf-8")

    def has(self, controller: str, name: str) -> bool:
        return (self._folders[controller] / name).exists()

    def enter(self) -> None:
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")

    def processes(self) -> list[int]:
        return sorted({each for folder in self._folders.values() for each in processes_in(folder)})

    def kills(self) -> int:
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        return _field(self._folders["memory"] / name, "oom_kill") if "memory" in self._folders else 0

    def peak_bytes(self, told: Mapping[str, float]) -> float:
        name = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
        text = text_or_nothing(self._folders["memory"] / name) if "memory" in self._folders else ""
        return int(text) if text.isdigit() else 0  # version 2 before Linux 5.19 keeps no peak

    def close(self) -> None:
        for folder in set(self._folders.values()):
            remove(folder)


class ControlGroups(Way):
    """Groups made by this process, below `memory` and `cpu`: folders in which it may make some."""

    counts = "what the kernel charges to the group: anonymous memory, page cache that it read first, kernel memory"

    def __init__(self, version: int, memory: Path, cpu: Path | None, no_cpu: str = "") -> None:
        self.by = f"cgroup version {version}"
        self._version = version
        self._parents = {"memory": memory, "cpu": cpu}
        self._no_cpu = no_cpu
        self._made = 0

    def enclose(self, attempt: str, *, memory_bytes: int | None = None, cores: float | None = None) -> Enclosure:
        """A group for the trial; memory is counted in it, limited or not. Raises `NotApplied`."""
        self._made += 1
        group, name = _Group(self._version), group_name(attempt, self._made)
        try:
            self._make(group, "memory", name)
            self._limit_memory(group, memory_bytes)
            if cores is not None:
                self._make(group, "cpu", name)
                self._limit_time(group, cores)
        except OSError as error:
            group.close()
            raise NotApplied(f"{self.by}: {error.filename or 'the kernel'}: {error.strerror}") from error
        except NotApplied:
            group.close()
            raise
        return group

    def _make(self, group: _Group, controller: str, name: str) -> None:
        parent = self._parents[controller]
        if parent is None:
            raise NotApplied(self._no_cpu)
        group.make(controller, parent / name)

    def _limit_memory(self, group: _Group, memory_bytes: int | None) -> None:
        limit, with_swap = (
            ("memory.max", "memory.swap.max") if self._version == 2 else ("memory.limit_in_bytes", _SWAP_1)
        )
        if not group.has("memory", limit):
            raise NotApplied(f"{self.by}: a new group has no {limit}: its parent does not hand the controller on")
        if memory_bytes is not None:
            group.write("memory", limit, memory_bytes)
        if not group.has("memory", with_swap):
            self.swap = _swap_left_open()
        else:
            if self._version == 2:
                group.write("memory", with_swap, 0)
            elif memory_bytes is not None:  # version 1 limits the sum of both
                group.write("memory", with_swap, memory_bytes)
            self.swap = f"closed ({with_swap})"

    def _limit_time(self, group: _Group, cores: float) -> None:
        quota_us = max(_LEAST_QUOTA_US, round(cores * _PERIOD_US))
        if self._version == 2:
            if not group.has("cpu", "cpu.max"):
                raise NotApplied(f"{self.by}: a new group has no cpu.max: its parent does not hand the controller on")
            group.write("cpu", "cpu.max", f"{quota_us} {_PERIOD_US}")
        else:
            group.write("cpu", "cpu.cfs_period_us", _PERIOD_US)
            group.write("cpu", "cpu.cfs_quota_us", quota_us)


_SWAP_1 = "memory.memsw.limit_in_bytes"


class _Scope(Enclosure):
    """A transient unit of systemd; the trial's process becomes a part of it by starting through `systemd-run`."""

    def __init__(self, name: str, bus: Sequence[str], properties: Sequence[str]) -> None:
        self._unit = f"{name}.scope"
        self._bus = bus
        self._properties = properties
        self._folder: Path | None = None
        self._peak = self._kills = 0

    def command(self, command: Sequence[str]) -> list[str]:
        set_ = [f"--property={each}" for each in self._properties]
        return ["systemd-run", *self._bus, "--scope", "--quiet", f"--unit={self._unit}", *set_, "--", *command]

    def look(self, process: int) -> None:
        """The scope's files are gone when its last process is, so they are read while it runs."""
        if self._folder is None:
            with contextlib.suppress(Unreadable):
                folder = groups_of("memory", ROOT, str(process)).folders[0]
                self._folder = folder if folder.name == self._unit else None
        if self._folder is not None:
            self._peak = max(self._peak, int(text_or_nothing(self._folder / "memory.peak") or 0))
            self._kills = max(self._kills, _field(self._folder / "memory.events", "oom_kill"))

    def processes(self) -> list[int]:
        return processes_in(self._folder) if self._folder else []

    def kills(self) -> int:
        """From the last look, or systemd's own word on how the scope ended."""
        return self._kills or int(_said(["systemctl", *self._bus, "show", "-p", "Result", self._unit]) == "oom-kill")

    def peak_bytes(self, told: Mapping[str, float]) -> float:
        return self._peak

    def close(self) -> None:
        for verb in (["kill", "--signal=SIGKILL"], ["stop"], ["reset-failed"]):
            _said(["systemctl", *self._bus, *verb, self._unit])


class SystemdScopes(Way):
    """Scopes that the system's or the user's systemd makes for us."""

    counts = ControlGroups.counts

    def __init__(self, *, of_user: bool) -> None:
        self.by = "systemd-run --user --scope" if of_user else "systemd-run --scope"
        self.swap = "closed (MemorySwapMax)"
        self._bus = ("--user",) if of_user else ()
        self._made = 0

    def enclose(self, attempt: str, *, memory_bytes: int | None = None, cores: float | None = None) -> Enclosure:
        """A scope for the trial; memory is counted in it, limited or not."""
        self._made += 1
        properties = ["MemoryAccounting=yes", "MemorySwapMax=0"]
        if memory_bytes is not None:
            properties.append(f"MemoryMax={memory_bytes}")
        if cores is not None:
            properties.append(f"CPUQuota={max(1, round(100 * cores))}%")
        return _Scope(group_name(attempt, self._made), self._bus, properties)

    def works(self) -> str:
        """Empty where a scope can be made; else why not."""
        if shutil.which("systemd-run") is None:
            return "systemd-run: not installed"
        command = ["systemd-run", *self._bus, "--scope", "--quiet", "--property=MemoryMax=64M", "--", "true"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"{self.by}: {type(error).__name__}"
        said = done.stderr.strip().splitlines()
        return f"{self.by}: {said[-1] if said else f'exit code {done.returncode}'}" if done.returncode else ""


class _Space(Enclosure):
    """An address space with a limit, inherited by everything that the trial starts."""

    def __init__(self, limit_bytes: int | None) -> None:
        self._limit_bytes = limit_bytes
        self._peak = 0

    def enter(self) -> None:
        if self._limit_bytes is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (self._limit_bytes, self._limit_bytes))

    def look(self, process: int) -> None:
        for line in text_or_nothing(ROOT / f"proc/{process}/status").splitlines():
            if line.startswith("VmPeak:"):
                self._peak = max(self._peak, int(line.split()[1]) * 1024)

    def peak_bytes(self, told: Mapping[str, float]) -> float:
        return max(self._peak, told.get("address_space_peak", 0))


class AddressSpace(Way):
    """A limit on what a process maps, touched or not: never to be compared with the memory that it needs."""

    by = "address-space limit"
    floor_name = ADDRESS_SPACE_FLOOR
    swap = "not limited: an address space does not say what is in memory"
    counts = "everything that is mapped, whether it is ever touched or not"

    def enclose(self, attempt: str, *, memory_bytes: int | None = None, cores: float | None = None) -> Enclosure:
        """A limit on the address space; CPU time cannot be limited so. Raises `NotApplied`."""
        if cores is not None:
            raise NotApplied("CPU time is limited by control groups, and this user may not make any here")
        return _Space(memory_bytes)


def best(root: Path = ROOT) -> tuple[Way, list[str]]:
    """The truest way that there is on this device, and why those before it are not; the last resort limits nothing."""
    why_not: list[str] = []
    for found in _ways(root):
        if isinstance(found, Way):
            return found, why_not
        why_not.append(found)
    return Way(), why_not


def _ways(root: Path) -> Iterator[Way | str]:
    """Ways in order, or the reasons why there is none of a kind."""
    if not ON_LINUX:
        yield f"there are control groups on Linux only, and {sys.platform} does not hold address-space limits"
        return
    try:
        memory = groups_of("memory", root)
    except Unreadable as error:
        yield str(error)
    else:
        yield from _control_groups(memory.version, memory.folders[0], root)
        if (root / "run/systemd/system").is_dir():
            yield from _scopes()
        if memory.version == 2 and len(memory.folders) > 1:  # a group with processes hands on no controllers
            yield from _control_groups(2, memory.folders[1], root)
    yield AddressSpace()


def _scopes() -> Iterator[Way | str]:
    way = SystemdScopes(of_user=os.geteuid() != 0)
    yield way.works() or way


def _control_groups(version: int, memory: Path, root: Path) -> Iterator[Way | str]:
    cpu, no_cpu = _cpu_folder(version, memory, root)
    way = ControlGroups(version, memory, cpu, no_cpu)
    try:
        if version == 2:
            _hand_on(memory, [controller for controller in ("memory", "cpu") if controller == "memory" or cpu])
        way.enclose("try", memory_bytes=1 << 30).close()
    except NotApplied as error:
        yield str(error)
    else:
        yield way


def _cpu_folder(version: int, memory: Path, root: Path) -> tuple[Path | None, str]:
    try:
        groups = groups_of("cpu", root)
    except Unreadable as error:
        return None, str(error)
    if version == 2:
        there = "cpu" in text_or_nothing(memory / "cgroup.controllers").split()
        return (memory, "") if there else (None, "the cpu controller is not handed down to this group")
    if groups.version != 1:
        return None, "memory is limited by cgroup version 1 here, and CPU time by version 2"
    return groups.folders[0], ""


def _hand_on(folder: Path, controllers: Sequence[str]) -> None:
    """Lets groups below a folder have the controllers, where they have not. Raises `NotApplied`."""
    try:
        handed = text_of(folder / "cgroup.subtree_control").split()
        for controller in controllers:
            if controller not in handed:
                (folder / "cgroup.subtree_control").write_text(f"+{controller}", encoding="utf-8")
    except (Unreadable, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise NotApplied(f"cgroup version 2: the own group cannot hand controllers on ({why})") from error


def _swap_left_open() -> str:
    spaces = text_or_nothing(ROOT / "proc/swaps").splitlines()[1:]
    return "open: this kernel does not count swap, and pages may go there" if spaces else "none on this system"


def _field(file: Path, name: str) -> int:
    """A number out of a file of `name number` lines; 0 where it is not there."""
    for line in text_or_nothing(file).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return int(words[1])
    return 0


def _said(command: Sequence[str]) -> str:
    """What systemctl prints, the name before `=` cut off."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False
        )
        return done.stdout.strip().rpartition("=")[2]
    return ""
