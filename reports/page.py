"""What a report's page shows, as frozen plain data: strings ready to print and numbers ready to plot.

No HTML and no drawing: tests and other kinds of report read the same data.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A value and its 95 % interval in words. `reason` says why either is missing."""

    text: str
    interval: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio to the reference. `verdict`: better or worse only where the interval leaves out 1."""

    text: str
    interval: str = ""
    verdict: str  # better, worse, not-apart, no-interval, reference, unjudged, none
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One headline metric of one row. `state`: value, unknown, failed (no value, because the job failed) or absent."""

    state: str
    quantity: Quantity | None = None
    ratio: Ratio | None = None
    count: int = 0  # attempts behind it
    note: str = ""
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """One headline metric with its parameters, under the scenario that measures it."""

    scenario: str
    title: str
    parameters: str
    better: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A typed warning, and the jobs of a row or the row that it is about."""

    kind: str
    message: str
    hint: str
    about: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a job ended: its outcome, and how many attempts ended how."""

    job: str  # anchor of the job's details
    scenario: str
    ok: bool
    kind: str
    reason: str
    evidence: str
    attempts: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant under a configuration, over all scenarios of one workload."""

    anchor: str
    run: str
    variant: str
    configuration: str
    recipe: str
    reference: bool
    size: str
    size_ratio: str
    smallest: bool
    cells: tuple[Cell, ...]
    ended: tuple[Ended, ...]
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A condition, and which rows met it in which state. One state: it was the same for all."""

    name: str
    states: tuple[tuple[str, tuple[str, ...]], ...]  # (value, who)
    matters: bool  # a state of the device that differs, not a reading such as the load


@dataclass(frozen=True, kw_only=True)
class Leader:
    """The best row of one headline metric. `beside`: rows that it is not clearly apart from."""

    metric: str
    who: str
    quantity: Quantity
    ratio: Ratio | None
    beside: str


@dataclass(frozen=True, kw_only=True)
class Smallest:
    """The variant with the smallest artefact. `ratio` to the reference, "" where it is the reference or unknown."""

    variant: str
    size: str
    ratio: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed job, in one line, and where its row stands."""

    anchor: str
    who: str
    scenario: str
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """A metric in full."""

    title: str
    parameters: str
    statistic: str
    quantity: Quantity
    ratio: Ratio
    count: int
    samples: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was requested and what the runtime did; `differs` where both say something and not the same."""

    name: str
    requested: str
    effective: str
    differs: bool


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Operators that ran on one accelerator."""

    accelerator: str
    total: int
    share: str
    operators: str


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """Everything that is known about one job."""

    anchor: str
    who: str
    scenario: str
    ended: Ended
    stopped: str
    metrics: tuple[MetricRow, ...]
    settings: tuple[Setting, ...]
    placement: tuple[Placement, ...]
    facts: Facts
    warnings: tuple[Warned, ...]


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


Figure = Distribution | TokenCurves | PhaseBars


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model on a workload: what its variants and configurations cost."""

    anchor: str
    model: str
    workload: str
    task: str
    asked: Facts
    leaders: tuple[Leader, ...]
    smallest: Smallest | None
    failed: int
    jobs: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notices: tuple[str, ...]
    conditions: tuple[Difference, ...]
    figures: tuple[Figure, ...]
    details: tuple[JobDetail, ...]

    @property
    def scenarios(self) -> list[tuple[str, int]]:
        """Scenarios over the columns, in their order, with the number of columns under each."""
        groups = groupby(self.columns, key=lambda column: column.scenario)
        return [(scenario, len(list(columns))) for scenario, columns in groups]


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """A run in the header."""

    label: str
    id: str
    suite: str
    suite_digest: str
    started: str
    state: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a metric shown on the page means."""

    title: str
    better: str
    text: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """One report: a hardware target, its runs, and what they say."""

    title: str
    hardware: str
    written: str
    devices: tuple[str, ...]
    runs: tuple[RunLine, ...]
    several_runs: bool
    reading_guide: str
    compared: str
    jobs: int
    warnings: int
    failures: tuple[Failure, ...]
    comparisons: tuple[Comparison, ...]
    definitions: tuple[Definition, ...]
    stops: tuple[tuple[str, int], ...]
    is_not: tuple[str, ...]
