"""Ratios of two results, whatever they are of: variants, runtimes, or one cell in two runs. Pure.

Nothing here knows a reference. Who compares says what the two may differ in and how their attempts are paired; where
they differ in more, a ratio is withheld with the difference for a reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchharness.judge.intervals import paired_ratio, paired_ratio_over
from benchharness.judge.processes import other_process
from benchharness.judge.unequal import Factor, differences, other_amounts
from benchharness.results.result import EXACT, AttemptValue, Estimate, MetricResult, Parameters, Result

Pairs = list[tuple[float, float]]


@dataclass(frozen=True)
class Pairing:
    """Which attempt of one is held against which of the other, and how that is said."""

    told: str
    pairs: Callable[[Sequence[AttemptValue], Sequence[AttemptValue]], Pairs]


def _by_round(these: Sequence[AttemptValue], those: Sequence[AttemptValue]) -> Pairs:
    theirs: Mapping[tuple[str, int], float] = {(value.device, value.round): value.value for value in those}
    return [
        (value.value, theirs[value.device, value.round]) for value in these if (value.device, value.round) in theirs
    ]


#: Attempts of one round, on one device: a machine that drifts drifts for both.
BY_ROUND = Pairing("round by round", _by_round)


def identity(metric: MetricResult) -> tuple[str, str]:
    """What two figures must share to be compared: the metric, and its parameters."""
    return spelled(metric.name, metric.parameters)


def spelled(name: str, parameters: Parameters) -> tuple[str, str]:
    """The identity of a figure of which these are told."""
    return name, json.dumps(dict(parameters), sort_keys=True)


def ratios_of(
    these: Result, those: Result, *, apart_from: Factor, called: str, pairing: Pairing = BY_ROUND
) -> dict[tuple[str, str], Estimate]:
    """these / those of every metric that both have, by `identity`. `called` names those in what the ratio says it is.

    Where the two differ in more than `apart_from`, the estimates have that for a reason and no value; sizes stay.
    """
    theirs = {identity(metric): metric for metric in those.metrics}
    apart = "; ".join(differences(these, those, apart_from))
    statistic = f"geometric mean of this / {called}, {pairing.told}"
    found: dict[tuple[str, str], Estimate] = {}
    for metric in these.metrics:
        other = theirs.get(identity(metric))
        if other is not None:
            of_metric = apart or other_process(metric.name, these, those)
            ratio = _ratio(metric, other, statistic, of_metric, pairing)
        else:
            ratio = _withheld(apart or _other_amounts(metric, those), statistic) if _elsewhere(metric, those) else None
        if ratio is not None:
            found[identity(metric)] = ratio
    return found


def _elsewhere(metric: MetricResult, other: Result) -> bool:
    """Whether the other has the metric over another amount of work only."""
    return metric.estimate.value is not None and bool(_other_amounts(metric, other))


def _other_amounts(metric: MetricResult, other: Result) -> str:
    alike = (each.parameters for each in other.metrics if each.name == metric.name)
    return next((told for given in alike if (told := other_amounts(metric.parameters, given))), "")


def _withheld(apart: str, statistic: str) -> Estimate:
    return Estimate(value=None, statistic=statistic, reason=apart)


def _ratio(metric: MetricResult, other: MetricResult, statistic: str, apart: str, pairing: Pairing) -> Estimate | None:
    if metric.estimate.statistic == EXACT:
        return _exact_ratio(metric.estimate, other.estimate)
    if apart:
        return _withheld(apart, statistic)
    devices = dict.fromkeys(value.device for value in metric.attempts)
    if len(devices) < 2:
        return paired_ratio(pairing.pairs(metric.attempts, other.attempts), statistic=statistic)
    own = (
        [[value for value in each.attempts if value.device == device] for each in (metric, other)] for device in devices
    )
    return paired_ratio_over([pairing.pairs(*each) for each in own], statistic=statistic)


def _exact_ratio(this: Estimate, other: Estimate) -> Estimate | None:
    if this.value is None or not other.value:
        return None
    ratio = this.value / other.value
    return Estimate(value=ratio, low=ratio, high=ratio, statistic=EXACT)
