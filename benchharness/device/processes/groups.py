"""Control groups of our own: named after the process that made them, emptied and removed when they are left.

A killed maker cannot remove its groups. Its supervisor does, and failing that the next supervisor that starts: a group
whose name tells of a process that is gone belongs to nobody any more, and what still runs in it was started by it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from benchharness.device.sensors.cgroup import groups_of
from benchharness.device.sensors.readings import ROOT, Unreadable, text_or_nothing

#: benchharness-<maker's process id>-<when it started, in clock ticks>-<attempt>-<number>
_NAME = re.compile(r"benchharness-(\d+)-(\d+)-[0-9a-z]+-\d+")
_CONTROLLERS = ("memory", "cpu")
#: Killed processes leave their group when the kernel has taken them apart, which takes longer the more they held.
_PATIENCE_S = 5.0
_POLL_S = 0.005
_GONE = ("Z", "X", "")  # states of a process that runs no more; no state: no such process


def group_name(attempt: str, number: int) -> str:
    """A name for this process's `number`-th group, unlike all others."""
    pid = os.getpid()
    return f"benchharness-{pid}-{_life(pid, ROOT)[1]}-{re.sub('[^0-9a-z]', '', attempt.lower())[:32] or '0'}-{number}"


def processes_in(folder: Path) -> list[int]:
    """The processes in a group; those of another process id namespace cannot be told and are left out."""
    return [int(line) for line in text_or_nothing(folder / "cgroup.procs").split() if int(line) > 0]


def remove(folder: Path) -> bool:
    """Kills what runs in a group of ours and removes it; whether it is gone."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while folder.is_dir():
        for process in processes_in(folder):
            with contextlib.suppress(OSError):  # gone, or not ours to kill
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(OSError):  # still busy, or gone by now
            folder.rmdir()
            return True
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def remove_stale(root: Path = ROOT) -> list[Path]:
    """Removes every group here whose maker is gone, with what still runs in it; those that are gone now."""
    return [folder for folder in _ours(root) if _is_stale(folder.name, root) and remove(folder)]


def _ours(root: Path) -> Iterator[Path]:
    """Groups named like ours, where this process would make some.

    Not in the whole hierarchy: in another container's part of it, process ids mean other processes.
    """
    found: set[Path] = set()
    for controller in _CONTROLLERS:
        try:
            groups = groups_of(controller, root)
        except Unreadable:
            continue
        for parent in groups.folders[: groups.version]:  # `limits` may have to make them beside its own in version 2
            with contextlib.suppress(OSError):
                found.update(each for each in parent.iterdir() if _NAME.fullmatch(each.name) and each.is_dir())
    yield from sorted(found)


def _is_stale(name: str, root: Path) -> bool:
    made_by = _NAME.fullmatch(name)
    if made_by is None:
        return False
    state, started = _life(int(made_by[1]), root)
    return state in _GONE or started != made_by[2]


def _life(pid: int, root: Path) -> tuple[str, str]:
    """A process's state, and when it started in clock ticks since boot; both empty where there is none."""
    fields = text_or_nothing(root / f"proc/{pid}/stat").rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")
