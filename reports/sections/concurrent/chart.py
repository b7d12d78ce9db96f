"""Throughput by the number of requests at once, as curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_PANEL, _LEFT, _RIGHT = 130.0, 50.0, WIDTH - 6


@dataclass(frozen=True, kw_only=True)
class NumberCurve:
    """One row: (requests at once, value with interval)."""

    label: str
    colour: int
    points: tuple[tuple[int, Ends], ...]


@dataclass(frozen=True, kw_only=True)
class NumberCurves(Figure):
    """All rows in one panel."""

    curves: tuple[NumberCurve, ...]

    def numbers(self) -> Iterator[str]:
        """Each curve's points."""
        for curve in self.curves:
            told = ", ".join(f"{ends[0]:.3g} at {number}" for number, ends in curve.points)
            yield f"{curve.label}: {told}"

    def legend(self) -> Legend:
        """A colour for each row."""
        return [(colour_of(curve.colour), curve.label) for curve in self.curves]

    def draw(self) -> Drawing:
        """Both axes from zero: twice as many requests lie twice as far to the right."""
        sheet, top = Sheet.under(self.legend(), _PANEL + 44)
        bottom = top + 6 + _PANEL
        ends = [ends for curve in self.curves for _, ends in curve.points]
        most = max(number for curve in self.curves for number, _ in curve.points)
        along = Axis(0, most + 0.5, _LEFT, _RIGHT, whole=True)
        highest = min(max(high for _, _, high in ends), 2 * max(value for value, _, _ in ends))
        up = Axis(0, highest * 1.1 or 1.0, bottom, top + 6)
        up.upwards(sheet, _LEFT, _RIGHT)
        for number in sorted({number for curve in self.curves for number, _ in curve.points}):
            sheet.tick(along.at(number), bottom, f"{number}")
        for place, curve in enumerate(self.curves):
            shift, colour = (place - (len(self.curves) - 1) / 2) * 2.0, colour_of(curve.colour)
            points = [(along.at(number) + shift, up.at(value[0])) for number, value in curve.points]
            sheet.line(points, colour, 1.4)
            sheet.dots(points, colour, 4.5)
            for (x, _), (_, (_, low, high)) in zip(points, curve.points, strict=True):
                sheet.line(((x, up.at(low)), (x, up.at(high))), colour, 1.0)
        sheet.write(_LEFT, bottom + 28, "requests at once", colour=QUIET)
        return sheet.drawing()
