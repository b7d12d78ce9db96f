"""How much two things differ that were asked the same: intervals over inputs that both answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchharness.judge import student
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.judge.means import FEWEST, STUDENT, finite, freedom_text, left_out, less
from benchharness.judge.student import LEVEL
from benchharness.results.result import Estimate

Floats = NDArray[np.float64]

#: The ends of an interval are the 2.5th and 97.5th of a hundred draws: of fewer they are the most extreme ones.
_FEWEST_DRAWS = 100
#: Quantiles of draws of fewer things are too close together, widened as they are: of five they hold 92 and not 95 %.
_FEWEST_DRAWN = 8
_HALVINGS = 60
#: Differences that are apart by less than this share of them are the same.
_ROUNDED = 1e-12
#: What such an interval is called.
OF_SHARES = "the outer ends of Tango's interval and the exact one of those that differ"


def difference_of_shares(first_only: int, second_only: int, pairs: int) -> tuple[float, float]:
    """The 95 % interval of the first's share less the second's, over `pairs` that both answered: outer ends of two.

    Tango's, which is no point where no pair differs: of 200 that agree, 1.9 points either way are left. And the exact
    one of the pairs that differ (Clopper-Pearson), so that it never excludes 0 where McNemar's exact test does not.
    """
    low, high = score_interval(first_only, second_only, pairs)
    differing = first_only + second_only
    if differing:
        shares = clopper_pearson(first_only, differing)
        ends = [(2 * share - 1) * differing / pairs for share in shares]
        low, high = min(low, ends[0]), max(high, ends[1])
    return low, high


def score_interval(first_only: int, second_only: int, pairs: int) -> tuple[float, float]:
    """Where a score test of that difference does not reject it (Tango 1998)."""

    def score(difference: float) -> float:
        return _score(difference, first_only, second_only, pairs)

    z = float(special.ndtri((1 + LEVEL) / 2))
    seen = (first_only - second_only) / pairs
    return _crossing(score, z, -1.0, seen), _crossing(score, -z, seen, 1.0)


def _score(difference: float, first_only: int, second_only: int, pairs: int) -> float:
    """The score statistic of a difference: it falls as that rises, through zero where it is the one seen."""
    both = first_only + second_only
    linear = (2 * pairs - first_only + second_only) * difference - both
    constant = -second_only * difference * (1 - difference)
    share = (math.sqrt(max(linear**2 - 8 * pairs * constant, 0.0)) - linear) / (4 * pairs)
    variance = pairs * (2 * share + difference * (1 - difference))
    distance = first_only - second_only - pairs * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _crossing(score: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a falling function has this value."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > level else (low, middle)
    return (low + high) / 2


def difference_of_quotients(
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    *,
    statistic: str,
    unit: str,
    through: Callable[[Floats], Floats] = np.asarray,
) -> Estimate:
    """The first's quotient of sums less the second's, each `through` a function; both of the same inputs.

    Each is a pair: what every input adds to the sum, and to its divisor. Each input is left out in turn, of both sides
    (`judge/means`). Where no input differs there is no interval: equal ones say nothing of others.
    """
    count = len(first[0])
    sums = [(np.asarray(above.sum()), np.asarray(below.sum())) for above, below in (first, second)]
    value = float(less(_quotient(sums[0], through), _quotient(sums[1], through)))
    if not math.isfinite(value):
        return Estimate(value=None, statistic=statistic, reason=f"one of the two has no value over these {unit}")
    found = Estimate(value=value, count=1, statistic=statistic, drawn=count, drawn_unit=unit)
    if count < FEWEST:
        return _without(found, f"{count} {unit}, and an interval needs {FEWEST}")
    if all(np.array_equal(one, other) for one, other in zip(first, second, strict=True)):
        return _without(found, f"none of the {count} {unit} differs, and how many others would is not told by them")
    without = less(_quotient(_rest(first), through), _quotient(_rest(second), through))
    if not np.isfinite(without).all():
        return _without(found, f"without one of the {count} {unit} there is no value")
    if np.ptp(without) <= _ROUNDED * abs(value):
        return _without(found, f"all {count} {unit} differ alike, and by how much others would is not told by them")
    with np.errstate(over="ignore"):  # no number then, which `finite` says
        spread = left_out(without, np.maximum(first[1], second[1]))
    (low, high), _ = spread.ends(value, positive=False)
    how = f"{statistic}, interval over {count} {unit}, {STUDENT}, {freedom_text(spread.freedom)}"
    return finite(replace(found, low=low, high=high, statistic=how))


def difference_of_draws(
    first: Floats, second: Floats, value: float, *, statistic: str, count: int, unit: str
) -> Estimate:
    """The same of two figures that were computed of inputs drawn alike: draw by draw."""
    shared = min(len(first), len(second))
    found = Estimate(value=value, count=1, statistic=statistic, drawn=count, drawn_unit=unit)
    if why := _too_few(shared, count, unit):
        return _without(found, why)
    differences = first[:shared] - second[:shared]
    if not differences.any():
        return _without(found, f"no draw of the {count} {unit} tells the two apart")
    return _between(found, differences)


def interval_of_draws(drawn: Floats, value: float, *, statistic: str, count: int, unit: str) -> Estimate:
    """A figure of all inputs, and the interval that it has where they are drawn again."""
    found = Estimate(value=value, count=1, statistic=statistic, drawn=count, drawn_unit=unit)
    if why := _too_few(len(drawn), count, unit):
        return _without(found, why)
    return _between(found, drawn)


def _too_few(draws: int, count: int, unit: str) -> str:
    """Why a figure that was drawn again has no interval; empty where it has one."""
    if count < _FEWEST_DRAWN:
        return f"{count} {unit}, and an interval of what is drawn needs {_FEWEST_DRAWN}"
    if draws < _FEWEST_DRAWS:
        return f"{draws} draws of the {unit} were made in time or have a value, and an interval needs {_FEWEST_DRAWS}"
    return ""


def _rest(parts: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """The sums where each input is left out in turn."""
    return parts[0].sum() - parts[0], parts[1].sum() - parts[1]


def _quotient(parts: tuple[Floats, Floats], through: Callable[[Floats], Floats]) -> Floats:
    above, below = parts
    with np.errstate(divide="ignore", invalid="ignore"):  # documents without weight alone: no quotient
        return through(above / below)


def _between(found: Estimate, drawn: Floats) -> Estimate:
    """Quantiles of draws, widened to Student's t of so many things (the expanded percentiles of Hesterberg 2015)."""
    usable = drawn[np.isfinite(drawn)]
    if len(usable) < len(drawn):
        return _without(found, f"{len(drawn) - len(usable)} of {len(drawn)} draws have no value")
    wide = student.quantile(found.drawn - 1) * math.sqrt(found.drawn / (found.drawn - 1))
    low, high = np.quantile(usable, special.ndtr([-wide, wide]))
    value = found.value or 0.0
    return replace(found, low=min(float(low), value), high=max(float(high), value))


def _without(found: Estimate, reason: str) -> Estimate:
    return replace(found, reason=reason)
