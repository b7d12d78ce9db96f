"""Whether a device still measures as it used to: how far a build is from itself, night by night. Pure.

A build is compared with itself in pairs; the spread of a metric is the standard deviation of the logarithms of their
ratios. A device whose spread leaves its own history has changed, whatever its figures say: a loose heat sink, a worn
battery, another program. No limit is the same for a phone and a server, so each is held against itself alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median, stdev

from benchharness.judge.builds import primary_of, twins
from benchharness.judge.pairs import rounds_of
from benchharness.results.result import Result

#: With fewer pairs a spread says nothing of itself, and with fewer nights nothing is known of a device.
LEAST_PAIRS, LEAST_NIGHTS = 8, 8
#: So many of its own deviations away from its median, in logarithms, a spread has left.
_AWAY = 5.0
#: A spread of 8 pairs varies by about 27 % by chance alone; a history that seems calmer was lucky.
_LEAST_DEVIATION = 0.27
#: What makes the median of distances from the median a standard deviation.
_NORMAL = 1.4826

#: Of a job's cell and a metric.
Spreads = Mapping[tuple[str, str], float]


def spreads_in(results: Iterable[Result], primary: Sequence[str]) -> dict[tuple[str, str], float]:
    """How far each build of a run is from itself; nothing of pairs whose sides are different builds."""
    found = {}
    for pair in twins(results):
        if pair.base.job.digest != pair.candidate.job.digest:
            continue
        for base, candidate in primary_of(pair, primary):
            ratios = [other / one for one, other in rounds_of(base, candidate).values() if one > 0 and other > 0]
            if len(ratios) >= LEAST_PAIRS and (spread := stdev(map(math.log, ratios))) > 0:
                found[pair.candidate.job.cell, candidate.name] = spread
    return found


def left_its_history(earlier: Sequence[float], now: float) -> bool:
    """Whether a spread is larger than its history lets expect; never of a short history."""
    if len(earlier) < LEAST_NIGHTS:
        return False
    logarithms = [math.log(each) for each in earlier]
    middle = median(logarithms)
    deviation = max(_LEAST_DEVIATION, _NORMAL * median(abs(each - middle) for each in logarithms))
    return math.log(now) - middle > _AWAY * deviation


def told(earlier: Sequence[Spreads], now: Spreads) -> str:
    """What left its history, in words; nothing where all is as it was."""
    for key, spread in now.items():
        before = [each[key] for each in earlier if key in each]
        if left_its_history(before, spread):
            usual = math.exp(median(map(math.log, before)))
            return (
                f"a build is {spread / usual:.1f} times as far from itself in {key[1]} as in {len(before)} nights "
                f"before ({spread * 100:.1f} % instead of {usual * 100:.1f} %)"
            )
    return ""
