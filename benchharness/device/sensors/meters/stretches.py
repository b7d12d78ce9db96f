"""A counter by another clock, in stretches that have no gap, brought to the harness's clock. Pure.

Of every reading two moments are known: what the meter's clock said, and when it came here. It came after it was made,
so the least of all differences is how far the clocks are apart, as nearly as can be told from one side: too much by
what the quickest reading took to come, which nobody knows. A gap ends a stretch, and nothing is made up for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

#: Readings that lie closer are kept as one: a course of two hours has to go over the line in one message.
THINNED_NS = 100_000_000
#: A reading that comes later than so many of the usual intervals after the last one leaves a gap, but for one that is
#: shorter than this: a busy machine holds up the program that reads a quick meter.
_USUAL_INTERVALS, _SHORTEST_GAP_NS = 2.5, 500_000_000
_REMEMBERED = 101
#: Where nothing is usual yet, and at most: what is told more seldom tells nothing of a window.
LONGEST_INTERVAL_NS = 10_000_000_000
#: Fewer arrivals do not tell whether the program that writes keeps its lines back.
_FEWEST_ARRIVALS = 3
#: Clocks that run apart by more within a stretch are not one offset apart.
_MOST_APART_NS = 1_000_000_000
#: The differences are compared over stretches of our time of this length: by a meter's own, one that hardly moves would
#: have a single one.
_BUCKET_NS = 2_000_000_000


class Stretch:
    """A counter in µJ without a gap. Moments are the meter's, in ns."""

    def __init__(self) -> None:
        self.moments: list[int] = []
        self.counts: list[float] = []
        self.steps = 0  # how often it moved
        self._arrivals: set[int] = set()
        self._least_late: dict[int, int] = {}  # by bucket

    def add(self, moment_ns: int, count: float, arrived_ns: int) -> None:
        """A further reading, later than the last one."""
        if self.counts and count != self.counts[-1]:
            self.steps += 1
        if len(self.moments) > 1 and moment_ns - self.moments[-2] < THINNED_NS:
            self.moments[-1], self.counts[-1] = moment_ns, count
        else:
            self.moments.append(moment_ns)
            self.counts.append(count)
        if len(self._arrivals) < _FEWEST_ARRIVALS:
            self._arrivals.add(arrived_ns)
        bucket, late = arrived_ns // _BUCKET_NS, arrived_ns - moment_ns
        self._least_late[bucket] = min(late, self._least_late.get(bucket, late))

    @property
    def least_late_ns(self) -> int:
        """The least difference between the two clocks: what is added to a moment."""
        return min(self._least_late.values())

    def doubt(self) -> str:
        """Why its moments cannot be brought to the harness's clock; empty where they can."""
        if len(self._arrivals) < _FEWEST_ARRIVALS:
            return "its lines came all at once: when they were made is not known"
        buckets = sorted(self._least_late)
        third = max(1, len(buckets) // 3)
        early = min(self._least_late[each] for each in buckets[:third])
        late = min(self._least_late[each] for each in buckets[-third:])
        if abs(early - late) > _MOST_APART_NS:
            return f"its clock and ours ran apart by {abs(early - late) / 1e9:.1f} s"
        return ""

    def rows(self, started_ns: int) -> list[tuple[int, float]]:
        """(ns of the harness's clock since `started_ns`, µJ); none from before it."""
        shift = self.least_late_ns - started_ns
        return [(moment + shift, count) for moment, count in zip(self.moments, self.counts) if moment + shift >= 0]


class Intervals:
    """What is usual between two readings."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=_REMEMBERED)

    def is_gap(self, interval_ns: int) -> bool:
        """Whether a reading so much later leaves a gap; else it is remembered."""
        if interval_ns > _SHORTEST_GAP_NS and interval_ns > self._longest():  # of a quick meter nothing is sorted
            return True
        self._last.append(interval_ns)
        return False

    def _longest(self) -> float:
        usual = _USUAL_INTERVALS * median(self._last) if self._last else LONGEST_INTERVAL_NS
        return min(usual, LONGEST_INTERVAL_NS)

    @property
    def usual_s(self) -> float:
        """The median of the last ones, in seconds; 0 where there is none."""
        return median(self._last) / 1e9 if self._last else 0.0


def named(name: str, stretches: Sequence[Stretch], started_ns: int) -> dict[str, list[tuple[int, float]]]:
    """A channel for each stretch that has two readings: `name.0`, `name.1`."""
    rows = (stretch.rows(started_ns) for stretch in stretches)
    return {f"{name}.{at}": found for at, found in enumerate(each for each in rows if len(each) > 1)}
