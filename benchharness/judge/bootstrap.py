"""Intervals over inputs: how much a mean would move, had other texts or pictures been drawn.

Errors within a text are correlated, so the document or the chunk of text is what is drawn again, not the token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchharness.judge.student import LEVEL
from benchharness.results.result import Estimate

#: Draws: the ends of a 95 % interval then move by about a hundredth of its width from seed to seed.
_DRAWS = 5000
_SEED = 20_260_301
#: Of inputs drawn, as many at once as memory holds with ease.
_MOST_INDICES = 1 << 22
#: What a share's interval is called.
CLOPPER_PEARSON = "Clopper-Pearson"
#: Fewer inputs than this carry no interval.
FEWEST = 5


def mean_over(
    values: Sequence[float] | NDArray[np.float64],
    *,
    statistic: str,
    unit: str = "chunks",
    through: Callable[[float], float] = float,
) -> Estimate:
    """The mean of one value per input, and its 95 % interval (percentile bootstrap); both `through` a rising function.

    `unit` names the inputs in the reason where there are too few of them.
    """
    drawn = np.asarray(values, dtype=np.float64)
    if drawn.size == 0:
        return Estimate(value=None, statistic=statistic, reason=f"no {unit}")
    mean = through(float(drawn.mean()))
    if drawn.size < FEWEST:
        counted = f"1 {unit.removesuffix('s')}" if drawn.size == 1 else f"{drawn.size} {unit}"
        reason = f"{counted}, and an interval needs {FEWEST}"
        return Estimate(value=mean, count=1, statistic=statistic, reason=reason)
    low, high = (through(end) for end in _ends(drawn))
    drawn_of = int(drawn.size)
    return Estimate(value=mean, low=low, high=high, count=1, statistic=statistic, drawn=drawn_of, drawn_unit=unit)


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    generator = np.random.default_rng(_SEED)
    means = np.empty(_DRAWS)
    for start in range(0, _DRAWS, 500):  # a block at a time: the indices of all draws need not fit in memory
        indices = generator.integers(0, values.size, (min(500, _DRAWS - start), values.size))
        means[start : start + len(indices)] = values[indices].mean(axis=1)
    outside = (1 - LEVEL) / 2
    low, high = np.quantile(means, (outside, 1 - outside))
    return float(low), float(high)


def ratio_over(
    sums: Sequence[float] | NDArray[np.float64],
    weights: Sequence[float] | NDArray[np.float64],
    *,
    statistic: str,
    unit: str,
    through: Callable[[float], float] = float,
) -> Estimate:
    """The sum of inputs' sums over the sum of their weights, and its interval as `mean_over` has it.

    Such as the mean over all tokens of documents of any length: a document is drawn again with its length.
    """
    drawn, counts = np.asarray(sums, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    value = through(float(drawn.sum() / counts.sum()))
    if drawn.size < FEWEST:
        counted = f"1 {unit.removesuffix('s')}" if drawn.size == 1 else f"{drawn.size} {unit}"
        reason = f"{counted}, and an interval needs {FEWEST}"
        return Estimate(value=value, count=1, statistic=statistic, reason=reason)
    generator = np.random.default_rng(_SEED)
    ratios = np.empty(_DRAWS)
    at_once = max(1, min(500, _MOST_INDICES // drawn.size))
    for start in range(0, _DRAWS, at_once):
        indices = generator.integers(0, drawn.size, (min(at_once, _DRAWS - start), drawn.size))
        ratios[start : start + len(indices)] = drawn[indices].sum(axis=1) / counts[indices].sum(axis=1)
    outside = (1 - LEVEL) / 2
    low, high = (through(float(end)) for end in np.quantile(ratios, (outside, 1 - outside)))
    return Estimate(value=value, low=low, high=high, count=1, statistic=statistic)


def exact_mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of the exact McNemar test: `gained` inputs only the variant has right, `lost` only the reference."""
    from scipy.stats import binomtest

    return float(binomtest(min(gained, lost), gained + lost, 0.5).pvalue) if gained + lost else 1.0


def clopper_pearson(hits: float, trials: int) -> tuple[float, float]:
    """The 95 % Clopper-Pearson interval of a share; of hits in between whole ones it is in between, too."""
    from scipy import special

    outside = (1 - LEVEL) / 2
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, trials - hits + 1, outside))
    high = 1.0 if hits == trials else float(special.betaincinv(hits + 1, trials - hits, 1 - outside))
    return low, high
