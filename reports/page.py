"""What a report's page shows, as frozen plain data: strings ready to print and numbers ready to plot.

No HTML and no drawing: tests and other kinds of report read the same data.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.figures import Figure, Front
from reports.session_page import Constraints, Pauses, Sessions
from reports.tables import (
    Cell,
    Column,
    ColumnGroup,
    MemoryTable,
    MetricRow,
    Placements,
    Quantity,
    Ratio,
    RuntimeContrasts,
    Setting,
    Size,
)

Facts = tuple[tuple[str, str], ...]


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
    clean: bool  # not one attempt ended otherwise than ok


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant under a configuration, over all scenarios of one workload."""

    anchor: str
    heading: str  # of the runtime whose rows begin here; "" on the others, and where there is one runtime only
    run: str
    variant: str
    configuration: str
    recipe: str
    reference: bool
    who: str
    sizes: tuple[Size, ...]
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
class Unreadable:
    """Conditions that could not be read, and the one reason for all of them."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the rows ran under: what all met alike, readings as a range, states that differ, and what is unknown."""

    alike: Facts
    differing: tuple[Difference, ...]
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True, kw_only=True)
class Leader:
    """The best row of one headline metric. `beside`: rows that it is not clearly apart from.

    `over` names the reference that its ratio is to; "" where all rows have the same.
    """

    metric: str
    who: str
    quantity: Quantity
    ratio: Ratio | None
    over: str
    beside: str


@dataclass(frozen=True, kw_only=True)
class Smallest:
    """The variant with the smallest artefact. `ratio` to the reference, "" where it is the reference or unknown."""

    variant: str
    size: str
    ratio: str
    download: str  # "" where it is unknown


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """One result held against a budget. `verdict`: pass, miss or undecided."""

    who: str
    scenario: str  # "" where the value belongs to the artefact, whatever was run
    parameters: str
    anchor: str  # of the job's details; "" where there is none
    quantity: Quantity
    share: str  # of the limit
    verdict: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit as it was written, and every result held against it. The worst verdict of its lines is its own."""

    text: str
    origin: str
    limit: str  # in this page's units
    verdict: str
    whose: str  # those of that verdict, each with its worst value
    lines: tuple[BudgetLine, ...]


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """All budgets, in one line, in a few, and in full; `notes` say which results were not judged."""

    summary: str
    headlines: tuple[tuple[str, str, str], ...]  # (verdict, budget, whose), misses first
    budgets: tuple[Budget, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed job, in one line, and where its row stands."""

    anchor: str
    who: str
    scenario: str
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """What the rows needed under one scenario."""

    table: MemoryTable
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the rows of a comparison needed, under the scenarios that needed most, the highest first."""

    parts: tuple[MemoryPart, ...]
    unknown: tuple[Unreadable, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in the order of the page."""
        return tuple(figure for part in self.parts for figure in part.figures)


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """Everything that is known about one job."""

    anchor: str
    who: str
    scenario: str
    ended: Ended
    stopped: str
    metrics: tuple[MetricRow, ...]
    memory: MemoryTable | None  # by phase
    settings: tuple[Setting, ...]
    facts: Facts
    unreadable: tuple[Unreadable, ...]
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model on a workload: what its variants and configurations cost."""

    anchor: str
    model: str
    workload: str
    task: str
    configuration: str  # the one of all rows; "" where they differ
    asked: Facts
    leaders: tuple[Leader, ...]
    smallest: Smallest | None
    failed: int
    jobs: int
    groups: tuple[ColumnGroup, ...]
    rows: tuple[Row, ...]
    notices: tuple[str, ...]
    warnings: tuple[Warned, ...]  # those that every one of its jobs carries
    conditions: Conditions
    figures: tuple[Figure, ...]
    runtimes: RuntimeContrasts | None
    placements: Placements
    memory: Memory | None
    details: tuple[JobDetail, ...]

    @property
    def width(self) -> int:
        """Columns of the summary table."""
        return 2 + sum(len(group.columns) for group in self.groups)


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """What one variant under one configuration lost; one row an output where a model has several to compare."""

    anchor: str  # of the job's details
    variant: str
    configuration: str
    run: str
    output: str
    runtime: str  # "" where the configuration's name tells
    size: str
    label: str  # reference execution, which says nothing about a device; "" otherwise
    how: str  # evaluation and positions, where the rows of a table differ in them
    cells: tuple[Cell, ...]
    ended: Ended


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Texts of one row, such as its worst examples, as a small table."""

    who: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class QualityTable:
    """Rows that were held against one reference on the same inputs in the same way. `told` says which and how."""

    anchor: str
    data: str
    told: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[QualityRow, ...]
    warnings: tuple[Warned, ...]  # each once, with the rows that it is about
    figures: tuple[Figure, ...]
    examples: tuple[Shown, ...]
    continuations: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What compression lost in one model."""

    anchor: str
    model: str
    title: str
    summary: str
    jobs: int
    failed: int
    tables: tuple[QualityTable, ...]
    details: tuple[JobDetail, ...]


@dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """A variant on a configuration with its figure for each objective; `number` is that of its point."""

    number: int
    who: str
    recommended: bool
    dominated_by: str
    kept: tuple[str, ...]  # the budgets that it was seen to keep
    unfit: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which variant to ship: the one recommended and why, or what holds each back, and the candidates."""

    anchor: str
    title: str
    recommended: str
    reason: str
    why_none: tuple[tuple[str, str], ...]  # (who, what keeps it from being recommended)
    columns: tuple[Column, ...]
    rows: tuple[CandidateRow, ...]
    figure: Front | None
    tells_apart: str


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
    configuration: str  # the one of all jobs; "" where they differ
    jobs: int
    warnings: int
    budgets: Budgets | None
    failures: tuple[Failure, ...]
    choices: tuple[Choice, ...]
    comparisons: tuple[Comparison, ...]
    sessions: tuple[Sessions, ...]
    pauses: tuple[Pauses, ...]
    constraints: tuple[Constraints, ...]
    qualities: tuple[Quality, ...]
    definitions: tuple[Definition, ...]
    stops: tuple[tuple[str, int], ...]
    is_not: tuple[str, ...]
