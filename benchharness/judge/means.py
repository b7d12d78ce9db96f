"""Means over what a model was asked, and their 95 % intervals: documents, prompts, or the chunks of one text in a row.

Documents are taken to be drawn one by one. What is hard in one chunk of a text is hard in the next, too, so chunks are
not: of the demo model's text neighbours' divergences have a correlation of 0.2, and chunks that are 16 apart still of
0.07. Taken one by one they promise too much. An interval over chunks speaks of this text: a text that goes on to other
things is seen by nobody who has read one stretch of it, and several documents tell more than a long one.

    Both         Student's t of the linearised ratio of sums; of its logarithm where nothing can be below 0, as such
                 losses are skewed.
    One by one   the standard error of the jackknife, which leaves each out in turn and so holds for lengths that
                 differ (MacKinnon, Nielsen and Webb 2023), and Kish's effective number less one as degrees of freedom:
                 of equal lengths that is Student's t as ever.
    In a row     the mean square of the 0.4 n^(2/3) slowest cosines of the row, with as many degrees of freedom
                 (Lazarus, Lewis, Stock and Watson, HAR inference: recommendations for practice, 2018); no narrower
                 than one by one.

`python -m benchmarks texts` has what they hold, `python -m benchmarks.texts_rivals` what others do.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchharness.judge import student
from benchharness.results.result import Estimate

Floats = NDArray[np.float64]

#: Fewer of anything than this carry no interval.
FEWEST = 5
#: Ratios that differ by less than this share of them are the same.
_ROUNDED = 1e-12
#: What such an interval is called, and what is said where it is over things in a row, or of logarithms.
STUDENT, IN_A_ROW, OF_LOGARITHMS = "Student's t", "in a row", "of logarithms"
#: Where no token differs, what the interval is that of.
AS_IF_ONE = "as if one token differed"


def slow_cosines(count: int) -> int:
    """How many cosines of so many things in a row tell how far their mean is off; at least one."""
    return max(1, round(0.4 * math.pow(count, 2 / 3)))


def mean_over(
    values: Sequence[float] | Floats,
    *,
    statistic: str,
    unit: str,
    in_a_row: bool = False,
    positive: bool = False,
    through: Callable[[float], float] = float,
) -> Estimate:
    """The mean of one value for each thing, as `ratio_over` has it of things that weigh the same."""
    return ratio_over(
        values,
        np.ones(len(values)),
        statistic=statistic,
        unit=unit,
        in_a_row=in_a_row,
        positive=positive,
        through=through,
    )


def ratio_over(
    sums: Sequence[float] | Floats,
    weights: Sequence[float] | Floats,
    *,
    statistic: str,
    unit: str,
    in_a_row: bool = False,
    positive: bool = False,
    through: Callable[[float], float] = float,
) -> Estimate:
    """The sum of things' sums, of any sign, over that of their weights, and its 95 % interval, all `through` a function
    that rises or falls: such as the mean over all tokens of documents of any length.

    `in_a_row`: they follow each other, and neighbours are alike. `positive`: none can be below 0, not of others either;
    that none of these is says nothing. There is no interval of fewer than five, nor where all have one ratio: how far
    others would be off is not told by them.
    """
    above, below = np.asarray(sums, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    count = len(above)
    if not count:
        return Estimate(value=None, statistic=statistic, reason=f"no {unit}")
    with np.errstate(over="ignore", invalid="ignore"):  # no number then, which `finite` says
        ratio = float(above.sum() / below.sum())
        found = Estimate(value=through(ratio), count=1, statistic=statistic, drawn=count, drawn_unit=unit)
        if reason := _why_none(above, below, unit):
            return finite(replace(found, reason=reason))
        spread = (_in_a_row if in_a_row else _one_by_one)(above, below)
        ends, scale = spread.ends(ratio, positive=positive and _none_below_zero(above))
        low, high = sorted(through(end) for end in ends)
    row = f" {IN_A_ROW}" if in_a_row else ""
    over = f"interval over {count} {unit}{row}, {STUDENT}{scale}, {freedom_text(spread.freedom)}"
    return finite(replace(found, low=low, high=high, statistic=f"{statistic}, {over}"))


def finite(found: Estimate) -> Estimate:
    """An estimate without numbers that are larger than a computer holds: the largest one it holds is none of them."""
    if found.value is not None and not math.isfinite(found.value):
        reason = f"larger than {sys.float_info.max:.0e}, the largest number that is stored"
        return replace(found, value=None, low=None, high=None, reason=reason)
    if not all(end is None or math.isfinite(end) for end in (found.low, found.high)):
        reason = "the interval's end is larger than any number that is stored"
        return replace(found, low=None, high=None, reason=reason)
    return found


def less(figures: Floats, others: Floats) -> Floats:
    """Differences. Of two that are larger than any number there is none, which the estimate made of it says."""
    with np.errstate(invalid="ignore"):
        found: Floats = figures - others
    return found


def _none_below_zero(above: Floats) -> bool:
    """But for what rounding leaves beside larger ones: sums of nothing but that are of any sign."""
    return bool(above.min() >= -_ROUNDED * above.max())


def _why_none(above: Floats, below: Floats, unit: str) -> str:
    """Why there is no interval; empty where there is one."""
    count = len(above)
    if count < FEWEST:
        counted = f"1 {unit.removesuffix('s')}" if count == 1 else f"{count} {unit}"
        return f"{counted}, and an interval needs {FEWEST}"
    if np.count_nonzero(below) < FEWEST:
        return f"{np.count_nonzero(below)} of {count} {unit} have any weight, and an interval needs {FEWEST}"
    if np.abs(above - above.sum() / below.sum() * below).max() <= _ROUNDED * np.abs(above).max():
        told = "differs from the others" if above.any() else "differs"
        return f"none of the {count} {unit} {told}, and how many others would is not told by them"
    return ""


def freedom_text(freedom: float) -> str:
    """`4 degrees of freedom`."""
    return f"{freedom:.3g} degree{'' if freedom == 1 else 's'} of freedom"


def freedom_of(statistic: str) -> float | None:
    """What `freedom_text` wrote into a statistic."""
    told = re.search(r"([\d.]+(?:e\+\d+)?) degrees? of freedom", statistic)
    return float(told[1]) if told else None


@dataclass(frozen=True)
class Spread:
    """How far a figure is off: its standard error, and the degrees of freedom that this is known with."""

    error: float
    freedom: float

    @property
    def half(self) -> float:
        """Half a 95 % interval."""
        return student.quantile(self.freedom) * self.error

    def ends(self, value: float, *, positive: bool) -> tuple[tuple[float, float], str]:
        """The interval's ends, and a word on the scale; of what cannot be below 0 by its logarithm."""
        if not positive or value <= 0:
            return (value - self.half, value + self.half), ""
        with np.errstate(over="ignore"):  # infinite then, which whoever asks says
            factor = float(np.exp(self.half / value))
        return (value / factor, value * factor), f" {OF_LOGARITHMS}"


