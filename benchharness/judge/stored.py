"""Two stored runs held against each other: the weaker test, for nothing pairs their attempts. Pure.

A machine drifts by 3 to 10 % within an hour, and two runs of one suite an hour apart agreed within their intervals in
71 % of 176 figures (docs/comparing.md). That drift is in every ratio here and in no interval, so a metric counts as
changed only where all of its interval is past the margin, nothing is ever called the same, and no error is promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchharness.judge.builds import Comparison, Twins, failed, primary_of, unlike
from benchharness.judge.design import Design
from benchharness.judge.intervals import independent_ratio
from benchharness.judge.pairs import Change, best_of
from benchharness.metrics import METRICS, Better
from benchharness.results.result import MetricResult, Result

STATISTIC = "ratio of geometric means, candidate / base, not paired (Welch's t on logarithms, 95 %)"
#: Of the conditions: what makes two runs of one build differ; a load or a temperature differs always.
_CONDITIONS = (
    *("processor", "os", "kernel", "memory_bytes", "governor", "power_source", "low_power_mode", "cores_allowed"),
    *("cgroup_memory_limit_bytes", "cgroup_cpu_quota_us", "virtualisation"),
)


def compared(pairs: Sequence[Twins], design: Design) -> list[Comparison]:
    """Every primary metric that both sides of a pair have."""
    found: list[Comparison] = []
    for each in pairs:
        trouble = failed(each) or unlike(each, design.allow, list(_apart(each)))
        found += [trouble] if trouble else [_judged(each, *both, design) for both in primary_of(each, design.primary)]
    return found


def _apart(pair: Twins) -> Iterator[str]:
    """In what the two runs' devices and conditions differ, in words that `allow` may name."""
    if pair.base.devices != pair.candidate.devices:
        yield f"device {', '.join(pair.candidate.devices)} against {', '.join(pair.base.devices)}"
    ours, theirs = _told(pair.candidate), _told(pair.base)
    for name in _CONDITIONS:
        if name in ours and name in theirs and ours[name] != theirs[name]:
            yield f"{name.replace('_', ' ')} {ours[name]} against {theirs[name]}"


def _told(result: Result) -> Mapping[str, Any]:
    """Conditions that are known; one that could not be read is no other one."""
    told = {**result.conditions.to_json(), "runtime_version": result.effective.runtime_version}
    return {name: value for name, value in told.items() if value is not None and not isinstance(value, Mapping)}


def _judged(pair: Twins, base: MetricResult, candidate: MetricResult, design: Design) -> Comparison:
    lower = METRICS[candidate.name].better is not Better.HIGHER
    theirs, ours = ([best_of(value, lower=lower) for value in side.attempts] for side in (base, candidate))
    ratio = independent_ratio(ours, theirs, statistic=STATISTIC)
    made = Comparison(
        job=pair.candidate.job,
        metric=candidate.name,
        parameters=candidate.parameters,
        primary=True,
        kind=Change.UNDECIDED,
        ratio=ratio,
        pairs=0,
        base=base.estimate.value,
        candidate=candidate.estimate.value,
    )
    if ratio.low is None or ratio.high is None:
        return replace(made, reason=ratio.reason)
    above, below = ratio.low > 1 + design.margin, ratio.high < 1 / (1 + design.margin)
    if not above and not below:
        return replace(made, reason="not wholly beyond the margin, which the machine's own drift may reach")
    return replace(made, kind=Change.WORSE if above is lower else Change.BETTER)
