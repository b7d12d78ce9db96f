"""A cell of an answer as pages show it: value, interval, and whether its budget is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchharness.judge.answer import Cell, Column
from benchharness.units import Scale, common_scale
from reports.model.estimates import quantity
from reports.model.tables import Quantity
from reports.model.visible import value_text


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A cell. `state`: pass, miss, undecided, plain (no budget), or empty, of which `why` says why."""

    state: str
    quantity: Quantity | None = None
    why: str = ""
    href: str = ""  # the details of the job that was measured


def empty(why: str) -> Shown:
    """A cell without a figure."""
    return Shown(state="empty", why=value_text(why) or "unknown")


def shown(cell: Cell, column: Column, scale: Scale | None, jobs: Mapping[str, str], beside: str = "") -> Shown:
    """A cell of an answer; `jobs` has where the details of each stand, by its key."""
    verdict = cell.verdict.value if cell.verdict else "plain"
    if cell.is_reference:
        return Shown(state=verdict, quantity=Quantity(text="reference"))
    if cell.estimate is None or cell.estimate.value is None:
        return empty(cell.reason)
    found = quantity(cell.estimate, column.unit, scale)
    return Shown(
        state=verdict,
        quantity=replace(found, text=f"≥ {found.text}") if cell.is_bound else found,
        why=value_text(" · ".join(filter(None, (beside, cell.doubt)))),
        href=jobs.get(cell.job, ""),
    )


def scale_of(figures: Sequence[tuple[Column, Cell]]) -> Scale | None:
    """The one multiple for figures of one metric: as a budget was written, else what suits all values."""
    asked = next((column.scale for column, _ in figures if column.budget and column.scale), None)
    values = [cell.estimate.value for _, cell in figures if cell.estimate]
    return asked or common_scale(figures[0][0].unit, [value for value in values if value is not None])
