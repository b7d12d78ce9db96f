"""Shares: exact intervals, and the exact test of pairs."""

from __future__ import annotations

from benchharness.judge.student import LEVEL

#: What a share's interval is called.
CLOPPER_PEARSON = "Clopper-Pearson"


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
