"""How long this process's threads waited for a core when they could have run; how often a quota stopped them."""

from __future__ import annotations

from pathlib import Path

from benchharness.device.sensors.cgroup import groups_of
from benchharness.device.sensors.readings import ROOT, Unreadable


def waited_and_ran_ns(root: Path = ROOT) -> tuple[int, int]:
    """(time runnable but waiting, time on a core) of all living threads, in ns, since each began.

    From /proc/self/task/*/schedstat (Documentation/scheduler/sched-stats.rst). Raises `Unreadable`.
    """
    waited = ran = 0
    try:
        for file in (root / "proc/self/task").glob("*/schedstat"):
            on_core, waiting, _ = file.read_text().split()
            ran += int(on_core)
            waited += int(waiting)
    except (OSError, ValueError) as error:
        raise Unreadable(f"schedstat cannot be read: {error}") from error
    if not ran:
        raise Unreadable("this kernel keeps no schedstat")
    return waited, ran


def times_throttled(root: Path = ROOT) -> int:
    """How often a cgroup's CPU quota has stopped this process's groups since they were made. Raises `Unreadable`."""
    counts = []
    for folder in groups_of("cpu", root).folders:
        try:
            lines = (folder / "cpu.stat").read_text().splitlines()
        except OSError:
            continue  # the root group has no quota and no such file
        counts += [int(line.split()[1]) for line in lines if line.startswith("nr_throttled ")]
    if not counts:
        raise Unreadable("no CPU controller's statistics are visible")
    return sum(counts)
