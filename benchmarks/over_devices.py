"""Whether 95 % intervals over devices hold what they promise: simulated units of which the truth is known.

A unit's value is the hardware target's times a factor of its own; five attempts on it spread around that. Units of one
phone model were found to differ by 10 to 20 % from best to worst (Srinivasa et al., HotMobile 2017 and ISPASS 2019),
which is a standard deviation of 3 to 8 %; boards differ by less. Other methods beside:
`python -m benchmarks.over_devices --rivals`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchharness.judge.exact_shares import clopper_pearson
from benchharness.judge.over_devices import Level, farthest, over
from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import Options, run_alone
from benchmarks.processes import load_average

Floats = NDArray[np.float64]
DEVICES = (2, 3, 5)
ATTEMPTS = 5
#: Standard deviations of logarithms: of units, and of attempts on one.
BETWEEN, WITHIN = (0.0, 0.01, 0.03, 0.08), (0.01, 0.03)
#: Simulations of a kind: coverage is then known to 0.5 %.
TIMES = 8000
LEAST = 0.94


@dataclass(frozen=True, kw_only=True)
class World:
    """How units and their attempts are drawn. `kind`: normal; odd: one unit in ten is 20 % slower; unequal: the first
    of a farm's units spreads five times as far and has four times as many attempts.
    """

    devices: int
    between: float
    within: float
    kind: str = "normal"

    @property
    def label(self) -> str:
        """In words."""
        odd = "" if self.kind == "normal" else f", {self.kind}"
        return f"{self.devices} devices, units {self.between:.0%}, attempts {self.within:.0%}{odd}"

    def drawn(self, random: np.random.Generator) -> tuple[list[Level], float]:
        """The levels of a farm's units, and the true mean of logarithms."""
        units, truth = self.between * random.standard_normal(self.devices), 0.0
        if self.kind == "odd":
            units += math.log(1.2) * (random.random(self.devices) < 0.1)
            truth = math.log(1.2) * 0.1
        found = []
        for at, unit in enumerate(units):
            wide = self.kind == "unequal" and at == 0
            count = ATTEMPTS * (4 if wide else 1)
            logs = unit + self.within * (5 if wide else 1) * random.standard_normal(count)
            error = float(np.std(logs, ddof=1)) / math.sqrt(count)
            found.append(Level(mean=float(np.mean(logs)), error=error, count=count))
        return found, truth


NORMAL = tuple(
    World(devices=devices, between=between, within=within)
    for devices, between, within in itertools.product(DEVICES, BETWEEN, WITHIN)
)
HARD = tuple(
    World(devices=devices, between=0.03, within=0.01, kind=kind)
    for devices, kind in itertools.product(DEVICES, ("unequal", "odd"))
)


def measure(options: Options) -> Bar:
    """Coverage by how many units there are and how they differ; and how often an ordinary unit is said to stand out."""
    before = load_average()
    findings = [_covered(world, options.seed) for world in (*NORMAL, *HARD)]
    findings += [_told_apart(devices, options.seed) for devices in (3, 5, 8)]
    return Bar(
        name="over_devices",
        claim="95 % intervals over devices hold the hardware target's value at least 94 % of the time",
        findings=findings,
        conditions=[f"{ATTEMPTS} attempts a device, log-normal, {TIMES} farms of a kind, numpy's PCG64"],
        load=(before, load_average()),
    )


def coverage(world: World, seed: int, times: int = TIMES) -> tuple[int, float]:
    """Of so many farms how many intervals hold the truth, and their median half width as a share."""
    random = np.random.default_rng([seed, world.devices, round(world.between * 1e4), round(world.within * 1e4)])
    hits, halves = 0, []
    for _ in range(times):
        levels, truth = world.drawn(random)
        found = over(levels, statistic="")
        assert found.low is not None
        assert found.high is not None
        hits += math.log(found.low) <= truth <= math.log(found.high)
        halves.append(math.log(found.high / found.low) / 2)
    return hits, math.expm1(float(np.median(halves)))


def false_alarms(devices: int, seed: int, times: int = TIMES) -> int:
    """In how many farms of ordinary units one is said to stand out."""
    random = np.random.default_rng([seed, devices, 1])
    world = World(devices=devices, between=0.03, within=0.01)
    told = (farthest(world.drawn(random)[0]) for _ in range(times))
    return sum(each is not None and each.stands_out for each in told)


def _covered(world: World, seed: int) -> Finding:
    hits, half = coverage(world, seed)
    return Finding(
        label=world.label,
        ratio=_share(hits, TIMES),
        per_round=(),
        absolute=f"{hits} of {TIMES} hold the truth; half of an interval is {half:.1%}",
        criterion=None if world.kind == "odd" else _at_least(),
    )


def _told_apart(devices: int, seed: int) -> Finding:
    alarms = false_alarms(devices, seed)
    return Finding(
        label=f"{devices} ordinary devices: one is said to stand out",
        ratio=_share(alarms, TIMES),
        per_round=(),
        absolute=f"in {alarms} of {TIMES} farms",
        criterion=Criterion(says="at most 5 %", low=0.0, high=0.05, judge=_at_most),
    )


