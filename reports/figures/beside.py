"""The figure of the field beside the lab: for each time two kinds of dots with intervals, on one logarithmic axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import COLOURS, GRID, QUIET, WIDTH, Axis, Sheet, number
from reports.figures.figure import Ends, Figure, Legend, figure_text, range_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_LABEL, _LINE, _GAP = 18.0, 13.0, 6.0
_FIELD, _LAB = COLOURS[0], COLOURS[1]
#: Room at both ends of the axis.
_ROOM = 1.15
_TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A time in the field, and what each job of the lab says of it."""

    label: str
    field: Ends
    lab: tuple[Ends, ...]


@dataclass(frozen=True, kw_only=True)
class Beside(Figure):
    """Times of the field and of the lab, a few lines each."""

    pairs: tuple[Pair, ...]

    def numbers(self) -> Iterator[str]:
        """Each time in the field with its interval, and in the lab."""
        for pair in self.pairs:
            lab = "; ".join(f"lab {figure_text(ends[0])} ({range_text(ends[1:])})" for ends in pair.lab) or "no lab"
            yield f"{pair.label}: field {figure_text(pair.field[0])} ({range_text(pair.field[1:])}), {lab}"

    def legend(self) -> Legend:
        """Which colour is which."""
        told = [(_FIELD, "field")]
        return [*told, (_LAB, "lab")] if any(pair.lab for pair in self.pairs) else told

    def draw(self) -> Drawing:
        """From top to bottom a label, the field's line and the lab's lines."""
        heights = [_LABEL + _LINE * (1 + len(pair.lab)) + _GAP for pair in self.pairs]
        sheet, top = Sheet.under(self.legend(), sum(heights) + 36)
        bottom = top + sum(heights)
        ends = [end for pair in self.pairs for each in (pair.field, *pair.lab) for end in each]
        axis = Axis(min(ends) / _ROOM, max(ends) * _ROOM, 8, WIDTH - 8, logarithmic=True)
        for tick in axis.ticks(_TICKS):
            sheet.line(((axis.at(tick), top), (axis.at(tick), bottom)), GRID, 0.8)
            sheet.tick(axis.at(tick), bottom, number(tick))
        for pair, height in zip(self.pairs, heights, strict=True):
            sheet.write(0, top + _LABEL / 2, pair.label)
            for at, (value, low, high) in enumerate((pair.field, *pair.lab)):
                colour, middle = (_LAB if at else _FIELD), top + _LABEL + _LINE * (at + 0.5)
                sheet.whisker((axis.at(low), axis.at(high)), middle, colour)
                sheet.dots([(axis.at(value), middle)], colour, 7)
            top += height
        sheet.write(0, bottom + 26, f"{self.unit} (logarithmic)", colour=QUIET)
        return sheet.drawing()
