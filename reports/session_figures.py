"""What the figures on sessions, pauses and constrained devices draw, as frozen plain data; see `figures`."""

from __future__ import annotations

from dataclasses import dataclass

#: A value and the ends of its interval, which are the value itself where there is none; in the figure's unit.
Ends = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class TimeLine:
    """One attempt over the seconds of its session."""

    told: bool  # the attempt whose evidence is told, drawn in front
    seconds: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class TimePanel:
    """One quantity of all attempts. Its axis spans at least `span`, from 0 where that is `from_zero`."""

    title: str
    lines: tuple[TimeLine, ...]
    span: float = 0.0
    from_zero: bool = False


@dataclass(frozen=True, kw_only=True)
class Shade:
    """Neighbouring windows that went through the same, from second to second."""

    start: float
    end: float
    state: str


@dataclass(frozen=True, kw_only=True)
class SessionChart:
    """The sessions of one job: throughput first, what explains it beneath, all on one time axis.

    Baseline, settled part, levels, shades and change point are those of the attempt that is told.
    """

    title: str
    unit: str
    note: str
    colour: int
    attempts: int
    panels: tuple[TimePanel, ...]
    levels: tuple[tuple[str, float], ...]
    baseline: tuple[float, float, float] | None  # from second, to second, rate
    settled: tuple[float, float, float] | None
    shades: tuple[Shade, ...]
    change_s: float | None


@dataclass(frozen=True, kw_only=True)
class RatePair:
    """How fast one row was at first and in the end."""

    label: str
    colour: int
    burst: Ends | None
    settled: Ends | None
    text: str


@dataclass(frozen=True, kw_only=True)
class RateBars:
    """Burst rates beside steady-state rates."""

    title: str
    unit: str
    note: str
    rows: tuple[RatePair, ...]


@dataclass(frozen=True, kw_only=True)
class LadderStep:
    """A limit, the time to an answer under it (None: no trial answered), and the outcome in a word."""

    limit: float
    time: float | None
    outcome: str


@dataclass(frozen=True, kw_only=True)
class LadderPanel:
    """The ladders of one row: all steps, and the bracket of each attempt's floor (failing, floor)."""

    label: str
    unconstrained: float | None
    latest: float | None  # a slower answer counts as none
    steps: tuple[LadderStep, ...]
    brackets: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class LadderChart:
    """Latency against a limit on memory, one panel a row, all on the same axes. `unit` is that of the limits."""

    title: str
    unit: str
    note: str
    floor: str
    x_title: str
    y_title: str
    outcomes: tuple[str, ...]  # those that occur, best first
    panels: tuple[LadderPanel, ...]


@dataclass(frozen=True, kw_only=True)
class SlowdownBar:
    """One constraint: how many times slower, lowest and highest attempt beside; None where nothing answered."""

    name: str
    slower: Ends | None
    outcome: str
    text: str


@dataclass(frozen=True, kw_only=True)
class SlowdownGroup:
    """The constraints of one row."""

    label: str
    bars: tuple[SlowdownBar, ...]


@dataclass(frozen=True, kw_only=True)
class SlowdownBars:
    """Less CPU and background load, against the unconstrained time."""

    title: str
    unit: str
    note: str
    groups: tuple[SlowdownGroup, ...]


@dataclass(frozen=True, kw_only=True)
class PauseCurve:
    """One row: for each pause that it has (number of the pause, value with interval)."""

    label: str
    colour: int
    points: tuple[tuple[int, Ends], ...]


@dataclass(frozen=True, kw_only=True)
class PausePanel:
    """One metric under one configuration."""

    title: str
    curves: tuple[PauseCurve, ...]
    highest: float  # of all panels of the metric, so that they compare by eye


@dataclass(frozen=True, kw_only=True)
class PauseCurves:
    """Speed against the pause before a request; the pauses are categories, since one of them is none."""

    title: str
    unit: str
    note: str
    pauses: tuple[str, ...]
    panels: tuple[PausePanel, ...]
