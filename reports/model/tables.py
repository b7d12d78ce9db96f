"""What tables are made of, as frozen plain data: quantities, ratios, cells, columns and rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

#: A longer reason stands beneath its table.
_LONGEST_BESIDE = 48


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
    span: int = 1

    @property
    def why(self) -> str:
        """Why something of it is missing; "" where nothing is, or where the reason is all that it shows."""
        if self.quantity is None:
            return self.note if self.state == "unknown" else ""
        return self.quantity.reason if self.quantity.text else ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One headline metric. `parameters` are those that its group does not state for all of its columns."""

    title: str
    parameters: str
    better: str

    @property
    def arrow(self) -> str:
        """Where its better values are."""
        return {"lower is better": "↓", "higher is better": "↑"}.get(self.better, "")


@dataclass(frozen=True, kw_only=True)
class ColumnGroup:
    """Neighbouring columns: those of a scenario, or those on memory, with the parameters that they share."""

    name: str
    parameters: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class QuantityRow:
    """A row, or a phase of a job, with one quantity for each column of its table."""

    who: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class QuantityTable:
    """Quantities in rows; `columns` are (title, what it is)."""

    scenario: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[QuantityRow, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands beneath it."""
        return notes_of(cell for row in self.rows for cell in row.cells)


def notes_of(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Reasons that several cells share, or that are long: each is told once, beneath the table, and numbered."""
    counts = Counter(why for cell in cells for why in (cell.why, cell.ratio.reason if cell.ratio else "") if why)
    return tuple(why for why, count in counts.items() if count > 1 or len(why) > _LONGEST_BESIDE)
