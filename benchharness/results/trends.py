"""What a store says over many runs: a trend for each figure, its steps, and what stopped reporting. Frozen plain data.

A night is one run. Two sorts of figures stand beside each other: what was measured, and what it is to a pinned base
build that ran beside it in the same night, because a machine's own speed moves and a ratio does not move with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from benchharness.results.result import Parameters

if TYPE_CHECKING:
    import pandas as pd


class Certainty(StrEnum):
    """How much a step is told by."""

    CONFIRMED = "confirmed"  # the ratio to the base, round by round, shows it
    LIKELY = "likely"  # absolute values show it, and nothing tells it from the machine's own drift
    DRIFT = "drift"  # absolute values show it, and the base's moved along: it is the machine's


@dataclass(frozen=True, kw_only=True)
class Night:
    """One run, as history has it."""

    run: str
    suite: str
    suite_digest: str
    started: datetime
    version: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Track:
    """A figure over the nights that have it, oldest first, with 95 % intervals over the attempts of each night.

    `nights` are places in `History.nights`; an end is None where one attempt says nothing about spread.
    """

    nights: Sequence[int] = ()
    values: Sequence[float] = ()
    lows: Sequence[float | None] = ()
    highs: Sequence[float | None] = ()
    counts: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.nights)


@dataclass(frozen=True, kw_only=True)
class Bridged:
    """Nights that ran beside another base, and what that is to the trend's own: `value`, with its 95 % interval.

    Their ratios are multiplied by it and the base's values divided, and its error is in their intervals and in steps
    between them and other nights. `runs` say so; none where somebody took builds that differ in the harness for one.
    """

    build: str
    nights: Sequence[int]
    runs: Sequence[str]
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Something that was another that night: what, and what it was before and after."""

    what: str  # "artefact", "runtime", "interpreter", "OS", "kernel", "host", "suite", "harness"
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """A level that is another one from `night` on; the step may as well lie from night `first` to `last`.

    `size` is the new level over the old one, less 1, or, where `relative` is false, the difference in the metric's
    unit; with its 95 % interval. `causes` are all that changed that night, and so only likely ones.
    """

    night: int
    first: int
    last: int
    size: float
    low: float
    high: float
    relative: bool
    certainty: Certainty
    worse: bool | None  # None: the metric has no better side
    causes: Sequence[Cause]
    base_size: float | None = None  # how the base's own absolute values moved there
    p: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A figure that no longer reports: on how many nights of its suite, since when, and what is known of why."""

    nights: int
    since: datetime  # the last night that had it
    reason: str = ""  # how its job ended in the newest of them; "" where nothing ran it
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Trend:
    """One figure of one variant in one configuration on one device, over the nights."""

    suite: str
    hardware: str
    device: str
    model: str
    variant: str
    configuration: str
    workload: str
    scenario: str
    cell: str
    metric: str
    parameters: Parameters
    unit: str
    better: str
    absolute: Track
    ratio: Track = field(default_factory=Track)
    base: Track = field(default_factory=Track)  # the base's own absolute values; see `Bridged`
    base_build: str = ""
    bridged: Sequence[Bridged] = ()
    why_no_ratio: str = ""  # on none of its nights, or not on all
    steps: Sequence[Step] = ()
    gap: Gap | None = None
    limit: float | None = None  # a budget's, in the metric's unit
    limit_text: str = ""
    exact: bool = False  # of what is known without an attempt, as an artefact's size: any other value is a step
    among: bool = False  # other devices of its hardware target have the figure too, so that it is named with its own

    @property
    def change(self) -> Step | None:
        """The newest of its confirmed steps, else of the likely ones."""
        for certainty in (Certainty.CONFIRMED, Certainty.LIKELY):
            told = [step for step in self.steps if step.certainty is certainty]
            if told:
                return told[-1]
        return None


@dataclass(frozen=True, kw_only=True)
class FleetStep:
    """A step that some device's trend has, over all devices: `size` as in `Step`, with an interval over devices.

    `seen` are the devices whose own trends have it: a build steps on all of them, a unit on one.
    """

    night: int
    size: float
    low: float | None
    high: float | None
    seen: Sequence[str]
    devices: int


@dataclass(frozen=True, kw_only=True)
class FleetTrend:
    """One figure on several devices of one hardware target, over the nights on which more than one had it.

    A night is a round of the devices within 18 hours: `absolute.nights` has the last run of each, `absolute.counts` how
    many devices. Intervals are over devices. `far` is how far the device farthest from the others was from them on
    average, 0.06 is 6 % above; `stands_out`: farther than chance explains.
    """

    trends: Sequence[Trend]
    absolute: Track
    ratio: Track
    steps: Sequence[FleetStep]
    farthest: str = ""
    far: float = 0.0
    stands_out: bool = False


@dataclass(frozen=True, kw_only=True)
class History:
    """The trends of a store; `told` is what must be known of its nights, such as clocks that went back.

    `tested` is how many series were one family of tests, and `alpha` the chance of any false step among all of them.
    """

    nights: Sequence[Night]
    trends: Sequence[Trend]
    told: Sequence[str]
    tested: int
    alpha: float
    machines: Mapping[str, str] = field(default_factory=dict)  # by device what its newest self-test says
    fleets: Sequence[FleetTrend] = ()  # figures that several devices of a hardware target have

    def steps(self, *certainties: Certainty) -> list[tuple[Trend, Step]]:
        """The steps of every trend, newest first and of one night the largest first; only of these certainties."""
        found = [
            (trend, step)
            for trend in self.trends
            for step in trend.steps
            if not certainties or step.certainty in certainties
        ]
        return sorted(found, key=lambda each: (-each[1].night, -abs(each[1].size)))

    @property
    def missing(self) -> list[Trend]:
        """The trends that stopped reporting, those that failed first, then the longest missing last."""
        gone = [(trend, trend.gap) for trend in self.trends if trend.gap is not None]
        return [trend for trend, _ in sorted(gone, key=lambda each: (not each[1].failed, each[1].nights))]

    def frame(self) -> pd.DataFrame:
        """A row per trend, night and sort of figure ("absolute", "ratio", "base"): value, interval, attempts."""
        from benchharness.results import frames

        return frames.history_frame(self)

    def to_json(self) -> str:
        """Everything, schema 1; see `benchharness.results.export`."""
        from benchharness.results.export import history_to_json

        return history_to_json(self)
