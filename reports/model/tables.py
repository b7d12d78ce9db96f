"""What tables are made of, as frozen plain data: quantities, ratios, cells, columns and rows."""

from __future__ import annotations

from dataclasses import dataclass


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
class QuantityRow:
    """A row, or a phase of a job, with one quantity for each column of its table."""

    who: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class QuantityTable:
    """Quantities of memory; `columns` are (title, what it is)."""

    scenario: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[QuantityRow, ...]
