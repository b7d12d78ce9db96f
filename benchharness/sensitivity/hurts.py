"""What each part costs in quality, ranked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from benchharness.compress.parts import Part
from benchharness.results.result import Estimate, MetricResult, Result, to_show

#: What parts can be ranked by, with the value of a variant that has lost nothing. Where no budget names one of them,
#: it is the first that every part has.
_LOSSLESS = {
    "kld": 0.0,
    "kld_pooled": 0.0,
    "total_variation": 0.0,
    "sqnr": inf,
    "cosine": 1.0,
    "same_top_token": 1.0,
    "agreement": 1.0,
}


@dataclass(frozen=True, kw_only=True)
class Hurt:
    """A part that was compressed alone. `saved` is how many bytes smaller the model became, and `loss` what it cost."""

    part: Part
    variant: str
    saved: int
    loss: Estimate  # of the metric that parts are ranked by, against the original
    failure: str = ""  # why there is no loss
    alike: bool = False  # its interval overlaps that of the part above it: which of the two hurts more is open

    def per_byte(self, metric: str) -> float:
        """What a byte that is saved costs, in a measure that grows with the harm and is 0 where nothing was lost."""
        return 0.0 if self.loss.value is None else harm(metric, self.loss.value) / max(self.saved, 1)


def harm(metric: str, value: float) -> float:
    """How far a figure is from that of a lossless variant; of an SQNR, which is a logarithm, the share of noise."""
    lossless = _LOSSLESS[metric]
    return 10 ** (-value / 10) if lossless == inf else abs(value - lossless)


def metric_of(results: Sequence[Result], budgeted: Sequence[str]) -> str:
    """The metric to rank by: the first with a budget, else the first usual one that every result has; empty if none."""
    there = [{metric.name for metric in result.metrics if metric.estimate.value is not None} for result in results]
    common = set.intersection(*there) if there else set()
    return next((name for name in (*budgeted, *_LOSSLESS) if name in common and name in _LOSSLESS), "")


def loss_of(result: Result, metric: str) -> MetricResult | None:
    """The figure of a variant that stands where one is shown."""
    return to_show([each for each in result.metrics if each.name == metric])[0]


def ranked(hurts: Sequence[Hurt], metric: str) -> list[Hurt]:
    """Worst first, each told whether it can be told from the one above; what could not be measured comes last."""
    measured = [hurt for hurt in hurts if hurt.loss.value is not None]
    ordered = sorted(measured, key=lambda hurt: harm(metric, hurt.loss.value or 0.0), reverse=True)
    told = [replace(hurt, alike=place > 0 and _overlap(hurt, ordered[place - 1])) for place, hurt in enumerate(ordered)]
    return [*told, *(hurt for hurt in hurts if hurt.loss.value is None)]


def _overlap(one: Hurt, other: Hurt) -> bool:
    """Whether two losses could be the same; what has no interval is told apart from nothing."""
    return not (one.loss.clearly_below(other.loss, 0.0) or other.loss.clearly_below(one.loss, 0.0))
