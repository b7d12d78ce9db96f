"""What an oracle answers: an artefact's figures, and the margin to each budget with how sure that is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.judge.compare import spelled
from benchharness.metrics import METRICS, Better
from benchharness.metrics.limits import Budget, metric_named
from benchharness.results.result import Estimate, Result, Verdict, VerdictKind

if TYPE_CHECKING:
    from benchharness.api import Findings


@dataclass(frozen=True, kw_only=True)
class Margin:
    """How far one figure is within a budget; below zero it is beyond.

    `figure` is the metric's, or its ratio to the reference where the budget is on that. Margins are in the unit of
    `limit`: the metric's base unit (ns, bytes, a rate per second), or a share of 1 where it is a ratio.
    """

    budget: str  # "tpot": as in `Measured.constraints`
    text: str  # "tpot 2 ms"
    metric: str  # "tpot"
    kind: VerdictKind
    reason: str  # why it is undecided
    limit: float  # of a ratio: how many times as bad as the reference it may be
    figure: Estimate
    value: float | None  # None: nothing was measured, and `reason` says why
    low: float | None  # the margin where the figure is as bad as its 95 % interval allows
    high: float | None
    unit: str = ""  # that the limit was written in
    against: str = ""  # "reference": the figure is a ratio
    scenario: str = ""
    workload: str = ""

    @property
    def noise(self) -> float:
        """By how much the figure may be worse than it reads, at the 95 % bound; infinite where nobody knows."""
        return inf if self.value is None or self.low is None else self.value - self.low

    @property
    def violation(self) -> float:
        """What a constraint is told: at or below 0 where the budget is kept, and nowhere else.

        By how much the limit is exceeded where the figure is as bad as its noise allows, as a share of the limit (of a
        limit of zero: in its unit). Infinite where that is no evidence.
        """
        if self.low is None or (self.kind is not VerdictKind.PASS and self.low >= 0):
            return inf
        scale = abs(self.limit) or 1.0
        return -self.low / scale


@dataclass(frozen=True, kw_only=True, repr=False)
class Measured:
    """One artefact on one device, held against budgets."""

    artefact: Path
    digest: str  # of its manifest: what it is, wherever it lies
    margins: Sequence[Margin]  # a budget's figures one after the other, in the order of the budgets
    findings: Findings | None  # the run behind it; None where files alone were enough
    cached: bool  # answered by an earlier run of the same artefact and jobs, on the same device, runtime and conditions
    why_measured: str = ""  # why no earlier run answers
    stopped: str = ""  # why measuring ended early: it cannot keep its budgets; "" where it did not
    false_stops: float = 0.0  # the chance of that where every budget is kept
    attempts: int = 0  # behind it
    failure: str = ""  # how it ended where it gave no figures
    results: Sequence[Result] = ()  # of the artefact, without its reference

    @property
    def keeps(self) -> bool:
        """Whether every budget is kept by its whole interval."""
        return not self.failure and all(margin.kind is VerdictKind.PASS for margin in self.margins)

    @property
    def constraints(self) -> Mapping[str, float]:
        """For each budget the largest `violation` of all its figures: at or below 0 where it is kept."""
        found: dict[str, float] = {}
        for margin in self.margins:
            found[margin.budget] = max(margin.violation, found.get(margin.budget, -inf))
        return found

    def figure(self, metric: str, percentile: int | None = None) -> Estimate:
        """The figure of a metric in its base unit, with its interval; of several the worst one's.

        Without a percentile the metric's own value, or its median. Raises `UsageError` for an unknown metric.
        """
        found, higher = self._figures(metric, percentile)
        valued = [each for each in found if each.value is not None]
        if not valued:
            reasons = (each.reason for each in found)
            return Estimate(value=None, reason=next(filter(None, reasons), self.failure or "it was not measured"))
        return (min if higher else max)(valued, key=lambda each: each.value or 0.0)

    def at_worst(self, metric: str, percentile: int | None = None) -> float:
        """The end of a figure's interval where it is worst: what to tell of an objective, so that luck is not chosen.

        Infinite, on that side, where one has no interval. Raises `UsageError` for an unknown metric.
        """
        found, higher = self._figures(metric, percentile)
        ends = [each.low if higher else each.high for each in found]
        known = [each for each in ends if each is not None]
        if not known or len(known) < len(ends):
            return -inf if higher else inf
        return (min if higher else max)(known)

    def _figures(self, metric: str, percentile: int | None) -> tuple[list[Estimate], bool]:
        """All that there are of a metric, and whether more of it is better."""
        known = metric_named(metric)
        if percentile is None and known.percentiles:
            percentile = known.percentiles[0]
        found = [
            each.estimate
            for result in self.results
            for each in result.metrics
            if each.name == known.name and each.parameters.get("percentile") == percentile
        ]
        return found, known.better is Better.HIGHER

    def __repr__(self) -> str:
        kinds = ", ".join(f"{margin.text}: {margin.kind}" for margin in self.margins)
        return f"<Measured {self.artefact.name!r}: {self.failure or kinds or 'no budgets'}>"

    def __str__(self) -> str:
        from benchharness.search.told import told

        return told(self)


def margins_of(results: Sequence[Result], budgets: Sequence[Budget]) -> list[Margin]:
    """A margin for each figure that a budget speaks of, and one without a value for a budget that nothing measured."""
    found: list[Margin] = []
    for budget in budgets:
        text = f"{budget.title} {budget.text}"
        of_one = [
            _margin(result, verdict, budget)
            for result in results
            for verdict in result.verdicts
            if verdict.budget == text and verdict.origin == budget.origin
        ]
        found += of_one or [_unmeasured(results, budget, text)]
    return found


def _margin(result: Result, verdict: Verdict, budget: Budget) -> Margin:
    identity = spelled(verdict.metric, verdict.parameters)
    metric = next(each for each in result.metrics if spelled(each.name, each.parameters) == identity)
    higher = METRICS[verdict.metric].better is Better.HIGHER
    figure = metric.estimate
    if verdict.against:
        figure = metric.ratio or Estimate(value=None, reason=f"there is no ratio to the {verdict.against}")
    low, high = figure.high, figure.low  # where more is worse, the margin is least at the upper end
    if higher:
        low, high = high, low
    room = partial(_room, verdict=verdict, higher_is_better=higher)
    return Margin(
        budget=budget.title,
        text=verdict.budget,
        metric=verdict.metric,
        kind=verdict.kind,
        reason=verdict.reason,
        limit=1 + verdict.limit if verdict.against else verdict.limit,
        figure=figure,
        value=room(figure.value),
        low=room(low),
        high=room(high),
        unit=verdict.unit,
        against=verdict.against,
        scenario=result.job.scenario,
        workload=result.job.workload.name,
    )


def _room(end: float | None, *, verdict: Verdict, higher_is_better: bool) -> float | None:
    """From a figure to the limit: above zero where it is kept. Of a ratio, from how many times as bad as the other."""
    if end is None:
        return None
    if verdict.against:
        return 1 + verdict.limit - (1 / end if higher_is_better else end)
    return end - verdict.limit if higher_is_better else verdict.limit - end


def _unmeasured(results: Sequence[Result], budget: Budget, text: str) -> Margin:
    failed = next((str(result.outcome) for result in results if not result.outcome.ok), "")
    reason = failed or "nothing that was measured says anything of it"
    return Margin(
        budget=budget.title,
        text=text,
        metric=budget.metric,
        kind=VerdictKind.UNDECIDED,
        reason=reason,
        limit=budget.limit,
        figure=Estimate(value=None, reason=reason),
        value=None,
        low=None,
        high=None,
    )
