"""What a benchmark yields: a bar, the findings under it, and what each of them is judged by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from benchharness.results.result import Estimate

#: "Equal within 2 %": the interval overlaps 1 ± this, and is no wider than ± this.
EQUAL = 0.02
#: Fewer rounds give intervals that a single disturbance decides; they prove nothing.
LEAST_ROUNDS = 5


class Verdict(StrEnum):
    """How a bar stands."""

    PASS = "pass"
    MISS = "miss"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What a ratio must be: `low` to `high` is the accepted region, None where it is open."""

    says: str
    low: float | None
    high: float | None
    judge: Callable[[Estimate], Verdict]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One ratio. `per_round` are the rounds' own ratios; `absolute` says in words what the two sides took."""

    label: str
    ratio: Estimate
    per_round: Sequence[float]
    absolute: str
    criterion: Criterion | None  # None: a control, which shows the method's own bias

    @property
    def verdict(self) -> Verdict | None:
        """None for a control."""
        return None if self.criterion is None else self.criterion.judge(self.ratio)


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Where time goes: seconds by part, the parts of one bar adding up to its whole."""

    label: str
    parts_s: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A claim, and what was found. `load` is the one-minute load average before and after."""

    name: str
    claim: str
    findings: Sequence[Finding]
    conditions: Sequence[str]
    load: tuple[float, float]
    breakdowns: Sequence[Breakdown] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """The worst of its findings; a bar without any is undecided."""
        found = {finding.verdict for finding in self.findings} - {None}
        if Verdict.MISS in found:
            return Verdict.MISS
        return Verdict.PASS if found == {Verdict.PASS} else Verdict.UNDECIDED


def half_width(ratio: Estimate) -> float:
    """Half the interval over the value; infinite where there is no interval."""
    width = ratio.relative_half_width
    return math.inf if width is None else width


def equal(within: float = EQUAL) -> Criterion:
    """Equal within 2 %, or another share. Apart where the interval misses 1 ± 2 %, however wide it is."""

    def judge(ratio: Estimate) -> Verdict:
        if ratio.low is None or ratio.high is None or ratio.count < LEAST_ROUNDS:
            return Verdict.UNDECIDED
        if ratio.low > 1 + within or ratio.high < 1 - within:
            return Verdict.MISS
        return Verdict.PASS if half_width(ratio) <= within else Verdict.UNDECIDED

    return Criterion(says=f"equal within {within * 100:g} %", low=1 - within, high=1 + within, judge=judge)


def not_below() -> Criterion:
    """At or above 1, where less than 2 % below counts as at: the whole interval has to lie there."""

    def judge(ratio: Estimate) -> Verdict:
        if ratio.low is None or ratio.high is None or ratio.count < LEAST_ROUNDS:
            return Verdict.UNDECIDED
        if ratio.low >= 1 - EQUAL:
            return Verdict.PASS
        return Verdict.MISS if ratio.high < 1 - EQUAL else Verdict.UNDECIDED

    return Criterion(says="at or above, within 2 %", low=1 - EQUAL, high=None, judge=judge)


def at_most(limit: float) -> Criterion:
    """No more than `limit`: the whole interval has to lie there."""

    def judge(ratio: Estimate) -> Verdict:
        if ratio.low is None or ratio.high is None or ratio.count < LEAST_ROUNDS:
            return Verdict.UNDECIDED
        if ratio.high <= limit:
            return Verdict.PASS
        return Verdict.MISS if ratio.low > limit else Verdict.UNDECIDED

    return Criterion(says=f"at most {limit:g}", low=None, high=limit, judge=judge)
