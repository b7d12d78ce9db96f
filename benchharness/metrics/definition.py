"""What a metric is: a name without numbers, a unit, a direction, a definition and where it comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Base units; `units` writes readable multiples of them."""

    NANOSECONDS = "ns"
    BYTES = "bytes"
    TOKENS_PER_SECOND = "tokens/s"
    INFERENCES_PER_SECOND = "inferences/s"
    JOULES = "J"
    NATS = "nats"  # natural logarithms
    SHARE = "share"  # 0 to 1, or a difference of two of them
    TOKENS = "tokens"
    DECIBELS = "dB"
    BITS_PER_BYTE = "bits/byte"  # of a text in UTF-8
    NUMBER = "1"  # a plain number: a perplexity, a cosine, a p-value
    PERCENT_PER_HOUR = "%/h"  # of a battery
    CHARGE_PER_HOUR = "mAh/h"


#: Units of what a device does in what time and memory: nothing else than a device can say it.
OF_DEVICE = (
    *(Unit.NANOSECONDS, Unit.BYTES, Unit.TOKENS_PER_SECOND, Unit.INFERENCES_PER_SECOND, Unit.JOULES),
    *(Unit.PERCENT_PER_HOUR, Unit.CHARGE_PER_HOUR),
)


class Better(StrEnum):
    """Which direction a user wants."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"  # context for another metric


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured quantity.

    `percentiles` are read from the samples of an attempt, where there are enough of them; without percentiles an
    attempt's value stands as the worker stored it (the median of its samples, or the one value it has).
    """

    name: str
    title: str
    unit: Unit
    better: Better
    definition: str
    source: str
    headline: bool = False  # named in the summary, and what an interval asked for applies to
    stands_in_for: str = ""  # the metric in whose place it is named so, where a row has no value of that
    percentiles: tuple[int, ...] = ()
    tails: tuple[int, ...] = ()  # percentiles beside the attempt's own value, where every attempt's samples carry them
    parts: str = ""  # what there may be one each of: a model's "output", a task's "measure", an "alpha"; see `part_of`
    decided_by: str = ""  # what would narrow its interval, where more attempts or inputs do not
    of_reference: str = ""  # the metric that this one is of the reference, which is measured beside its variants
    bounds: str = ""  # the metric that this one is a lower bound of: it may miss a limit for it, and never keep it

    def is_named(self, rows: Iterable[Collection[str]]) -> bool:
        """Whether it is named in a summary of these rows, of each of which the metrics are given that have a value.

        What stands in for another is named where a row has it and lacks that one.
        """
        if not self.headline or not self.stands_in_for:
            return self.headline
        return any(self.name in valued and self.stands_in_for not in valued for valued in rows)
