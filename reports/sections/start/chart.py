"""The phases of cold starts, as stacked bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import QUIET, WIDTH, Axis, Sheet, phase_colour
from reports.figures.figure import Figure, Legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: A row's label, its bar, the space below it, room for the whole in words behind the longest bar.
_LABEL, _BAR, _GAP, _WORDS = 17.0, 12.0, 5.0, 70.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One stacked bar: the phases of a start, in the figure's unit."""

    label: str
    segments: tuple[float, ...]  # as many as the figure has phases
    total: str


@dataclass(frozen=True, kw_only=True)
class PhaseBars(Figure):
    """Cold starts by phase."""

    phases: tuple[str, ...]
    bars: tuple[Bar, ...]

    def numbers(self) -> Iterator[str]:
        """The whole of each start."""
        return (f"{bar.label} {bar.total}" for bar in self.bars)

    def legend(self) -> Legend:
        """A colour, and what has it."""
        return [(phase_colour(number), phase) for number, phase in enumerate(self.phases)]

    def draw(self) -> Drawing:
        """Bars from top to bottom, each under its label, the whole written at its end."""
        row = _LABEL + _BAR + _GAP
        sheet, top = Sheet.under(self.legend(), row * len(self.bars) + 36)
        longest = max(sum(bar.segments) for bar in self.bars)
        axis = Axis(0, longest if longest > 0 else 1, 0, WIDTH - _WORDS)
        bottom = top + row * len(self.bars)
        axis.across(sheet, top, bottom)
        for bar in self.bars:
            sheet.write(0, top + _LABEL / 2, bar.label)
            start = 0.0
            for phase, length in enumerate(bar.segments):
                if length > 0:
                    end = start + length
                    sheet.box(axis.at(start), top + _LABEL, axis.at(end), top + _LABEL + _BAR, phase_colour(phase))
                    start = end
            sheet.write(axis.at(start) + 5, top + _LABEL + _BAR / 2, bar.total)
            top += row
        sheet.write(0, bottom + 26, f"time since the process was started ({self.unit})", colour=QUIET)
        return sheet.drawing()
