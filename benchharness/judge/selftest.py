"""What a machine's comparison of a build with itself says: how often it would cry wolf, and what it could see. Pure.

Designs are drawn from the recorded pairs as they followed each other: every stretch of as many pairs as the last look,
never shuffled and no sign turned, so that drift and neighbours are in them. Stretches overlap, so that their number
says little: the interval is that of the stretches that share no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchharness.judge.bootstrap import clopper_pearson
from benchharness.judge.design import Design
from benchharness.judge.pairs import Change, Rounds, decided


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


def recorded(design: Design, pairs: int) -> Design:
    """The design by which a self-test records: so many pairs, whatever they say."""
    return replace(design, looks=(pairs,))


def least_visible(tests: Sequence[SelfTest]) -> float | None:
    """The smallest change that all metrics would show."""
    seen = [each.visible for each in tests if each.visible is not None]
    return max(seen) if len(seen) == len(tests) and seen else None
