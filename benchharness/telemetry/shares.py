"""How sure a share of counted devices is, and a quantile of their bins: noise and sampling together. Pure.

Devices are drawn one by one from those that may ever send, and each has one vote, so the true count on one side of an
edge is binomial: Clopper and Pearson's interval. What noise did to the counts is known but for its draw: a sum of
discrete Laplace variables. Each side's error is shared between the two, which covers both and a little more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: That an end of an interval is on the wrong side: half of 5 %.
_ONE_SIDE = 0.025
#: Of that, for each of the two noisy counts that an end is made of; the rest is for which devices were drawn.
_FOR_NOISE = 0.005
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


def _noise_tails(bins: int, scale: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """At k: the probability that the sum of `bins` discrete Laplace variables is larger than k, for k from 0 on.

    By the characteristic function: (1 - a)^2 / (1 - 2 a cos t + a^2) for each, a = exp(-1 / scale).
    """
    size = 1 << math.ceil(math.log2(_WIDTHS * scale * math.sqrt(2 * bins) + 128))
    a = math.exp(-1 / scale)
    angles = 2 * np.pi * np.arange(size // 2 + 1) / size
    one = (1 - a) ** 2 / (1 - 2 * a * np.cos(angles) + a * a)
    probabilities = np.fft.irfft(one**bins, size)[: size // 2]  # of 0, 1, 2 ...; it is symmetric
    above: np.ndarray[tuple[int], np.dtype[np.float64]] = np.cumsum(probabilities[::-1])[::-1] - probabilities
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


def quantile(counts: Sequence[int], edges: Sequence[int], share_below: float, scale: float) -> Range:
    """The value below which this share of votes lies: the middle of its bin, and edges that it lies between.

    From below, edges are given up one by one while they are surely too low, and the first that is not ends it; the
    same from above. Only the first edge that is truly no longer too low can be given up wrongly, so however many there
    are, nothing has to be paid for looking at each. A bin without a lower or an upper edge has no middle.
    """
    bins, total = len(counts), sum(counts)
    below = np.cumsum(counts).tolist()
    low: float | None = None
    for at, edge in enumerate(edges):
        if 1 - lower_bound(total - below[at], bins - at - 1, below[at], at + 1, scale) >= share_below:
            break
        low = edge
    high: float | None = None
    for at in range(len(edges) - 1, -1, -1):
        if lower_bound(below[at], at + 1, total - below[at], bins - at - 1, scale) < share_below:
            break
        high = edges[at]
    if low is not None and high is not None and low >= high:  # noise made both ends err, and nothing is known
        return Range(value=None, low=None, high=None)
    return Range(value=_within(_middle(below, total, edges, share_below), low, high), low=low, high=high)


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
