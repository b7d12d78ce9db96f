"""What a supervisor read beside the worker of a course, by channel. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchharness.records import SENSOR_READING
from benchharness.results.result import Attempt
from benchharness.scenarios.sustained.heat import heat_evidence, sources_of_heat

Series = NDArray[np.float64]
#: A counter that moved so often is known to a twentieth of what it counted.
LEAST_STEPS = 20


class Readings:
    """What a supervisor read beside the worker, by channel."""

    def __init__(self, attempt: Attempt) -> None:
        self.sensors: Mapping[str, Any] = attempt.conditions.sensors  # what each is, as the device described it
        self._rows = {
            str(each.parameters.get("channel")): SENSOR_READING.by_name(np.asarray(each.samples, dtype=np.float64))
            for each in attempt.measurements
            if each.metric == SENSOR_READING.metric
            and SENSOR_READING.fits(each.samples, each.row_length)
            and each.samples
        }

    def names(self, *prefixes: str) -> list[str]:
        """The channels whose names begin so."""
        return [name for name in self._rows if name.startswith(prefixes)]

    def exactly(self, channel: str) -> list[str]:
        """The channel of this name, if there is one."""
        return [channel] if channel in self._rows else []

    def grown(self, channel: str, starts: Series, ends: Series) -> Series:
        """By how much a counter grew from each start to its end; NaN where it was not read then, or fell."""
        rows = self._rows.get(channel)
        if rows is None:
            return np.full(len(starts), math.nan)
        grew = _between(ends, rows) - _between(starts, rows)
        return np.where(grew >= 0, grew, math.nan)

    def moved(self, channel: str, start: float, end: float) -> int:
        """How often a counter grew between two moments."""
        _, counted = self._inside(channel, start, end)
        return int(np.count_nonzero(np.diff(counted) > 0))

    def _inside(self, channel: str, start: float, end: float) -> tuple[Series, Series]:
        rows = self._rows[channel]
        inside = (rows["moment"] >= start) & (rows["moment"] <= end)
        return rows["moment"][inside], rows["reading"][inside]

    def drained_watts(self, start: float, end: float) -> float | None:
        """What left the battery meanwhile, by its charge counter; None where that is too coarse to tell."""
        if not self.exactly("drained_uj") or self.moved("drained_uj", start, end) < LEAST_STEPS:
            return None
        moments, counted = self._inside("drained_uj", start, end)
        return float((counted[-1] - counted[0]) / (moments[-1] - moments[0])) * 1e3  # µJ a ns

    def level(self, channels: Sequence[str], starts: Series, ends: Series) -> list[float | None]:
        """The highest of some channels in the middle of each window; None where none was read around it."""
        levels = [_between((starts + ends) / 2, self._rows[channel]) for channel in channels]
        highest = np.fmax.reduce(levels) if levels else np.full(len(starts), math.nan)
        return [known(value) for value in highest]

    def heat(self) -> list[str]:
        """What sensors say about heat, in sentences."""
        return heat_evidence(self._series())

    def could_tell_heat(self) -> bool:
        """Whether there is a sensor that would have said so."""
        return bool(sources_of_heat(self._series()))

    def _series(self) -> dict[str, list[tuple[int, float]]]:
        return {name: [(round(moment), value) for moment, value in _pairs(rows)] for name, rows in self._rows.items()}

    def since(self, origin_ns: float) -> dict[str, list[tuple[float, float]]]:
        """Every channel as (seconds since the origin, value)."""
        return {
            name: [((moment - origin_ns) / 1e9, value) for moment, value in _pairs(rows)]
            for name, rows in self._rows.items()
        }


def _pairs(channel: Mapping[str, Series]) -> list[tuple[float, float]]:
    return list(zip(channel["moment"].tolist(), channel["reading"].tolist(), strict=True))


def _between(moments: Series, channel: Mapping[str, Series]) -> Series:
    """A channel's readings at other moments; NaN before the first and after the last of them."""
    return np.interp(moments, channel["moment"], channel["reading"], left=math.nan, right=math.nan)


def known(value: float) -> float | None:
    """A figure, or None for one that is not finite."""
    return float(value) if math.isfinite(value) else None