def _share(hits: int, times: int) -> Estimate:
    low, high = clopper_pearson(hits, times)
    return Estimate(value=hits / times, low=low, high=high, count=times, statistic=f"{hits} of {times}")


def _at_most(share: Estimate) -> Verdict:
    assert share.low is not None
    return Verdict.MISS if share.low > 0.05 else Verdict.PASS


def _at_least() -> Criterion:
    def judge(share: Estimate) -> Verdict:
        assert share.high is not None
        assert share.low is not None
        if share.high < LEAST:
            return Verdict.MISS
        return Verdict.PASS if share.low >= LEAST else Verdict.UNDECIDED

    return Criterion(says=f"at least {LEAST:.0%}", low=LEAST, high=1.0, judge=judge)


# What else could have been taken: means (farms, devices), their variances, attempts


Half = Callable[[Floats, Floats, int], tuple[Floats, Floats]]


def _as_one(means: Floats, variances: Floats, count: int) -> tuple[Floats, Floats]:
    """All attempts in one heap, as if there were one device."""
    devices = means.shape[1]
    inside = variances * count * (count - 1)
    squares = inside.sum(1) + count * ((means - means.mean(1, keepdims=True)) ** 2).sum(1)
    whole = devices * count
    return means.mean(1), special.stdtrit(whole - 1, 0.975) * np.sqrt(squares / (whole - 1) / whole)


def _student(means: Floats, variances: Floats, count: int) -> tuple[Floats, Floats]:
    """Student's t over the devices' values, and no more."""
    devices = means.shape[1]
    return means.mean(1), special.stdtrit(devices - 1, 0.975) * means.std(1, ddof=1) / math.sqrt(devices)


def _likelihood(means: Floats, variances: Floats, count: int) -> tuple[Floats, Floats]:
    """Restricted likelihood with Satterthwaite's degrees of freedom, of equally many attempts a device."""
    devices = means.shape[1]
    between, inside = count * means.var(1, ddof=1), (variances * count).mean(1)
    pooled = ((devices - 1) * between + devices * (count - 1) * inside) / (devices * count - 1)
    apart = between > inside
    variance = np.where(apart, between, pooled) / (devices * count)
    freedom = np.where(apart, devices - 1, devices * count - 1)
    return means.mean(1), special.stdtrit(freedom, 0.975) * np.sqrt(variance)


def _laird(means: Floats, variances: Floats) -> tuple[Floats, Floats]:
    """DerSimonian and Laird's weights and mean."""
    devices = means.shape[1]
    weights = 1 / variances
    fixed = (weights * means).sum(1) / weights.sum(1)
    spread = (weights * (means - fixed[:, None]) ** 2).sum(1)
    scale = weights.sum(1) - (weights**2).sum(1) / weights.sum(1)
    between = np.maximum((spread - (devices - 1)) / scale, 0)
    weights = 1 / (variances + between[:, None])
    return weights, (weights * means).sum(1) / weights.sum(1)


def _normal(means: Floats, variances: Floats, count: int) -> tuple[Floats, Floats]:
    """DerSimonian and Laird, normal quantiles."""
    weights, mean = _laird(means, variances)
    return mean, 1.96 / np.sqrt(weights.sum(1))


def _hartung(least: float) -> Half:
    """The same with Hartung, Knapp, Sidik and Jonkman's variance, which is at least so many times the usual one."""

    def half(means: Floats, variances: Floats, count: int) -> tuple[Floats, Floats]:
        devices = means.shape[1]
        weights, mean = _laird(means, variances)
        scale = (weights * (means - mean[:, None]) ** 2).sum(1) / (devices - 1)
        variance = np.maximum(scale, least) / weights.sum(1)
        return mean, special.stdtrit(devices - 1, 0.975) * np.sqrt(variance)

    return half


RIVALS: Mapping[str, Half] = {
    "one heap of attempts": _as_one,
    "DerSimonian-Laird": _normal,
    "Hartung-Knapp": _hartung(0.0),
    "Hartung-Knapp, at least 1": _hartung(1.0),
    "REML, Satterthwaite": _likelihood,
    "t over devices": _student,
}


def _rivals(seed: int, times: int) -> None:
    """Prints coverage and median half width of each method in each world."""
    print("world | ours | " + " | ".join(RIVALS))
    for world in (*NORMAL, *HARD):
        random = np.random.default_rng([seed, 7])
        drawn = [world.drawn(random) for _ in range(times)]
        means = np.array([[level.mean for level in levels] for levels, _ in drawn])
        variances = np.array([[(level.error or 0.0) ** 2 for level in levels] for levels, _ in drawn])
        truth = drawn[0][1]
        hits, half = coverage(world, seed, times)
        cells = [f"{hits / times:.1%} ±{half:.1%}"]
        for rival in RIVALS.values():
            middle, halves = rival(means, variances, ATTEMPTS)
            share = float((np.abs(middle - truth) <= halves).mean())
            cells.append(f"{share:.1%} ±{math.expm1(float(np.median(halves))):.1%}")
        print(f"{world.label} | " + " | ".join(cells))


if __name__ == "__main__":
    import sys

    if "--rivals" in sys.argv:
        _rivals(1, 4000)
    else:
        run_alone(measure, description=__doc__ or "", example="python -m benchmarks.over_devices")
