"""What the tables of a page are made of, as frozen plain data: quantities, ratios, cells, columns and rows.

No HTML and no drawing: tests and other kinds of report read the same data.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.figures import Ratios


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A value and its 95 % interval in words. `reason` says why either is missing."""

    text: str
    interval: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio to what it is compared with. `verdict`: better or worse only where `Estimate.apart` says so."""

    text: str
    interval: str = ""
    verdict: str  # better, worse, same, not-apart, no-interval, reference, unjudged, none
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One headline metric of one row. `state`: value, unknown, failed (no value, because the job failed) or absent.

    `span` is more than 1 where one note holds for so many neighbouring columns.
    """

    state: str
    quantity: Quantity | None = None
    ratio: Ratio | None = None
    count: int = 0  # attempts behind it
    note: str = ""
    best: bool = False
    span: int = 1


@dataclass(frozen=True, kw_only=True)
class Column:
    """One headline metric. `parameters` are those that its group does not state for all of its columns."""

    title: str
    parameters: str
    better: str


@dataclass(frozen=True, kw_only=True)
class ColumnGroup:
    """Neighbouring columns: those of a scenario, or those on memory, with the parameters that they share."""

    name: str
    parameters: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much something takes on disk or on the wire, and its ratio to the reference ("" where there is none)."""

    title: str
    text: str
    ratio: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """A metric in full."""

    title: str
    parameters: str
    statistic: str
    quantity: Quantity
    ratio: Ratio
    attempts: str
    samples: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was requested and what the runtime did; `differs` where both say something and not the same."""

    name: str
    requested: str
    effective: str
    differs: bool


@dataclass(frozen=True, kw_only=True)
class MemoryRow:
    """A row, or a phase of a job, with one quantity for each column of its table."""

    who: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryTable:
    """Quantities of memory; `columns` are (title, what it is)."""

    scenario: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[MemoryRow, ...]


@dataclass(frozen=True, kw_only=True)
class ContrastRow:
    """A row of the summary once more, with its ratios to the first runtime that has the same precision."""

    anchor: str  # of the row in the summary
    variant: str
    configuration: str
    run: str
    first: bool  # the one that the others of its precision are compared with
    sizes: tuple[Size, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class PrecisionGroup:
    """The rows of one precision. `figure` is None where no ratio can be drawn."""

    precision: str
    against: str
    rows: tuple[ContrastRow, ...]
    figure: Ratios | None


@dataclass(frozen=True, kw_only=True)
class RuntimeContrasts:
    """The runtimes of a comparison held against each other, precision by precision."""

    columns: tuple[ColumnGroup, ...]
    groups: tuple[PrecisionGroup, ...]

    @property
    def figures(self) -> tuple[Ratios, ...]:
        """All figures, in the order of the page."""
        return tuple(group.figure for group in self.groups if group.figure)

    @property
    def width(self) -> int:
        """Columns of the table."""
        return 2 + sum(len(group.columns) for group in self.columns)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The operators that ran in one place. `kinds` are all of them, most first."""

    name: str
    count: str
    share: str
    kinds: tuple[str, ...]
    elsewhere: bool  # the device says that its operators should have run on the accelerator


@dataclass(frozen=True, kw_only=True)
class PlacementRow:
    """Where the operators of a row ran, and what asking for an accelerator cost.

    `scenarios` is "" where all scenarios of the row say the same, `asked` where no accelerator was asked for. `costs`
    has one ratio for each column, or none: then `instead` says why.
    """

    who: str
    scenarios: str
    asked: str
    in_effect: str
    note: str
    places: tuple[Place, ...]
    unknown: str  # why there are no places
    left_out: str
    fell_back: bool
    lost: tuple[tuple[str, Quantity], ...]  # (scenario, what trying the accelerator took)
    against: str
    costs: tuple[Ratio, ...]
    instead: str


@dataclass(frozen=True, kw_only=True)
class Placements:
    """Where operators ran. Without an accelerator asked for in any row there is nothing to compare."""

    accelerated: bool
    columns: tuple[Column, ...]
    rows: tuple[PlacementRow, ...]
    advice: tuple[str, ...]
