"""Whether the 95 % intervals of SQNR hold what they promise: simulations of which the truth is known.

An input's signal and noise power are log-normal. Noise that spreads by sigma 0.3 to 0.75 between inputs is the claim;
sigma 1, where one input in forty is seven times noisier than the middle one, is shown as a control.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np

from benchharness.judge.exact_shares import clopper_pearson
from benchharness.judge.ratios import ratio_of_sums
from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import Options, run_alone
from benchmarks.processes import load_average

COUNTS = (20, 100, 500)
SPREADS = (0.3, 0.5, 0.75, 1.0)
#: Spreads that the claim is about; and of the signal.
CLAIMED, SIGNAL = 0.75, 0.3
LOW, HIGH = 0.93, 0.97
#: Simulations of one kind, at most: then the coverage is known to 0.8 %.
MOST = 3000


def measure(options: Options) -> Bar:
    """The share of simulations whose interval holds the truth, by spread and inputs."""
    before, findings = load_average(), []
    kinds = list(itertools.product(SPREADS, COUNTS))
    for spread, count in kinds:
        until_s = time.monotonic() + options.max_time_s / len(kinds)
        hits, times = _simulated(spread, count, options.seed, until_s)
        low, high = clopper_pearson(hits, times)
        share = Estimate(value=hits / times, low=low, high=high, count=times, statistic=f"{hits} of {times}")
        findings.append(
            Finding(
                label=f"noise of sigma {spread:g}, {count} inputs",
                ratio=share,
                per_round=(),
                absolute=f"{hits} of {times} intervals hold the truth",
                criterion=_claimed() if spread <= CLAIMED else None,
            )
        )
    return Bar(
        name="coverage",
        claim="95 % intervals of SQNR hold the truth in 93 to 97 % of cases",
        findings=findings,
        conditions=[f"signal of sigma {SIGNAL:g}", "log-normal powers, drawn in numpy's PCG64"],
        load=(before, load_average()),
    )


def _simulated(spread: float, count: int, seed: int, until_s: float) -> tuple[int, int]:
    """(hits, simulations), as many as the time allows."""
    random = np.random.default_rng([seed, count, int(spread * 100)])
    truth = math.exp((spread**2 - SIGNAL**2) / 2)
    hits = times = 0
    while times < MOST and (times < 100 or time.monotonic() < until_s):
        noise = np.exp(spread * random.standard_normal(count))
        found = ratio_of_sums(noise, np.exp(SIGNAL * random.standard_normal(count)), statistic="")
        hits += found.low is not None and found.high is not None and found.low <= truth <= found.high
        times += 1
    return hits, times


def _claimed() -> Criterion:
    """Missed where coverage is surely outside; passed where it reads inside."""

    def judge(share: Estimate) -> Verdict:
        if share.value is None or share.low is None or share.high is None or share.high < LOW or share.low > HIGH:
            return Verdict.MISS
        return Verdict.PASS if LOW <= share.value <= HIGH else Verdict.UNDECIDED

    return Criterion(says="93 to 97 %", low=LOW, high=HIGH, judge=judge)


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.coverage --max-time '2 min'")
