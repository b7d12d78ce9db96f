"""How two builds are compared: what is said before the first pair, so that looking often costs no truth. Pure.

Base and candidate take turns in fresh processes, in pairs. At a few numbers of pairs fixed beforehand somebody looks,
and at no others. The chance to call a build worse, or better, that is not, is `alpha` over all looks and all primary
metrics together: each look may spend the share of it that its share of the pairs is (Kim and DeMets 1987, rho = 1), a
look has what was not spent before it, and each of the hypotheses has its part of that (Bonferroni). So it holds
however looks and metrics depend on each other, at some price in power. Spending as early as this lets ten pairs call
what is plain; O'Brien and Fleming's boundaries would leave a tenth of that look's share, which no ten pairs can reach.

The other way round, `beta` is the chance to call a metric no worse by the margin that is. It is spent alike, but by
the chance that looks have together (`judge.sequential`), and metrics do not divide it: a gate is green where all of
them are no worse, so that one that is worse has to be missed itself (Berger 1982). Stopping for that is not binding:
whoever goes on all the same has an alpha no larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from benchharness.results.result import Job

#: What is decided on without a word of the suite: of each job those it has. With five, ten pairs can still call one
#: of them worse.
PRIMARY = ("model_ttft", "tpot", "steady_inference", "peak_memory")
#: Without a word of the suite. With three primary metrics ten pairs can call a build worse: 2^-10 < 0.01 * 10/20 / 3.
LOOKS = (10, 12, 16, 20)
ALPHA, BETA = 0.01, 0.05
#: A difference below `least` is none, however sure it is; one below `margin` does not matter.
LEAST, MARGIN = 0.01, 0.05


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A known change for the worse that turns no gate red until a day: whose, why, and how large it may be."""

    metric: str
    owner: str
    reason: str
    until: date
    worse_by: float | None = None  # no larger than this share; None: whatever its size
    model: str | None = None  # None: of every one
    variant: str | None = None
    configuration: str | None = None
    scenario: str | None = None

    def covers(self, job: Job, metric: str) -> bool:
        """Whether it speaks of a metric of a job."""
        named = (self.model, self.variant, self.configuration, self.scenario)
        has = (job.model, job.variant, job.configuration.name, job.scenario)
        return metric == self.metric and all(name in (None, one) for name, one in zip(named, has, strict=True))


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is fixed before the first pair. Raises `ValueError` where the parts do not go together."""

    primary: tuple[str, ...] = PRIMARY
    looks: tuple[int, ...] = LOOKS
    alpha: float = ALPHA
    beta: float = BETA
    least: float = LEAST
    margin: float = MARGIN
    allow: tuple[str, ...] = ()  # words of differences in what the builds did that do not matter
    # By how much a metric may be worse that no pairs decide: exact ones by a share, losses of quality in their unit.
    limits: Mapping[str, float] = field(default_factory=dict)
    accepted: tuple[Accepted, ...] = ()

    def __post_init__(self) -> None:
        if not self.looks or self.looks[0] < 1 or list(self.looks) != sorted(set(self.looks)):
            raise ValueError(f"looks are one or more growing numbers of pairs, not {list(self.looks)}")
        if not (0 < self.alpha < 0.5 and 0 < self.beta < 0.5):
            raise ValueError(f"alpha and beta are between 0 and 0.5, not {self.alpha} and {self.beta}")
        if not 0 <= self.least < self.margin:
            raise ValueError(f"least, {self.least:g}, is to be smaller than the margin, {self.margin:g}")

    def alpha_at(self, look: int, hypotheses: int) -> float:
        """The p-value at or below which a look, counted from 0, calls one of so many hypotheses worse or better."""
        return self.alpha * self._spent(look) / hypotheses

    def beta_at(self, look: int) -> float:
        """The chance with which a look may leave a bound on a metric wrong; 0.0: that look leaves none."""
        from benchharness.judge.sequential import levels  # numpy, which who only plans needs none of

        return levels(self.looks, self.beta)[look]

    def _spent(self, look: int) -> float:
        before = self.looks[look - 1] if look else 0
        return (self.looks[look] - before) / self.looks[-1]

    def pairs_needed(self, hypotheses: int) -> int | None:
        """The first look that could call one of so many hypotheses worse; None: no look could."""
        each = ((pairs, self.alpha_at(look, hypotheses)) for look, pairs in enumerate(self.looks))
        return next((pairs for pairs, level in each if fewest_pairs(level) <= pairs), None)


def fewest_pairs(level: float) -> int:
    """With fewer pairs than this no ratios whatever have so small a p-value: each pair halves the least there is."""
    return math.ceil(-math.log2(level))
