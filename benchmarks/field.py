"""Whether intervals of the field's quantiles and rates hold what they promise: fleets of which the truth is known.

Devices differ from each other and from event to event, and use themselves a lot or a little. Each votes once; noise of
a release over three histograms is added, or none. Without noise an interval errs by which devices were drawn; with
noise it pays for both at once, so it should hold the truth more often than it must.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
from numpy.typing import NDArray

from benchharness.device.tally import HISTOGRAMS
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.results.result import Estimate
from benchharness.telemetry.shares import Range, quantile, share
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import Options, run_alone
from benchmarks.processes import load_average

DEVICES = (50, 300, 3000)
EPSILONS = (None, 1.0, 0.25)
#: Histograms that share an epsilon.
TOGETHER = 3
#: Of the logarithm of a time, between devices and within one; and the median.
BETWEEN, WITHIN, MIDDLE_NS = 0.5, 0.4, 1.2e8
FAILING = 0.03
LOW = 0.95
MOST = 2000
_EDGES = HISTOGRAMS["model_ttft"].edges
_KINDS = len(HISTOGRAMS["session_end"].kinds)


def measure(options: Options) -> Bar:
    """The share of fleets whose interval holds the truth, by devices, epsilon and figure."""
    before, findings = load_average(), []
    kinds = list(itertools.product(DEVICES, EPSILONS))
    for devices, epsilon in kinds:
        until_s = time.monotonic() + options.max_time_s / len(kinds)
        for figure, (hits, times) in simulated(devices, epsilon, options.seed, MOST, until_s).items():
            low, high = clopper_pearson(hits, times)
            told = "no noise" if epsilon is None else f"epsilon {epsilon:g}"
            findings.append(
                Finding(
                    label=f"{figure}, {devices} devices, {told}",
                    ratio=Estimate(value=hits / times, low=low, high=high, count=times, statistic=f"{hits} of {times}"),
                    per_round=(),
                    absolute=f"{hits} of {times} intervals hold the truth",
                    criterion=Criterion(says="95 % and more", low=LOW, high=None, judge=_judged),
                )
            )
    return Bar(
        name="field",
        claim="95 % intervals of the field hold the truth in 95 % of fleets or more",
        findings=findings,
        conditions=["log-normal times, drawn in numpy's PCG64", f"{TOGETHER} histograms share an epsilon"],
        load=(before, load_average()),
    )


def simulated(
    devices: int, epsilon: float | None, seed: int, most: int, until_s: float = math.inf, *, told: bool = True
) -> dict[str, tuple[int, int]]:
    """By figure (intervals that hold the truth, simulations). `told`: whether the intervals know of the noise."""
    random = np.random.default_rng([seed, devices, int(1000 * (epsilon or 0))])
    scale = 0.0 if epsilon is None else TOGETHER / epsilon
    spread = math.hypot(BETWEEN, WITHIN)
    truths = {"p50": MIDDLE_NS, "p95": MIDDLE_NS * math.exp(1.6448536 * spread)}
    hits, times = dict.fromkeys((*truths, "a rate of 3 %"), 0), 0
    while times < most and (times < 50 or time.monotonic() < until_s):
        counts = _noisy(random, _bins(random, devices, spread), scale)
        for name, truth in truths.items():
            found = quantile(counts, _EDGES, int(name[1:]), scale if told else 0.0)
            hits[name] += _holds(found, truth)
        failed = int(random.binomial(devices, FAILING))
        ends = _noisy(random, np.array([devices - failed, failed, *[0] * (_KINDS - 2)]), scale)
        rate = share(ends[1], 1, sum(ends) - ends[1], _KINDS - 1, scale if told else 0.0)
        hits["a rate of 3 %"] += _holds(rate, FAILING)
        times += 1
    return {name: (count, times) for name, count in hits.items()}


def _bins(random: np.random.Generator, devices: int, spread: float) -> NDArray[np.int64]:
    """A vote of each device: an event drawn of a device drawn, so that both spreads are in it."""
    times = MIDDLE_NS * np.exp(spread * random.standard_normal(devices))
    return np.bincount(np.searchsorted(_EDGES, times), minlength=len(_EDGES) + 1)


def _noisy(random: np.random.Generator, counts: NDArray[np.int64], scale: float) -> list[int]:
    if scale:
        chance = 1 - math.exp(-1 / scale)
        counts = counts + random.geometric(chance, len(counts)) - random.geometric(chance, len(counts))
    found: list[int] = counts.tolist()
    return found


def _holds(found: Range, truth: float) -> bool:
    """Whether the truth is above the low end and at most the high one, as bins are; an open end holds everything."""
    above = found.low is None or found.low < truth or found.low == 0
    return above and (found.high is None or truth <= found.high)


def _judged(found: Estimate) -> Verdict:
    if found.high is None or found.value is None or found.high < LOW:
        return Verdict.MISS
    return Verdict.PASS if found.value >= LOW else Verdict.UNDECIDED


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.field --max-time '3 min'")