def left_out(figures: Floats, weights: Floats) -> Spread:
    """The spread of a figure by its values where each thing is left out in turn; `weights`: those of the things."""
    count = len(figures)
    error = math.sqrt((count - 1) / count * float(((figures - figures.mean()) ** 2).sum()))
    return Spread(error=error, freedom=max(1.0, float(weights.sum() ** 2 / (weights**2).sum()) - 1))


def _one_by_one(above: Floats, below: Floats) -> Spread:
    return left_out((above.sum() - above) / (below.sum() - below), below)


def _in_a_row(above: Floats, below: Floats) -> Spread:
    """By what things pull at the ratio: each slow cosine of the pulls varies as much as their sum.

    Never less than one by one: alike as neighbours are, that a few cosines happen to be small says nothing.
    """
    from scipy import fft  # takes long to load, and documents need none

    count, most = len(above), slow_cosines(len(above))
    pulls = (above - above.sum() / below.sum() * below) / below.mean()
    cosines = fft.dct(pulls, type=2, norm="ortho")[1 : most + 1]  # a matrix of them is 30 GB for a million chunks
    slow = Spread(error=math.sqrt(float((cosines**2).mean()) / count), freedom=most)
    return max(slow, _one_by_one(above, below), key=lambda spread: spread.half)
