"""What a machine's comparison of a build with itself says: how often it would cry wolf, and what it could see. Pure.

Designs are drawn from the recorded pairs as they followed each other: every stretch of as many pairs as the last look,
never shuffled and no sign turned, so that drift and neighbours are in them. Stretches overlap, so that their number
says little: the interval is that of the stretches that share no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from benchharness.errors import NothingRan, UsageError
from benchharness.judge.builds import twins
from benchharness.judge.design import Design
from benchharness.judge.disturbances import Disturbance
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.judge.pairs import Change, Rounds, decided, rounds_of
from benchharness.judge.told import percent
from benchharness.results.result import Result, Run

#: The name of its runs in a store.
NAME = "selftest"
#: The name of the demo model in its suite.
MODEL = "demo"
#: The design that it tells of, and what that decides on.
USUAL = Design(primary=("tpot", "peak_memory"))
#: A machine changes: what was found longer ago is told as old.
FRESH = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """Of one metric."""

    metric: str
    pairs: int
    designs: int  # overlapping
    apart: int  # of these share no pair
    false_alarms: int  # designs that called the build worse, or better
    low: float  # of the share of false alarms, by the designs that are apart
    high: float
    visible: float | None  # the smallest change for the worse that such a design sees, in the median
    ended_same: int  # designs that ended as the same, or no worse


@dataclass(frozen=True, kw_only=True)
class SelfTested:
    """What a self-test found, and when. `noise` is the verdict of the noise probe; empty where it was not made now."""

    run: Run
    device: str
    tests: Sequence[SelfTest]
    noise: str = ""
    disturbances: Sequence[Disturbance] = ()

    @property
    def visible(self) -> float | None:
        """The smallest change that the usual design sees on this machine, in every metric."""
        return least_visible(self.tests)

    def age(self, now: datetime) -> timedelta:
        """How long ago it was."""
        return now - self.run.started


def tested_in(run: Run, results: Sequence[Result]) -> SelfTested:
    """What a self-test's run found.

    Raises `NothingRan` where no pair gave a result, `UsageError` for a run that only has the name of a self-test,
    `ValueError` for too few pairs.
    """
    pair = next(iter(twins(results)), None)
    if pair is None or not pair.candidate.outcome.ok:
        outcome = pair.candidate.outcome if pair else "no pair was made"
        raise NothingRan(f"the demo model does not run here: {outcome}")
    base, candidate = pair.base.job, pair.candidate.job
    if base.digest != candidate.digest or candidate.model != MODEL:
        raise UsageError(f"run {run.id} is called {NAME}, and does not compare the demo model with itself")
    theirs = {metric.name: metric for metric in pair.base.metrics if "percentile" not in metric.parameters}
    tests = [
        examined(rounds_of(theirs[metric.name], metric), metric.name, USUAL, len(USUAL.primary))
        for metric in pair.candidate.metrics
        if metric.name in USUAL.primary and "percentile" not in metric.parameters and metric.name in theirs
    ]
    return SelfTested(run=run, device=", ".join(pair.candidate.devices), tests=tests)


def told(tested: SelfTested | None, now: datetime) -> str:
    """A sentence for gates and pages: what a machine sees, how often it cries wolf, and how old that knowledge is."""
    if tested is None:
        return "What this machine can see is not tested: benchharness selftest tells, in a minute"
    days = tested.age(now).days
    age = "today" if days < 1 else f"{days} day{'s' if days > 1 else ''} ago"
    old = "; that is long ago: repeat it" if timedelta(days=days) > FRESH else ""
    alarms, designs = (sum(getattr(each, of) for each in tested.tests) for of in ("false_alarms", "designs"))
    seen = f"changes from {percent(tested.visible)} on" if tested.visible is not None else "no change, in so few pairs"
    when = f"selftest of {tested.run.started:%Y-%m-%d} ({age}), of the demo model by the usual design"
    return f"{when}: this machine sees {seen}; {alarms} of {designs} overlapping designs were false alarms{old}"


def examined(rounds: Rounds, metric: str, design: Design, hypotheses: int) -> SelfTest:
    """A metric of a build that was compared with itself, by pairs: best of base and of candidate by round.

    Raises `ValueError` where there are fewer pairs than the design's last look takes.
    """
    ordered = [rounds[key] for key in sorted(rounds)]
    length = design.looks[-1]
    if len(ordered) < length:
        raise ValueError(f"{len(ordered)} pairs, and a design takes {length}")
    stretches = [dict(enumerate(ordered[at : at + length])) for at in range(len(ordered) - length + 1)]
    found = [decided(each, length, metric, design, hypotheses) for each in stretches]
    alarms = [each.kind in (Change.WORSE, Change.BETTER) for each in found]
    apart = alarms[::length]
    low, high = clopper_pearson(sum(apart), len(apart))
    seen = [each.visible for each in found if each.visible is not None]
    return SelfTest(
        metric=metric,
        pairs=len(ordered),
        designs=len(found),
        apart=len(apart),
        false_alarms=sum(alarms),
        low=low,
        high=high,
        visible=median(seen) if seen else None,
        ended_same=sum(each.kind in (Change.SAME, Change.NO_WORSE) for each in found),
    )


def least_visible(tests: Sequence[SelfTest]) -> float | None:
    """The smallest change that all metrics would show."""
    seen = [each.visible for each in tests if each.visible is not None]
    return max(seen) if len(seen) == len(tests) and seen else None
