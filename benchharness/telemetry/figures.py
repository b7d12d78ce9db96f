"""Figures of the field: quantiles and rates of what was counted, with intervals, be there noise or none. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchharness.device.tally import HISTOGRAMS
from benchharness.telemetry.shares import Range, noise_beyond, quantile, share
from benchharness.telemetry.votes import Counted, Place

#: The quantiles that are told of each histogram of sizes, in percent.
QUANTILES = (50, 95)


@dataclass(frozen=True, kw_only=True)
class FieldFigure:
    """A quantile, or the rate of a kind."""

    place: Place
    what: str  # "p50", or a kind
    unit: str  # "share" for rates
    field: Range


@dataclass(frozen=True, kw_only=True)
class Devices:
    """How many devices voted in a histogram. Exact where nothing was added."""

    place: Place
    count: Range
    noise: int  # that the whole of the histogram is off by more than this is rarer than 5 %; 0: nothing was added


def figures_of(counted: Counted) -> Iterator[FieldFigure]:
    """Every figure, in the order of the counts."""
    scale = counted.noise.scale if counted.noise else 0.0
    for place, counts in counted.counts.items():
        histogram = HISTOGRAMS[place[2]]
        if histogram.kinds:
            total = sum(counts)
            for kind, count in zip(histogram.kinds, counts, strict=True):
                found = share(count, 1, total - count, histogram.bins - 1, scale)
                yield FieldFigure(place=place, what=kind, unit="share", field=found)
        else:
            for percent in QUANTILES:
                found = quantile(counts, histogram.edges, percent, scale)
                yield FieldFigure(place=place, what=f"p{percent}", unit=histogram.unit, field=found)


def devices_of(counted: Counted) -> Iterator[Devices]:
    """How many devices voted in each histogram."""
    scale = counted.noise.scale if counted.noise else 0.0
    for place, counts in counted.counts.items():
        off = noise_beyond(len(counts), scale, 0.025)
        total = sum(counts)
        bounds = Range(value=max(total, 0), low=max(total - off, 0), high=max(total + off, 0))
        yield Devices(place=place, count=bounds, noise=off)
