"""What held the process of a course: the quota in force, cores that were cut, and every change as an event. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchharness.judge.limits import Change, Limits, changes, limits_of, quota_text
from benchharness.results.courses import Event
from benchharness.results.result import Attempt
from benchharness.scenarios.sustained.detect import Cut

#: More events than this are counted in a course's evidence, and told apart in its data only.
_MOST_TOLD = 4


class Held:
    """What limited one course between its first window's start and its last one's end, in ns since the spawn."""

    def __init__(self, attempt: Attempt, start_ns: float, end_ns: float) -> None:
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._limits = limits_of(attempt)
        self._changes = changes(self._limits, start_ns, end_ns)

    def events(self) -> list[Event]:
        """Every change, in seconds of the course."""
        return [Event(second=self._second(each.moment_ns), kinds=each.kinds, told=each.told) for each in self._changes]

    def told(self, evidence: Sequence[str]) -> tuple[str, ...]:
        """The events in sentences, the first few of those that the evidence does not tell of already."""
        events = [event for event in self.events() if not any(each.startswith(event.told) for each in evidence)]
        more = len(events) - _MOST_TOLD
        told = [f"at {event.second:.1f} s: {event.told}" for event in events[:_MOST_TOLD]]
        return (*told, f"{more} more such change{'s'[: more - 1]} followed") if more > 0 else tuple(told)

    def cut(self) -> Cut | None:
        """The change that left the fewest cores; None where the process kept those that it had."""
        moments = [each for each in self._changes if each.cores_told]
        taken = [each for each in moments if not _keeps_all(each)]
        if not taken:
            return None
        worst = min(taken, key=lambda each: len(each.after.cores or ()))
        later = (each.moment_ns for each in moments if each.moment_ns > worst.moment_ns)
        return Cut(
            since_s=worst.moment_ns / 1e9,
            until_s=next(later, math.inf) / 1e9,
            cores=len(worst.after.cores or ()),
            told=worst.cores_told,
        )

    def quota(self) -> tuple[str, ...]:
        """The tightest quota that held meanwhile, in a sentence; nothing where none was seen."""
        held = [each for each in self._in_force() if each.quota_cores is not None and math.isfinite(each.quota_cores)]
        if not held:
            return ()
        tightest = min(held, key=lambda each: each.quota_cores or math.inf)
        quota = quota_text(tightest.quota_cores or math.inf)
        since_s = self._second(tightest.from_ns)
        since = f"since {since_s:.1f} s" if since_s > 0 else "from the start"
        return (f"throttled by a CPU quota of {quota} {since}",)

    def _in_force(self) -> Sequence[Limits]:
        before = [each for each in self._limits if each.from_ns <= self._start_ns]
        return [*before[-1:], *(each for each in self._limits if self._start_ns < each.from_ns <= self._end_ns)]

    def _second(self, moment_ns: float) -> float:
        return (moment_ns - self._start_ns) / 1e9


def _keeps_all(change: Change) -> bool:
    return (change.before.cores or frozenset()) <= (change.after.cores or frozenset())
