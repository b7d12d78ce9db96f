"""How many samples an attempt takes so that percentiles with a budget can be told, and what that takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchharness.metrics.limits import Budget, parse
from benchharness.scenarios import SCENARIOS
from benchharness.scenarios.definition import Scenario
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.tables import Suite

#: Of an attempt's limit, the share in which samples are taken for a percentile: loading and warming up need the rest.
_OF_TIMEOUT = 0.5


def samples_wanted(suite: Suite, hardware: HardwareTarget, scenario: Scenario) -> dict[str, Any]:
    """What a scenario's settings say of it; nothing where no budget is on a percentile, as runs of before did."""
    wanted: dict[str, int] = {}
    for budget, needed in _needed(suite, hardware):
        if budget.metric in scenario.percentiled:
            wanted[budget.metric] = max(needed, wanted.get(budget.metric, 0))
    longest_ns = round(suite.attempts.timeout * _OF_TIMEOUT * 1e9)
    return {"samples": wanted, "samples_time_ns": longest_ns} if wanted else {}


def sampling_notes(suite: Suite, hardware: HardwareTarget) -> Iterator[str]:
    """What the budgets on percentiles take, to be said before a run."""
    longest = suite.attempts.timeout * _OF_TIMEOUT
    taken_by, named = _taken_by(), [scenario.name for scenario, _ in suite.scenarios.asked()]
    for budget, needed in _needed(suite, hardware):
        scenario = taken_by[budget.metric]
        told = f"budget {budget.title} {budget.text}: takes {needed} samples in each attempt"
        if scenario not in named:
            yield f"{told} of scenario {scenario}, which is not run: it will stay undecided"
            continue
        hurry = f"; a model that takes longer than {longest / needed:.2g} s for one stays undecided"
        alone = "; one attempt has no interval, so that it stays undecided: ask for 2 attempts or more"
        yield f"{told}, {longest:g} s at most{hurry}{alone if suite.attempts.at_most < 2 else ''}"


def _taken_by() -> dict[str, str]:
    """The scenario that takes a metric's samples, by metric."""
    return {metric: scenario.name for scenario in SCENARIOS.usable() for metric in scenario.percentiled}


def _needed(suite: Suite, hardware: HardwareTarget) -> Iterator[tuple[Budget, int]]:
    found = [*parse(suite.budgets, "suite"), *parse(hardware.budgets, "hardware target")]
    taken = _taken_by()
    percentiles = [budget for budget in found if budget.percentile is not None and budget.metric in taken]
    if percentiles:
        from benchharness.metrics.percentiles import samples_for_percentile  # scipy takes long to load

        for budget in percentiles:
            yield budget, samples_for_percentile(budget.percentile or 0)
