"""How many samples a percentile takes."""

from __future__ import annotations

from functools import cache
from math import comb

#: MLPerf LoadGen's early stopping: this confidence that the percentile is not underestimated ...
_PERCENTILE_CONFIDENCE = 0.99
#: ... when this many samples lie above it.
_SAMPLES_ABOVE = 1


@cache
def samples_for_percentile(percentile: int) -> int:
    """The fewest samples that carry a percentile: 64 for p90, 662 for p99 (MLPerf LoadGen); the median needs one."""
    if percentile <= 50:
        return 1
    above = 1 - percentile / 100
    count = _SAMPLES_ABOVE + 1
    while _at_most(_SAMPLES_ABOVE, count, above) > 1 - _PERCENTILE_CONFIDENCE:
        count += 1
    return count


def _at_most(hits: int, count: int, share: float) -> float:
    """How probable it is that no more than so many of a count are among a share (binomial)."""
    return sum(comb(count, each) * share**each * (1 - share) ** (count - each) for each in range(hits + 1))
