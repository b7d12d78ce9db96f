"""A clock that is a runtime's own (`StampClock`): whether it can be one, and whether times of it fit inside a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchharness.contract import STAMPED_AT, StampClock
from benchharness.errors import InvalidOutput, Unsupported

#: Two clocks of one moment may run apart by this share; one in another unit is out by a thousand times.
_CLOCKS_APART = 1e-3


class OwnClock:
    """Such a clock. Raises `InvalidOutput` where the adapter says what cannot be of it."""

    def __init__(self, clock: StampClock) -> None:
        self.clock = clock
        if clock.stamped_at not in STAMPED_AT or not is_count(clock.resolution_ns) or not clock.timed_by:
            raise InvalidOutput(
                f"the adapter says that it stamps at {clock.stamped_at!r} by {clock.timed_by!r}, which steps by "
                f"{clock.resolution_ns!r} ns"
            )

    def check_span(self, took_ns: int, lasted_ns: int) -> None:
        """Raises `InvalidOutput` for stamps that span more than the call that they were taken in."""
        if outlasts(took_ns, lasted_ns, self.clock.resolution_ns):
            raise InvalidOutput(f"the stamps span {took_ns} ns, and the whole call took {lasted_ns} ns")

    def timed(self, taken: Sequence[int], what: str) -> Sequence[int]:
        """The times as they are. Raises `Unsupported` where one is no time at all by this clock."""
        if min(taken) <= 0:
            raise Unsupported(
                f"{what} took less than a step of the clock that stamps it ({self.clock.timed_by}, "
                f"{self.clock.resolution_ns} ns); measure a larger workload"
            )
        return taken

    def facts(self, tokens_per_stamp: int) -> dict[str, Any]:
        """Whose stamps these are, for the result. An inference's stamp covers 1."""
        return {
            "timed_by": self.clock.timed_by,
            "stamped_at": self.clock.stamped_at,
            "clock_resolution_ns": self.clock.resolution_ns,
            "tokens_per_stamp": tokens_per_stamp,
        }


def outlasts(told_ns: float, lasted_ns: int, step_ns: int = 0) -> bool:
    """Whether something took longer, by another clock, than what it was a part of did by the harness's."""
    return not told_ns <= lasted_ns * (1 + _CLOCKS_APART) + 2 * step_ns


def is_whole(value: object) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Whether it is a whole number above zero."""
    return is_whole(value) and value > 0
