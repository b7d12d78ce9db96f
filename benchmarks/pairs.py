"""Paired measurement: every side once a round, in random order, until the interval of the ratio is narrow enough."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchharness.judge.intervals import paired_ratio
from benchharness.results.result import Estimate
from benchmarks.bars import EQUAL, LEAST_ROUNDS, half_width

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Round:
    """One paired look: ratios by what they compare, and the absolute figures behind them by name."""

    ratios: Mapping[str, float]
    values: Mapping[str, float]


def in_random_order(sides: Mapping[str, Callable[[], T]], order: random.Random) -> dict[str, T]:
    """One turn of every side; what each gave, by its name."""
    names = list(sides)
    order.shuffle(names)
    return {name: sides[name]() for name in names}


def collect(
    once: Callable[[], Round], *, max_time_s: float, names: Sequence[str], within: float = EQUAL
) -> list[Round]:
    """Rounds until the intervals of the ratios called `names` are within ± `within`, or until the time is over.

    Only the width decides, never where the interval lies: stopping there would find what was hoped for.
    """
    end_s = time.monotonic() + max_time_s
    rounds: list[Round] = []
    while not rounds or time.monotonic() < end_s:
        rounds.append(once())
        if len(rounds) >= LEAST_ROUNDS and all(half_width(ratio_of(rounds, name)) <= within for name in names):
            break
    return rounds


def ratio_of(rounds: Sequence[Round], name: str) -> Estimate:
    """The geometric mean of the rounds' ratios and its 95 % interval."""
    return paired_ratio([(found.ratios[name], 1.0) for found in rounds], statistic="geometric mean over rounds")


def median_of(rounds: Sequence[Round], name: str) -> float:
    """The median over rounds of an absolute figure."""
    return statistics.median(found.values[name] for found in rounds)
