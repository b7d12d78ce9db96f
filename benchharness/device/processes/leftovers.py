"""What runs on when the process that started it has ended: found, ended, and told.

On Linux a supervisor or conductor adopts its descendants' orphans, wherever they went: into sessions of their own, by
forking twice. Whatever is its child then and was not started by it was left behind by an attempt. Elsewhere orphans
belong to the system, and only those that stayed in the process group of a `Child` are found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from benchharness.device.processes.lifeline import become_subreaper

#: A helper that sees its parent's end and ends itself has this long; what runs on then was left running.
OWN_END_S = 0.5
#: Killed processes end when the kernel has taken them apart; one that waits for a broken driver never does.
KERNEL_S = 5.0
_POLL_S = 0.005
_PS_PATIENCE_S = 5.0
MOST_NAMES, _LONGEST_NAME = 10, 60


#: In the environment of all that a supervisor starts: its process id, when it began, and where that id counts.
_MARK = "BENCHHARNESS_SUPERVISOR"


class _Row(NamedTuple):
    """A process as the system lists it."""

    parent: int
    group: int
    runs: bool  # not merely waiting to be reaped
    began: str = ""  # in clock ticks since boot: no two processes of one id have the same


class _Own:
    """Of this process: its children that are no leftovers, whether orphans come to it, and what was left so far."""

    known: ClassVar[set[int]] = set()
    adopts: ClassVar[bool] = False
    told: ClassVar[Counter[str]] = Counter()


def adopt_orphans() -> bool:
    """From now on orphans come to this process, if the system can do that. What it has as children now stays alone."""
    _Own.known.update(pid for pid, row in _rows() if row.parent == os.getpid())
    _Own.adopts = become_subreaper()
    return _Own.adopts


def adopts() -> bool:
    """Whether orphans come to this process."""
    return _Own.adopts


def started(process: int) -> None:
    """This process has started a child, which is no leftover while it lives."""
    _Own.known.add(process)


def reaped(process: int) -> None:
    """A child has ended: its number may come back as somebody else's."""
    _Own.known.discard(process)


def told() -> dict[str, int]:
    """What was left running since this was asked last: commands, and how often."""
    found = dict(_Own.told.most_common(MOST_NAMES))
    _Own.told.clear()
    return found


def tree(process: int) -> set[int]:
    """A process's living descendants, as far as they have not been orphaned."""
    rows = dict(_rows())
    found: set[int] = set()
    level = {process}
    while level:
        level = {pid for pid, row in rows.items() if row.parent in level and row.runs} - found
        found |= level
    return found


def kill(processes: Collection[int]) -> None:
    """Ends processes at once, those that may be."""
    for process in processes:
        _signal(process, "SIGKILL" if os.name == "posix" else "SIGTERM")


def end_orphans(killed: Collection[int] = (), *, at_once: bool = False) -> None:
    """Ends every orphan that came to this process. `killed` are those that somebody has ended already, not told."""
    if _Own.adopts:
        _end(_orphans, _no_more_orphans, killed, at_once=at_once)


def end_group(group: int, killed: Collection[int] = (), *, at_once: bool = False) -> None:
    """Ends what is left of a process group whose leader has ended, unreaped: the group's number is still its own."""

    def members() -> Iterator[int]:
        return (pid for pid, row in _rows() if row.group == group and pid != group and row.runs)

    _end(members, lambda: True, killed, at_once=at_once)


def reap_orphans() -> None:
    """Takes leave of one orphan that has ended, so that they do not pile up. One system call where there is none."""
    if _Own.adopts:
        with contextlib.suppress(ChildProcessError):
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None and ended.si_pid not in _Own.known:
                os.waitpid(ended.si_pid, os.WNOHANG)


def mark_what_is_started() -> None:
    """Whatever this process starts can be known as its own from now on, should it be killed itself (Linux)."""
    if sys.platform.startswith("linux"):
        os.environ[_MARK] = f"{os.getpid()} {dict(_rows())[os.getpid()].began} {_namespace()}"


