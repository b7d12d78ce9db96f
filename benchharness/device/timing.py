"""Clocks and repetition: a quiet garbage collector, how often to warm up, how often to repeat.

`time.perf_counter_ns` is called inline where time matters, never through a wrapper: a context manager costs 1 us.
On Linux, macOS and Windows it is one clock for all processes of a machine, which is what lets the supervisor stamp
the start of a worker and the worker stamp its first token.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Two halves of this many samples whose means differ by less than `_SETTLED` count as steady (after pyperf).
_HALF = 20
_SETTLED = 0.05


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Keeps the garbage collector out of a timed region: a full collection took 55-65 ms, 1.6 us once frozen."""
    gc.collect()
    gc.freeze()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        gc.unfreeze()


def warm_up(once: Callable[[], float], *, at_least: int, longest_ns: int) -> list[float]:
    """Runs `once` (which returns ns) until two halves of 20 samples agree within 5 %, or the time is over.

    Returns every warm-up sample, in order. Fewer than `at_least` are never made.
    """
    samples: list[float] = []
    end_ns = time.perf_counter_ns() + longest_ns
    while len(samples) < at_least or (time.perf_counter_ns() < end_ns and not _steady(samples)):
        samples.append(once())
    return samples


def _steady(samples: list[float]) -> bool:
    if len(samples) < 2 * _HALF:
        return False
    older, newer = (math.fsum(half) / _HALF for half in (samples[-2 * _HALF : -_HALF], samples[-_HALF:]))
    return abs(newer - older) <= _SETTLED * older


def goes_on(
    taken: int,
    started_ns: int,
    *,
    at_least: int,
    at_most: int,
    min_time_ns: int,
    wanted: int = 0,
    longest_ns: int = 0,
) -> bool:
    """Whether another repeat is due: too few yet, or time left and not too many.

    `wanted` are those that a percentile needs, beyond `at_most` too, as long as they take no longer than `longest_ns`.
    """
    if taken < at_least:
        return True
    passed_ns = time.perf_counter_ns() - started_ns
    return (taken < at_most and passed_ns < min_time_ns) or (taken < wanted and passed_ns < longest_ns)
