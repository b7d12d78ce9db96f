"""How sure a share of counted devices is, and a quantile of their bins: noise and sampling together. Pure.

Devices are drawn one by one from those that may ever send, and each has one vote, so the true count on one side of an
edge is binomial: Clopper and Pearson's interval. What noise did to the counts is known but for its draw: a sum of
discrete Laplace variables. A quantile is tested with the distribution of both together; an interval of a share divides
its error between the two, which covers both and a little more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
#: That an end of an interval is on the wrong side: half of 5 %.
_ONE_SIDE = 0.025
#: Of that, for each of the two noisy counts that an end is made of; the rest is for which devices were drawn.
_FOR_NOISE = 0.005
#: And of a quantile's, for how many votes there are in all.
_FOR_TOTAL = 0.001
#: A transform is as wide as so many standard deviations to each side.
_DEVIATIONS = 16
#: Noise as wide as this many standard deviations is in the sums; what is beyond weighs less than a double can tell.
_WIDTHS = 60


@dataclass(frozen=True, kw_only=True)
class Range:
    """A value and its 95 % interval; None: not known, or an end that nothing bounds."""

    value: float | None
    low: float | None
    high: float | None


@lru_cache(maxsize=4096)
def noise_beyond(bins: int, scale: float, error: float = _FOR_NOISE) -> int:
    """The smallest whole number that the noise of so many bins together exceeds with no more than this probability."""
    if scale == 0 or bins == 0:
        return 0
    tails = _noise_tails(bins, scale)
    return int(np.argmax(tails <= error))


def _noise_tails(bins: int, scale: float) -> Numbers:
    """At k: the probability that the sum of `bins` discrete Laplace variables is larger than k, for k from 0 on."""
    size = 1 << math.ceil(math.log2(_WIDTHS * scale * math.sqrt(2 * bins) + 128))
    one = _transform(2 * np.pi * np.arange(size // 2 + 1) / size, scale)
    probabilities = np.fft.irfft(one**bins, size)[: size // 2]  # of 0, 1, 2 ...; it is symmetric
    above: Numbers = np.cumsum(probabilities[::-1])[::-1] - probabilities
    return np.maximum(above, 0.0)


def share(part: int, part_bins: int, rest: int, rest_bins: int, scale: float) -> Range:
    """What share `part` is of `part` and `rest`, each the sum of so many bins with noise of this scale on each.

    Either may be negative, as noise makes empty bins; where nothing is excluded there is no value either.
    """
    total = part + rest
    value = min(max(part / total, 0.0), 1.0) if total > 0 else None
    low = lower_bound(part, part_bins, rest, rest_bins, scale)
    high = 1 - lower_bound(rest, rest_bins, part, part_bins, scale)
    if value is not None:
        value = None if (low, high) == (0.0, 1.0) else min(max(value, low), high)
    return Range(value=value, low=low, high=high)


def lower_bound(part: int, part_bins: int, rest: int, rest_bins: int, scale: float) -> float:
    """What the share is at least, in 97.5 of 100 fleets."""
    from scipy.special import betaincinv  # scipy, which few commands need

    error = _ONE_SIDE if scale == 0 else _ONE_SIDE - 2 * _FOR_NOISE
    least = max(part - noise_beyond(part_bins, scale), 0)
    most = max(rest + noise_beyond(rest_bins, scale), 0)
    return float(betaincinv(least, most + 1, error)) if least else 0.0


def quantile(counts: Sequence[int], edges: Sequence[int], percent: int, scale: float) -> Range:
    """The value below which so many percent of votes lie: the middle of its bin, and edges that it lies between.

    From below, edges are given up one by one while they are surely too low, and the first that is not ends it; the
    same from above. Only the first edge that is truly no longer too low can be given up wrongly, so however many there
    are, nothing has to be paid for looking at each. A bin without a lower or an upper edge has no middle.
    """
    if scale and sum(counts) <= noise_beyond(len(counts), scale, _FOR_TOTAL):  # there may be no device
        return Range(value=None, low=None, high=None)
    below = np.cumsum(counts).tolist()
    sides = _Sides(counts, percent, scale)
    low: float | None = None
    for at, edge in enumerate(edges):
        if not sides.too_low(at, below[at]):
            break
        low = edge
    high: float | None = None
    for at in range(len(edges) - 1, -1, -1):
        if not sides.high_enough(at, below[at]):
            break
        high = edges[at]
    if low is not None and high is not None and low >= high:  # noise made both ends err, and nothing is known
        return Range(value=None, low=None, high=None)
    value = _within(_middle(below, sum(counts), edges, percent / 100), low, high)
    return Range(value=value, low=low, high=high)


class _Sides:
    """Whether an edge is surely below a quantile, or surely not: a test of how many votes are on either side of it.

    Votes below weigh `up`, those above `-down`, so that the sum is 0 on average where the edge is the quantile: 1 and
    -19 for p95. Both weights are whole, and so the whole distribution of the sum is one Fourier transform: votes that
    are drawn, and the noise of every bin, times its weight.
    """

    def __init__(self, counts: Sequence[int], percent: int, scale: float) -> None:
        common = math.gcd(percent, 100)
        self._down, self._up = percent // common, (100 - percent) // common
        self._share, self._scale, self._bins = percent / 100, scale, len(counts)
        self._total = sum(counts)
        # More votes spread further: as many are taken as there may be, which noise seldom exceeds.
        self._most = self._total + noise_beyond(self._bins, scale, _FOR_TOTAL)
        self._error = _ONE_SIDE - (_FOR_TOTAL if scale else 0.0)

    def too_low(self, at: int, below: int) -> bool:
        """Whether fewer votes lie below the edge than can be, were the quantile at it or below it."""
        return self._is_rare(at, below, sign=-1)

    def high_enough(self, at: int, below: int) -> bool:
        """Whether more votes lie below the edge than can be, were the quantile above it."""
        return self._is_rare(at, below, sign=1)

    def _is_rare(self, at: int, below: int, *, sign: int) -> bool:
        seen = sign * (self._up * below - self._down * (self._total - below))
        if self._most <= 0 or seen <= 0:
            return False
        if seen >= self._deviation(at) * math.sqrt(1 / self._error - 1):  # Cantelli's inequality, and no transform
            return True
        return (self._tail(at, seen, sign) if self._scale else self._binomial(below, sign)) <= self._error

    def _binomial(self, below: int, sign: int) -> float:
        """The probability of so many below and more, or of so many and fewer, where no noise is added."""
        from scipy.special import bdtr, bdtrc

        if sign < 0:
            return float(bdtr(below, self._total, self._share))
        return float(bdtrc(below - 1, self._total, self._share))

    def _deviation(self, at: int) -> float:
        votes = self._most * (self._share * self._up**2 + (1 - self._share) * self._down**2)
        a = math.exp(-1 / self._scale) if self._scale else 0.0
        one = 2 * a / (1 - a) ** 2  # variance of a discrete Laplace variable
        return math.sqrt(votes + one * ((at + 1) * self._up**2 + (self._bins - at - 1) * self._down**2))

    def _tail(self, at: int, seen: int, sign: int) -> float:
        """The probability of `seen` or more, on the side of `sign`, where the edge is the quantile."""
        size, votes, up, down = self._transforms
        found = np.fft.irfft(votes * np.exp((at + 1) * up + (self._bins - at - 1) * down), size)
        return float((found[seen : size // 2] if sign > 0 else found[size // 2 : size - seen + 1]).sum())

    @cached_property
    def _transforms(self) -> tuple[int, NDArray[np.complex128], Numbers, Numbers]:
        """A size that holds every sum, the transform of all votes, and the logs of those of noise below and above."""
        widest = max(self._deviation(0), self._deviation(self._bins - 1))
        size = 1 << math.ceil(math.log2(2 * _DEVIATIONS * widest + 128))
        angles = 2 * np.pi * np.arange(size // 2 + 1) / size
        # numpy's inverse transform turns the other way: what is above zero has an exponent below it.
        vote = self._share * np.exp(1j * self._up * -angles) + (1 - self._share) * np.exp(1j * self._down * angles)
        noise = [np.log(_transform(weight * angles, self._scale)) for weight in (self._up, self._down)]
        return size, vote**self._most, noise[0], noise[1]


def _transform(angles: Numbers, scale: float) -> Numbers:
    """The characteristic function of a discrete Laplace variable: (1 - a)^2 / (1 - 2 a cos t + a^2)."""
    a = math.exp(-1 / scale)
    found: Numbers = (1 - a) ** 2 / (1 - 2 * a * np.cos(angles) + a * a)
    return found


def _middle(below: Sequence[int], total: int, edges: Sequence[int], share_below: float) -> float | None:
    """The middle of the bin that the quantile is most likely in, on a logarithmic scale.

    Noisy sums cross the share several times: the bin is where what is below it lacks most, over all bins before.
    """
    if total <= 0:
        return None
    lacking = np.cumsum([each - share_below * total for each in below[:-1]])
    at = int(np.argmin(lacking)) + 1 if min(lacking) < 0 else 0
    if not 0 < at < len(edges):
        return None
    lower, upper = edges[at - 1], edges[at]
    return math.sqrt(lower * upper) if lower else upper / 2


def _within(value: float | None, low: float | None, high: float | None) -> float | None:
    """A middle that nothing bounds, or that lies outside of what is sure, would say more than is known."""
    if value is None or (low is None and high is None):
        return None
    if (low is not None and value < low) or (high is not None and value > high):
        return None
    return value
