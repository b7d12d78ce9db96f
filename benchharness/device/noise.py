"""The noise probe: how evenly this machine runs a fixed piece of work on one thread. Plain numbers, no judgement.

The work is a hash over a small buffer: arithmetic in C, in the first-level caches, with no memory traffic, no other
thread and no operating system in it. Whatever disturbs that disturbs a model at least as much, so the numbers are a
lower bound of what a measurement here will show.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, Callable, NamedTuple

from benchharness.device.sensors.readings import ROOT, or_unknown, reason_of, unknown
from benchharness.device.sensors.steal import core_ticks, steal_share

BLOCKS = 20
#: Five a block: fewer have no median to speak of.
_FEWEST_ITERATIONS = 5 * BLOCKS
#: An iteration is at least this long, so that reading two clocks around it costs less than 1 % of it, and at most
#: about twice as long where nothing disturbs.
_SHORTEST_ITERATION_NS = 500_000
_BUFFER = bytes(16 * 1024)
#: What carries a 99th percentile: MLPerf LoadGen's early-stopping bound, as in benchharness.judge.intervals.
_SAMPLES_FOR_P99 = 662
_CLOCK_READS = 2_000


class Clocks(NamedTuple):
    """Wall time and this thread's CPU time, in ns."""

    wall_ns: Callable[[], int] = time.perf_counter_ns
    cpu_ns: Callable[[], int] = time.thread_time_ns


REAL_CLOCKS = Clocks()


class Work(NamedTuple):
    """What is repeated, and what it is called."""

    run: Callable[[], object]
    name: str


def probe(
    seconds: float = 2.0, *, work: Work | None = None, clocks: Clocks = REAL_CLOCKS, root: Path = ROOT
) -> dict[str, Any]:
    """Repeats the work back to back for so many seconds, 100 times at least, and describes the iterations.

    `median_ns`, `fastest_ns` and the ratios are of wall time per iteration. `waiting_share` is the share of wall time
    in which the thread was not on a core. `steal_share` is what the hypervisor took of the time that all cores were
    wanted. `block_*` cut the iterations into 20 blocks of equal count, in order of time.
    """
    if not seconds > 0:
        raise ValueError("a probe takes more than no time")
    work = work or _hashing(clocks)
    resolution, cost = _clock_facts(clocks)
    switches_before, ticks_before = _involuntary_switches(), _ticks(root)
    wall, cpu = _repeat(work, seconds, clocks)
    switches, ticks = _involuntary_switches(), _ticks(root)
    ordered = sorted(wall)
    middle = median(ordered)
    blocks = [_block(wall, number) for number in range(BLOCKS)]
    return {
        "work": work.name,
        "seconds": sum(wall) / 1e9,
        "iterations": len(wall),
        "median_ns": middle,
        "fastest_ns": ordered[0],
        "p99_over_median": _p99_over(middle, ordered),
        "max_over_median": ordered[-1] / middle,
        "waiting_share": max(0.0, 1 - sum(cpu) / sum(wall)),
        "steal_share": _share_stolen(ticks_before, ticks),
        "involuntary_switches": _increase(switches_before, switches),
        "timer_resolution_ns": resolution,
        "two_clock_reads_ns": cost,
        "block_medians_ns": [median(block) for block in blocks],
        "block_means_ns": [fmean(block) for block in blocks],
        "block_cpu_means_ns": [fmean(_block(cpu, number)) for number in range(BLOCKS)],
    }


def _hashing(clocks: Clocks) -> Work:
    """As many rounds of SHA-256 as take long enough here. The fastest of five tells: the others are disturbed."""
    rounds = 1
    while True:
        run = _rounds(rounds)
        if min(_timed(run, clocks) for _ in range(5)) >= _SHORTEST_ITERATION_NS:
            return Work(run, f"sha256 of {rounds} × {len(_BUFFER)} bytes")
        rounds *= 2


def _rounds(count: int) -> Callable[[], object]:
    def run() -> None:
        for _ in range(count):
            hashlib.sha256(_BUFFER).digest()

    return run


def _timed(run: Callable[[], object], clocks: Clocks) -> int:
    start = clocks.wall_ns()
    run()
    return clocks.wall_ns() - start


def _repeat(work: Work, seconds: float, clocks: Clocks) -> tuple[list[int], list[int]]:
    """Wall and CPU time of every iteration in ns. What stands between iterations is counted in neither."""
    wall: list[int] = []
    cpu: list[int] = []
    run, wall_ns, cpu_ns = work.run, clocks.wall_ns, clocks.cpu_ns
    end = wall_ns() + round(seconds * 1e9)
    now = 0
    while now < end or len(wall) < _FEWEST_ITERATIONS:
        start, cpu_start = wall_ns(), cpu_ns()
        run()
        cpu_end, now = cpu_ns(), wall_ns()
        wall.append(now - start)
        cpu.append(cpu_end - cpu_start)
    return wall, cpu


def _block(values: Sequence[int], number: int) -> Sequence[int]:
    return values[number * len(values) // BLOCKS : (number + 1) * len(values) // BLOCKS]


def _p99_over(middle: float, ordered: Sequence[int]) -> Any:
    if len(ordered) < _SAMPLES_FOR_P99:
        return unknown(f"{len(ordered)} iterations, and a 99th percentile needs {_SAMPLES_FOR_P99}")
    return ordered[math.ceil(0.99 * len(ordered)) - 1] / middle


def _clock_facts(clocks: Clocks) -> tuple[Any, float]:
    """The smallest step that the wall clock was seen to make, and what reading it twice costs, in ns."""
    read = clocks.wall_ns
    reads = [read() for _ in range(_CLOCK_READS)]
    steps = [later - earlier for earlier, later in zip(reads, reads[1:]) if later > earlier]
    cost = median(later - earlier for earlier, later in zip(reads, reads[2:]))
    return min(steps) if steps else unknown(f"{_CLOCK_READS} reads of the clock gave one value"), cost


@or_unknown
def _ticks(root: Path) -> Any:
    return core_ticks(root)


@or_unknown
def _share_stolen(before: Any, after: Any) -> Any:
    """Where one of the readings is unknown, so is the share."""
    unknowns = [reading for reading in (before, after) if reason_of(reading) is not None]
    return unknowns[0] if unknowns else steal_share(before, after)


def _involuntary_switches() -> int | None:
    """How often this thread (where the system counts by thread) was taken off its core against its will."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nivcsw


def _increase(before: int | None, after: int | None) -> Any:
    return unknown("this system does not count them") if before is None or after is None else after - before
