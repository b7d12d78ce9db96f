"""A bar of seconds, held on a machine of any speed: in looks, which cost work and so take longer where all else does.

What ends within a second of a machine that does nothing else may take three where others are at it, or where the
machine stood still meanwhile. Seconds by the clock would blame the program for that; so many looks do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

#: Each rests and then reads of every process what it was started with, as whoever ends processes does: together, on a
#: machine that does nothing else, a little over a second.
_LOOKS_A_SECOND = 40
_REST_S = 0.02


def so_within(seconds: float, so: Callable[[], bool]) -> bool:
    """Whether something comes to be so within the time in which an idle machine is through with so many seconds."""
    for _ in range(round(seconds * _LOOKS_A_SECOND)):
        if so():
            return True
        time.sleep(_REST_S)
        _work()
    return so()


def _work() -> None:
    for process in psutil.process_iter():
        try:
            process.environ()
        except psutil.Error:
            continue
