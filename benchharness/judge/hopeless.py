"""Whether what is being measured can still keep its budgets, asked after each attempt, and seldom wrong. Pure.

Whoever looks after each of ten attempts, and stops as soon as a 95 % interval lies beyond the limit, stops 9 % of the
artefacts that lie exactly on it, and 25 % of those on three limits, where 2.5 % were meant. So the looks share one
chance to be wrong, as those of a gate do (`judge.design`): each has the part of it that its attempts are of the last
look's, divided by the figures that are looked at. A figure is given up where Student's t of its logarithms is as
unlikely as that on a machine that is slower than usual by `DRIFT`. So however looks and figures depend on each other,
together they stop no more than `error` of the artefacts that keep every budget; and never one that a verdict would not
call a miss.

What no look knows: a machine that drifts further than that while it measures. Budgets against the reference do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchharness.judge.budgets import judged
from benchharness.judge.compare import spelled
from benchharness.judge.derive import sizes_of
from benchharness.judge.design import MARGIN, Design
from benchharness.judge.student import quantile
from benchharness.metrics import METRICS, Better
from benchharness.metrics.limits import REFERENCE, Budget
from benchharness.results.result import (
    EXACT,
    Estimate,
    Job,
    MetricResult,
    Outcome,
    OutcomeKind,
    Result,
    Verdict,
    VerdictKind,
)
from benchharness.scenarios import SCENARIOS
from benchharness.units import interval_text, quantity_text, scale_for

#: The chance to give up an artefact that keeps every budget, over all looks and figures: that of a gate to call a
#: build worse that is not.
FALSE_STOPS = 0.01
#: How much slower than usual a machine may be for a whole measurement without that counting against an artefact: what
#: two runs an hour apart differ by, and a gate calls a difference that does not matter.
DRIFT = MARGIN
#: Two attempts that happen to read alike have no spread, and would be as sure as can be.
FEWEST_ATTEMPTS = 3
#: A reason to stop begins so; what an attempt says of itself never does.
HOPELESS = "hopeless: "


@dataclass(frozen=True, kw_only=True)
class Hopeless:
    """Looks after each attempt but the last. Raises `ValueError` for an `error` that is no chance up to a half."""

    budgets: Sequence[Budget]
    attempts: int  # the most that a job gets
    error: float = FALSE_STOPS

    def __post_init__(self) -> None:
        if not 0 < self.error < 0.5:
            raise ValueError(f"the chance of a false stop is between 0 and 0.5, not {self.error:g}")

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many attempts somebody looks. After the last one there is nothing left to stop."""
        return tuple(range(FEWEST_ATTEMPTS, self.attempts))

    def level(self, attempts: int, figures: int) -> float:
        """The chance that a look after so many attempts has for each of so many figures; 0.0: nobody looks then."""
        looks = self.looks
        if attempts not in looks:
            return 0.0
        return Design(looks=looks, alpha=self.error).alpha_at(looks.index(attempts), figures)

    def reason_to_end(self, results: Sequence[Result]) -> str | None:
        """After what these results stand on: why no more is measured, or None."""
        ours = [result for result in results if result.job.ships]
        given_up = next((each for each in ours if each.stopped and not each.outcome.ok), None)
        if given_up is not None and given_up.outcomes:
            return f"{HOPELESS}{given_up.job.scenario}: {given_up.outcome}"[:400]
        looked_at = list(_missable(judged(ours, self.budgets)))
        figures = sum(each.noisy for each in looked_at)
        return next((each.told(self.attempts) for each in looked_at if self._is_beyond(each, figures)), None)

    def _is_beyond(self, looked_at: _LookedAt, figures: int) -> bool:
        if not looked_at.missed or not looked_at.noisy:
            return looked_at.missed
        return looked_at.p_beyond <= self.level(looked_at.estimate.count, figures)


def exactly_missed(jobs: Sequence[Job], budgets: Sequence[Budget]) -> tuple[list[Result], str]:
    """What is known of artefacts before any attempt, judged, and why that alone is hopeless; "" where it is not."""
    ours = [job for job in jobs if job.ships][:1]
    fine = Outcome(kind=OutcomeKind.OK)
    known = [Result(job=job, outcome=fine, devices=(), outcomes={}, stopped="", metrics=sizes_of(job)) for job in ours]
    results = judged(known, budgets)
    return results, next((each.told(0) for each in _missable(results) if each.missed), "")


def p_beyond(estimate: Estimate, limit: float, *, higher_is_better: bool) -> float:
    """How likely a geometric mean over attempts this far beyond a limit is where the true one lies on it.

    One-sided, by Student's t of logarithms: `estimate` is one of `judge.intervals`. 1.0 where it has no interval.
    """
    if estimate.value is None or estimate.low is None or estimate.high is None or min(estimate.low, limit) <= 0:
        return 1.0
    beyond = math.log(estimate.value / limit) * (-1 if higher_is_better else 1)
    error = math.log(estimate.high / estimate.low) / 2 / quantile(estimate.count - 1)
    if error == 0:
        return 0.0 if beyond > 0 else 1.0
    from scipy import special

    return float(special.stdtr(estimate.count - 1, -beyond / error))


@dataclass(frozen=True, kw_only=True)
class _LookedAt:
    """A figure that a budget speaks of, or its ratio to the reference; `noisy`: it is looked at again and again."""

    verdict: Verdict
    metric: MetricResult
    estimate: Estimate
    noisy: bool

    @property
    def missed(self) -> bool:
        return self.verdict.kind is VerdictKind.MISS

    @property
    def p_beyond(self) -> float:
        """How likely it is where the true figure lies on the limit, and the machine is slower by its drift."""
        higher_is_better = METRICS[self.metric.name].better is Better.HIGHER
        limit = self.verdict.limit
        if self.verdict.against:
            limit = 1 / (1 + limit) if higher_is_better else 1 + limit
        worse = 1 / (1 + DRIFT) if higher_is_better else 1 + DRIFT
        return p_beyond(self.estimate, limit * worse, higher_is_better=higher_is_better)

    def told(self, attempts: int) -> str:
        """Why it is hopeless, with its figure."""
        found, unit = self.estimate, "" if self.verdict.against else self.metric.unit
        assert found.value is not None
        half = 0.0 if found.low is None or found.high is None else (found.high - found.low) / 2
        scale = scale_for(unit, found.value, self.verdict.unit)
        value = f"{'× ' if self.verdict.against else ''}{quantity_text(found.value, unit, scale, half)}"
        if found.statistic != EXACT and found.low is not None and found.high is not None:
            value += f" [{interval_text(found.low, found.high, found.value, unit, scale)}]"
        after = f" after {found.count} of {attempts} attempts" if self.noisy else ""
        return f"{HOPELESS}{self.metric.name} {value}{after}, all of it beyond {self.verdict.budget}"


def _missable(results: Sequence[Result]) -> Iterator[_LookedAt]:
    """What verdicts are on, but for figures that are neither means over attempts nor measured once."""
    for result in results:
        once = bool(SCENARIOS.of_stored(result.job.scenario).one_attempt)
        figures = {spelled(metric.name, metric.parameters): metric for metric in result.metrics}
        for verdict in result.verdicts:
            metric = figures[spelled(verdict.metric, verdict.parameters)]
            estimate = metric.estimate if verdict.against != REFERENCE else metric.ratio
            if estimate is None:
                continue
            noisy = estimate.statistic.startswith("geometric mean of") and not estimate.drawn
            if not noisy and not once and estimate.statistic != EXACT:
                continue
            yield _LookedAt(verdict=verdict, metric=metric, estimate=estimate, noisy=noisy)
