"""The search for the smallest limit in which a model still answers. Pure: what a limit does is asked of the caller."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass

#: The first limit, over the unconstrained peak: comfortable.
COMFORTABLE = 1.25
#: Nothing is tried below the peak over this.
LOWEST = 16
#: How often the comfortable limit is doubled where it is too little after all.
_MOST_DOUBLINGS = 2
_ORIGIN_BYTES = 1 << 20


@dataclass(frozen=True)
class Found:
    """The floor lies above `failing_bytes` and is at most `floor_bytes`. Where either is missing, `reason` says why."""

    floor_bytes: int | None
    failing_bytes: int | None
    reason: str = ""


class Rungs:
    """Limits to try: the same on every device and in every attempt, neighbours within the bracket of each other.

    Whole numbers count them, 0 is 1 MiB. On a fixed ladder two searches end on the same rung unless the floor itself
    lies there, and two variants that need the same get the same floor.
    """

    def __init__(self, bracket: float) -> None:
        self.to_the_double = math.ceil(1 / math.log2(1 + bracket))

    def limit_bytes(self, rung: int) -> int:
        """A whole number of pages."""
        return mmap.PAGESIZE * max(1, round(_ORIGIN_BYTES * 2 ** (rung / self.to_the_double) / mmap.PAGESIZE))

    def above(self, wanted_bytes: float) -> int:
        """The lowest rung that is no less."""
        rung = math.floor(self.to_the_double * math.log2(max(1.0, wanted_bytes) / _ORIGIN_BYTES)) - 1
        while self.limit_bytes(rung) < wanted_bytes:
            rung += 1
        return rung


def search(peak_bytes: float, bracket: float, suffices: Callable[[int], bool]) -> Found:
    """Bisects the rungs from a comfortable limit down, to two neighbours of which one suffices and one does not."""
    rungs = Rungs(bracket)

    def enough(rung: int) -> bool:
        return suffices(rungs.limit_bytes(rung))

    upper, lower = rungs.above(COMFORTABLE * peak_bytes), rungs.above(peak_bytes / LOWEST)
    known = False  # whether the lower one was seen to fail
    for _ in range(_MOST_DOUBLINGS + 1):
        if enough(upper):
            break
        lower, known = upper, True
        upper += rungs.to_the_double
    else:
        return Found(None, rungs.limit_bytes(lower), "no limit that was tried suffices")
    while upper - lower > 1:
        middle = (upper + lower) // 2
        if enough(middle):
            upper = middle
        else:
            lower, known = middle, True
    if not known and enough(lower):
        return Found(
            rungs.limit_bytes(lower), None, f"1/{LOWEST} of the unconstrained peak suffices, and less was not tried"
        )
    return Found(rungs.limit_bytes(upper), rungs.limit_bytes(lower))
