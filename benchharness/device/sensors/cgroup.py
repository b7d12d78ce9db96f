"""The limits that control groups put on this process, in both versions of cgroups (Linux).

A limit holds for everything below it, so the tightest one counts of all groups from the process's own up to the top
of what is mounted here. Inside a container groups further up are hidden: `none` means that no visible group limits.
Sources: the kernel's cgroup-v1/memory.rst, scheduler/sched-bwc.rst and cgroup-v2.rst, proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from benchharness.device.sensors.readings import ROOT, Unreadable, or_unknown, text_of, text_or_nothing

NO_LIMIT = "none"
NO_CGROUPS = "no cgroups on this system"
#: What version 1 writes for "no limit": LONG_MAX rounded down to a page (of 4 to 64 KiB) on 64 bit, LONG_MAX pages
#: on 32 bit.
_UNLIMITED_64_BIT = 2**63 - 2**16
_UNLIMITED_32_BIT = (2**31 - 1) * 4096
#: By version: the files in which a group tells its limits.
MEMORY_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}
QUOTA = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}


class Groups(NamedTuple):
    """Where one controller's files for this process are: its own group first, then the groups around it."""

    version: int
    folders: tuple[Path, ...]


class _Mount(NamedTuple):
    version: int
    controllers: frozenset[str]
    top: str  # which group of its hierarchy is mounted
    folder: Path


def limits(root: Path = ROOT) -> dict[str, Any]:
    """Memory limit in bytes, CPU quota and its period in µs; `none` where nothing limits."""
    quota = cpu_quota_us(root)
    known = isinstance(quota, tuple)
    return {
        "cgroup_memory_limit_bytes": memory_limit_bytes(root),
        "cgroup_cpu_quota_us": quota[0] if known else quota,
        "cgroup_cpu_period_us": quota[1] if known else quota,
    }


@or_unknown
def memory_limit_bytes(root: Path = ROOT) -> Any:
    """The tightest memory limit in bytes, or `none`."""
    groups = groups_of("memory", root)
    return tightest_memory(_texts(groups, MEMORY_LIMIT[groups.version]))


def tightest_memory(limits: Iterable[str]) -> int | str:
    """The tightest of memory limits as groups tell them, in bytes, or `none`. Raises `ValueError`."""
    found = [int(text) for text in limits if text != "max"]
    tight = [limit for limit in found if limit < _UNLIMITED_64_BIT and limit != _UNLIMITED_32_BIT]
    return min(tight) if tight else NO_LIMIT


@or_unknown
def cpu_quota_us(root: Path = ROOT) -> Any:
    """The tightest (quota, period) in µs, or `none`: the group may run for quota in every period, over all cores."""
    groups = groups_of("cpu", root)
    names = QUOTA[groups.version]
    told = [folder for folder in groups.folders if (folder / names[0]).exists()]
    return tightest_quota(" ".join(text_of(folder / name) for name in names) for folder in told)


def tightest_quota(quotas: Iterable[str]) -> tuple[int, int] | str:
    """The tightest (quota, period) of lines of both, in µs, or `none`. Raises `ValueError`."""
    pairs = [line.split() for line in quotas]
    found = [(int(quota), int(period)) for quota, period in pairs if quota not in {"max", "-1"}]
    if any(quota <= 0 or period <= 0 for quota, period in found):
        raise ValueError(f"a quota of {found}")
    return min(found, key=lambda pair: pair[0] / pair[1]) if found else NO_LIMIT


def _texts(groups: Groups, name: str) -> Iterator[str]:
    """A file's text in every group that has it: the top of a hierarchy has no limits and no such files."""
    for folder in groups.folders:
        if (folder / name).exists():
            yield text_of(folder / name)


def can_limit(controller: str, root: Path = ROOT) -> str:
    """Says that this process may make groups with this controller, and where. Raises `Unreadable` with why not."""
    groups = groups_of(controller, root)
    folder = groups.folders[0]
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unreadable(f"cgroup version {groups.version} is there, and this user may not make groups in its own one")
    return f"cgroup version {groups.version}, own group writable"


def groups_of(controller: str, root: Path = ROOT, process: str = "self") -> Groups:
    """The groups of this process, or of another one by its number, that have a controller. Raises `Unreadable`."""
    try:
        memberships = text_of(root / "proc" / process / "cgroup")
    except Unreadable as error:
        raise Unreadable(f"{NO_CGROUPS} ({error})") from error
    return groups_in(memberships, controller, root)


def groups_in(memberships: str, controller: str, root: Path = ROOT) -> Groups:
    """The groups with a controller of a process whose /proc/PID/cgroup says so. Raises `Unreadable`."""
    version, path = group_path(memberships, controller)
    for mount in _mounts(root):
        if mount.version == version and path and controller in mount.controllers:
            return Groups(version, tuple(_folders(mount, path)))
    raise Unreadable(f"the cgroup controller {controller} is not to be seen from here")


def group_path(memberships: str, controller: str) -> tuple[int, str]:
    """The version of cgroups that a controller is in, and the group's path there, empty where there is none."""
    by_version = {1: "", 2: ""}
    for line in memberships.splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0":
            by_version[2] = path
        elif controller in controllers.split(","):
            by_version[1] = path
    version = 1 if by_version[1] else 2  # a controller is in one version at a time
    return version, by_version[version]


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in text_of(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, options = before.split(), after.split()
        if not options or options[0] not in {"cgroup", "cgroup2"}:
            continue
        top, folder = _unescaped(fields[3]), root / _unescaped(fields[4]).lstrip("/")
        if options[0] == "cgroup2":
            yield _Mount(2, frozenset(text_or_nothing(folder / "cgroup.controllers").split()), top, folder)
        else:
            yield _Mount(1, frozenset(options[2].split(",")), top, folder)


def _unescaped(field: str) -> str:
    """Blanks and backslashes in mountinfo are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _folders(mount: _Mount, path: str) -> Iterator[Path]:
    """The group's folder and those above it. A group outside of what is mounted is seen as the mount itself."""
    own, top = PurePosixPath(path), PurePosixPath(mount.top)
    inside = ".." not in own.parts and (own == top or top in own.parents)
    folder = mount.folder / own.relative_to(top) if inside else mount.folder
    if not folder.is_dir():
        raise Unreadable("this process's cgroup is not to be seen from here")
    while folder != mount.folder:
        yield folder
        folder = folder.parent
    yield mount.folder
