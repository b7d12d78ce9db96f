"""What the figures of a report draw, as frozen plain data: labels ready to print and numbers ready to plot."""

from __future__ import annotations

from dataclasses import dataclass

from reports.session_figures import LadderChart, PauseCurves, RateBars, SessionChart, SlowdownBars


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The samples of one attempt, in the figure's unit; `total` were measured, fewer may be drawn."""

    values: tuple[float, ...]
    middle: float
    total: int


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One row of a distribution: a variant under a configuration, one lane an attempt."""

    label: str
    colour: int
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Samples of one metric, one strip a row."""

    title: str
    unit: str
    note: str
    logarithmic: bool
    strips: tuple[Strip, ...]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A median and its p10 to p90 band over the token index."""

    label: str
    colour: int
    index: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """The curves of one configuration."""

    label: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True)
class TokenCurves:
    """ITL over the token index, one panel a configuration, all on the same axes."""

    title: str
    unit: str
    note: str
    panels: tuple[CurvePanel, ...]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One stacked bar: the phases of a start, in the figure's unit."""

    label: str
    segments: tuple[float, ...]  # as many as the figure has phases
    total: str


@dataclass(frozen=True, kw_only=True)
class PhaseBars:
    """Cold starts by phase."""

    title: str
    unit: str
    note: str
    phases: tuple[str, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryBar:
    """What was held when a phase ended, in the figure's unit. `resident` only where its two parts are unknown."""

    phase: str
    anonymous: float
    file: float
    resident: float
    peak: float | None  # highest within the phase; None where the system keeps none for each phase


@dataclass(frozen=True, kw_only=True)
class MemoryGroup:
    """The phases of one row. `baseline` is what was held when the runtime was imported and no model loaded."""

    label: str
    baseline: float | None
    bars: tuple[MemoryBar, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryBars:
    """Memory by phase, one group of bars a row."""

    title: str
    unit: str
    note: str
    groups: tuple[MemoryGroup, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryLine:
    """One attempt: resident memory over seconds since the process was started."""

    seconds: tuple[float, ...]
    resident: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryPanel:
    """The attempts of one row."""

    label: str
    colour: int
    lines: tuple[MemoryLine, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryLines:
    """Memory over time, one panel a row, all on the same axes."""

    title: str
    unit: str
    note: str
    panels: tuple[MemoryPanel, ...]


@dataclass(frozen=True, kw_only=True)
class RatioDot:
    """The ratio of one metric, with its interval where there is one; `verdict` as in `tables.Ratio`."""

    metric: str
    value: float
    low: float | None
    high: float | None
    verdict: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RatioGroup:
    """The ratios of one row, or of one of its scenarios."""

    label: str
    dots: tuple[RatioDot, ...]


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """Ratios of rows to one of them, as dots on a logarithmic axis from `lowest` to `highest`, with a line at 1."""

    title: str
    unit: str
    note: str
    lowest: float
    highest: float
    groups: tuple[RatioGroup, ...]


@dataclass(frozen=True, kw_only=True)
class PositionCurve:
    """The mean divergence of one variant along the context."""

    label: str
    colour: int
    position: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PositionPanel:
    """The variants of one configuration."""

    label: str
    curves: tuple[PositionCurve, ...]


@dataclass(frozen=True, kw_only=True)
class PositionCurves:
    """Divergence from the reference along the context, on a logarithmic axis, one panel a configuration."""

    title: str
    unit: str
    note: str
    panels: tuple[PositionPanel, ...]


@dataclass(frozen=True, kw_only=True)
class ClassPanel:
    """What one row gained (above 0) or lost in each class."""

    label: str
    colour: int
    classes: tuple[str, ...]
    changes: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ClassBars:
    """Accuracy change by class, one panel a row, all on the same axes."""

    title: str
    unit: str
    note: str
    panels: tuple[ClassPanel, ...]


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A candidate. `x` and `y` are (value, low, high); `loss` is 0 to 1 among the shown, None where it is unknown."""

    number: int
    label: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]
    loss: float | None
    dominated: bool
    recommended: bool
    in_front: bool  # no other point of the figure is better in one and not worse in the other


@dataclass(frozen=True, kw_only=True)
class Front:
    """Candidates by two objectives, with the edge of what they reach; `higher`: more of `y` is better."""

    title: str
    unit: str
    note: str
    x_title: str
    y_title: str
    higher: bool
    points: tuple[FrontPoint, ...]


Figure = (
    Distribution
    | TokenCurves
    | PhaseBars
    | MemoryBars
    | MemoryLines
    | Ratios
    | PositionCurves
    | ClassBars
    | Front
    | SessionChart
    | RateBars
    | PauseCurves
    | LadderChart
    | SlowdownBars
)
