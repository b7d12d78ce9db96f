"""One vote for each device in each histogram, and the counts that they add up to. Pure.

A vote is one event of the device, drawn among all that it counted in a histogram, over all variants. So what a count
means is the same whoever uses a device much or little: a device drawn at random, and an event of it drawn at random.
And whatever a device claims, it moves each histogram by one at most: it is clipped here, where it is added, and not
where it says that it was. The draw is made of the file's id, so that the same files have the same counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchharness.device.tally import HISTOGRAMS, Tally


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What was added to counts: whole numbers of a discrete Laplace distribution, of this scale."""

    scale: float
    epsilon: str  # as it was asked for and spent, for all histograms together
    by: str  # what drew it, with its version

    def to_json(self) -> dict[str, Any]:
        """As a release says it; delta is none."""
        return {
            "mechanism": "discrete Laplace",
            "scale": self.scale,
            "epsilon": self.epsilon,
            "delta": 0,
            "unit": "device",
            "by": self.by,
        }


#: Hardware target, variant and histogram.
Place = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Votes of one month for one model, by place and bin."""

    period: str
    model: str
    counts: Mapping[Place, Sequence[int]] = field(default_factory=dict)
    noise: Noise | None = None  # None: as they were counted, for nobody but the aggregator

    def to_json(self) -> dict[str, Any]:
        """The document: what leaves, where there is noise."""
        return {
            "schema": "benchharness-field-1",
            "period": self.period,
            "model": self.model,
            "noise": self.noise.to_json() if self.noise else None,
            "counts": [
                {"hardware": hardware, "variant": variant, "histogram": histogram, "bins": list(bins)}
                for (hardware, variant, histogram), bins in self.counts.items()
            ],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Counted:
        """A document as `to_json` made it. Raises `KeyError`, `TypeError` or `ValueError` for any other."""
        told = found["noise"]
        counts = {}
        for each in found["counts"]:
            bins = [int(count) for count in each["bins"]]
            if len(bins) != HISTOGRAMS[each["histogram"]].bins:
                raise ValueError(f"{each['histogram']} has {len(bins)} bins")
            counts[each["hardware"], each["variant"], each["histogram"]] = bins
        noise = Noise(scale=float(told["scale"]), epsilon=told["epsilon"], by=told["by"]) if told else None
        return cls(period=found["period"], model=found["model"], counts=counts, noise=noise)


def places_of(tallies: Iterable[Tally]) -> list[Place]:
    """Wherever something was counted. What is released is not asked of the data: its places are declared before."""
    return sorted(
        {
            (tally.hardware, variant, name)
            for tally in tallies
            for variant, histograms in tally.counts.items()
            for name, bins in histograms.items()
            if any(bins)
        },
        key=lambda place: (place[0], place[1], list(HISTOGRAMS).index(place[2])),
    )


def counted(tallies: Iterable[Tally], places: Sequence[Place]) -> dict[Place, list[int]]:
    """The votes of one month's devices by place and bin. A vote for a place that is not among these is not counted.

    A device that is there twice votes once, with the tally that stands first.
    """
    counts = {place: [0] * HISTOGRAMS[place[2]].bins for place in places}
    histograms = list(dict.fromkeys(name for _, _, name in places))
    first = {tally.device: tally for tally in reversed(list(tallies))}
    for tally in first.values():
        for name in histograms:
            drawn = vote(tally, name)
            if drawn is not None and (tally.hardware, drawn[0], name) in counts:
                counts[tally.hardware, drawn[0], name][drawn[1]] += 1
    return counts


def vote(tally: Tally, histogram: str) -> tuple[str, int] | None:
    """The variant and the bin that a device votes for; None where it counted nothing there."""
    bins = [
        (variant, place, count)
        for variant in sorted(tally.counts)
        for place, count in enumerate(tally.counts[variant][histogram])
        if count
    ]
    if not bins:
        return None
    seed = hashlib.sha256(f"{tally.device} {tally.period} {histogram}".encode()).digest()
    event = int.from_bytes(seed, "big") % sum(count for _, _, count in bins)
    for variant, place, count in bins:
        if event < count:
            return variant, place
        event -= count
    raise AssertionError("an event beyond the last")
