"""What would decide a budget that an interval spans: how many inputs or attempts, or that no number of them would.

An estimate of an estimate: an interval narrows with the square root of what it is over, Student's t with its degrees of
freedom besides, and the value it is around would move too. So it says about how many, and is never more than a hint.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from benchharness.judge.exact_shares import CLOPPER_PEARSON, clopper_pearson
from benchharness.judge.means import AS_IF_ONE, IN_A_ROW, OF_LOGARITHMS, STUDENT, freedom_of, slow_cosines
from benchharness.judge.student import quantile
from benchharness.results.result import Estimate

#: More inputs than this nobody evaluates on.
_MOST_INPUTS = 1_000_000
#: As many attempts as a suite may ask for.
_MOST_ATTEMPTS = 1000


def what_would_decide(estimate: Estimate, limit: float) -> str:
    """Words for an estimate whose interval spans a limit; "" where nothing is known of what it is over."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return ""
    of_inputs = estimate.drawn > 0
    if not of_inputs and estimate.count < 2:
        return ""
    noun = estimate.drawn_unit if of_inputs else "attempts"
    if estimate.value == limit:
        return f"the value lies on it, so that no number of {noun} would decide it"
    if of_inputs:
        needed = _inputs_needed(estimate, limit)
        told = f"more than {_MOST_INPUTS:,}" if needed is None else f"about {needed:,}"
        return f"{told} {noun} would decide it; there are {estimate.drawn:,}"
    needed = _attempts_needed(estimate, limit)
    if needed is None:
        return f"no number of attempts that a suite can ask for ({_MOST_ATTEMPTS}) would decide it"
    more = needed - estimate.count
    return f"about {more:,} more attempt{'s' if more > 1 else ''} would decide it; there are {estimate.count:,}"


def _inputs_needed(estimate: Estimate, limit: float) -> int | None:
    assert estimate.value is not None
    value, now = estimate.value, estimate.drawn
    if CLOPPER_PEARSON in estimate.statistic:
        return _fewest(now, _MOST_INPUTS, lambda count: _share_decides(value, count, limit))
    end = _end_towards(estimate, limit)
    if STUDENT in estimate.statistic and AS_IF_ONE not in estimate.statistic:
        scale = _scale_of(estimate, limit) if OF_LOGARITHMS in estimate.statistic else float
        ends = (scale(value), scale(end), scale(limit))
        return _narrow_enough(ends, now, _MOST_INPUTS, _freedom(estimate))
    power = 1 if AS_IF_ONE in estimate.statistic else 2  # one of twice as many is half as much
    shrink = (end - value) / (limit - value)
    needed = max(now + 1, math.ceil(now * shrink**power))
    return needed if needed <= _MOST_INPUTS else None


def _freedom(estimate: Estimate) -> Callable[[int], float]:
    """The degrees of freedom of so many: slow cosines of a row, else as many more as there are more of them."""
    now, told = estimate.drawn, freedom_of(estimate.statistic)
    known = now - 1 if told is None else told
    if IN_A_ROW in estimate.statistic and known == slow_cosines(now):
        return slow_cosines
    return lambda count: (known + 1) * count / now - 1


#: What a mean that is never below 0 may be told through: itself or a root, what it lacks of 1, e to it.
_SCALES: tuple[Callable[[float], float], ...] = (
    math.log,
    lambda told: math.log(1 - told),
    lambda told: math.log(math.log(told)),
)


def _scale_of(estimate: Estimate, limit: float) -> Callable[[float], float]:
    """That on which an interval of logarithms reaches equally far to both sides, as it was made."""
    least, scale = min(((_askew(scale, estimate, limit), scale) for scale in _SCALES), key=lambda pair: pair[0])
    return scale if math.isfinite(least) else float


def _askew(scale: Callable[[float], float], estimate: Estimate, limit: float) -> float:
    """How far an interval is from that; infinitely where it has no place there."""
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    try:
        value, low, high, _ = (scale(each) for each in (estimate.value, estimate.low, estimate.high, limit))
    except ValueError:
        return math.inf
    return abs(high + low - 2 * value) / (abs(high - low) or 1.0)


def _share_decides(share: float, count: int, limit: float) -> bool:
    """Hits in proportion: the interval is not symmetric, and at 100 % it narrows with 1 / n."""
    low, high = clopper_pearson(share * count, count)
    return low >= limit if share > limit else high < limit


def _attempts_needed(estimate: Estimate, limit: float) -> int | None:
    """The interval is Student's t of logarithms, where these can be taken."""
    assert estimate.value is not None
    ends = (estimate.value, _end_towards(estimate, limit), limit)
    if min(ends) > 0:
        ends = (math.log(ends[0]), math.log(ends[1]), math.log(ends[2]))
    return _narrow_enough(ends, estimate.count, _MOST_ATTEMPTS, lambda count: count - 1)


def _narrow_enough(
    ends: tuple[float, float, float], now: int, most: int, freedom: Callable[[int], float]
) -> int | None:
    """How many make Student's t no longer reach the limit; `ends`: value, the end towards the limit, and that."""
    value, end, limit = ends
    shrink = abs(limit - value) / abs(end - value)

    def half(count: int) -> float:
        return quantile(freedom(count)) / math.sqrt(count)

    return _fewest(now, most, lambda count: half(count) <= shrink * half(now))


def _end_towards(estimate: Estimate, limit: float) -> float:
    assert estimate.value is not None
    end = estimate.high if limit > estimate.value else estimate.low
    assert end is not None
    return end


def _fewest(now: int, most: int, decides: Callable[[int], bool]) -> int | None:
    """The smallest count above `now` that decides, where all larger ones do; None above `most`."""
    low, high = now, now + 1
    while not decides(high):
        if high >= most:
            return None
        low, high = high, min(most, now + 2 * (high - now))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