def end_strays() -> None:
    """Ends what is marked by a supervisor that is gone: that was killed, and nobody adopted its workers' children."""

    def strays() -> Iterator[int]:
        rows = dict(_rows())
        line, above = {os.getpid()}, os.getpid()  # a harness may itself run in an attempt
        while above in rows and rows[above].parent not in line:
            above = rows[above].parent
            line.add(above)
        for pid, row in rows.items():
            mark = _marked(pid).split(" ") if row.runs and pid not in line else []
            if len(mark) == 3 and mark[0].isdigit() and mark[2] == _namespace():
                maker = rows.get(int(mark[0]))
                if maker is None or maker.began != mark[1]:
                    yield pid

    if sys.platform.startswith("linux"):
        _end(strays, lambda: True, (), at_once=True)
        told()  # to nobody: it is of another run


def _namespace() -> str:
    """Names what process ids here belong to: a container has its own, and they mean other processes."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "unknown"


def _marked(process: int) -> str:
    """The mark in a process's environment; empty where there is none, or where it is another user's."""
    with contextlib.suppress(OSError):
        for setting in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
            if setting.startswith(_MARK.encode() + b"="):
                return setting.partition(b"=")[2].decode(errors="replace")
    return ""


def _end(
    find: Callable[[], Iterator[int]], none_left: Callable[[], bool], killed: Collection[int], *, at_once: bool
) -> None:
    """Ends what `find` finds until there is nothing; what one process has forked meanwhile is found the next time."""
    began_s = time.monotonic()
    left: dict[int, str] = {}
    while True:
        waited_s = time.monotonic() - began_s
        found = 0
        for found in find():
            if at_once or waited_s >= OWN_END_S:
                if found not in killed and found not in left:
                    _signal(found, "SIGSTOP")  # it may be about to hand on to another and be gone
                    left[found] = _name(found)
                kill([found])
        if not found and none_left():
            break
        if waited_s > KERNEL_S:
            left[found] = f"{left.get(found, 'a process')} (cannot be ended)"
            break
        time.sleep(_POLL_S)
    _Own.told.update(left.values())


def _signal(process: int, name: str) -> None:
    with contextlib.suppress(OSError):  # gone, or not ours
        os.kill(process, getattr(signal, name))


def _orphans() -> Iterator[int]:
    """Children of this process that it did not start; those that have ended are reaped."""
    if _childless():
        return
    for pid, row in _rows():
        if row.parent == os.getpid() and pid not in _Own.known:
            if row.runs:
                yield pid
            else:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def _no_more_orphans() -> bool:
    """Whether it is certain that there is none, although no look found one: the kernel knows, while we have no child.

    Else a second look has to do: one misses what is forked during it by a process that is gone before its turn.
    """
    return _childless() or (bool(_Own.known) and not any(_orphans()))


def _childless() -> bool:
    """Whether the kernel knows of no child at all: then there is no descendant either, and no need to look."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _rows() -> Iterator[tuple[int, _Row]]:
    """Every process of the system that can be seen, the youngest first."""
    if sys.platform.startswith("linux"):
        yield from _of_proc()
    elif os.name == "posix":
        yield from _of_ps()


def _of_proc() -> Iterator[tuple[int, _Row]]:
    numbers = (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())
    for pid in sorted(numbers, reverse=True):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
            after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            state, parent, group = after_name[:3]
            yield pid, _Row(int(parent), int(group), state not in "ZX", after_name[19])


def _of_ps() -> Iterator[tuple[int, _Row]]:
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PS_PATIENCE_S, check=False)
        for line in done.stdout.splitlines():
            pid, parent, group, state = line.split()[:4]
            yield int(pid), _Row(int(parent), int(group), not state.startswith("Z"))


def _name(process: int) -> str:
    """A process's command: its first words without their folders, up to the first option, which may be a secret."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        if words[0]:
            return _printable(_without_options(words))
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["ps", "-o", "comm=", "-p", str(process)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PS_PATIENCE_S, check=False
        )
        return _printable([done.stdout.strip()]) or "a process"
    return "a process"


def _without_options(words: Sequence[str]) -> Sequence[str]:
    if words[1:2] == ["-m"]:
        return words[:3]
    options = [at for at, word in enumerate(words) if word.startswith("-")]
    return words[: min([*options, 3])]


def _printable(words: Sequence[str]) -> str:
    shown = " ".join(word.rpartition("/")[2] for word in words)
    return "".join(each if each.isprintable() else "?" for each in shown)[:_LONGEST_NAME]
