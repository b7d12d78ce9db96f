"""A conversation turn by turn, as curves: first token, decode rate, memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import BAD, QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: An interval so many times as high as the highest value goes on beyond the panel, or all values lay flat.
_OF_VALUE = 2.0
_PANEL, _TITLE, _LEFT, _RIGHT = 96.0, 20.0, 50.0, WIDTH - 6


@dataclass(frozen=True, kw_only=True)
class TurnCurve:
    """One row: (turn, value with interval), and the turn in which the context was full; None for none."""

    label: str
    colour: int
    points: tuple[tuple[int, Ends], ...]
    full: int | None


@dataclass(frozen=True, kw_only=True)
class TurnPanel:
    """One metric; `title` has its unit."""

    title: str
    curves: tuple[TurnCurve, ...]


@dataclass(frozen=True, kw_only=True)
class TurnCurves(Figure):
    """A panel for each metric, the turns along all of them."""

    turns: int
    panels: tuple[TurnPanel, ...]

    def numbers(self) -> Iterator[str]:
        """Each curve at its first and at its last turn."""
        for panel in self.panels:
            for curve in panel.curves:
                (first, at_first), (last, at_last) = curve.points[0], curve.points[-1]
                full = f", context full in turn {curve.full}" if curve.full is not None else ""
                told = f"{at_first[0]:.3g} in turn {first}, {at_last[0]:.3g} in turn {last}{full}"
                yield f"{curve.label}, {panel.title}: {told}"

    def legend(self) -> Legend:
        """A colour for each row, and what the dashed line is."""
        found = {curve.label: colour_of(curve.colour) for panel in self.panels for curve in panel.curves}
        full = any(curve.full is not None for panel in self.panels for curve in panel.curves)
        return [*((colour, label) for label, colour in found.items()), *([(BAD, "context full")] if full else [])]

    def draw(self) -> Drawing:
        """Panels from top to bottom, all axes upwards from zero."""
        whole = _TITLE + _PANEL + 22
        sheet, top = Sheet.under(self.legend(), whole * len(self.panels) + 18)
        along = Axis(0.5, self.turns + 0.5, _LEFT, _RIGHT, whole=True)
        for panel in self.panels:
            sheet.write(0, top + _TITLE / 2, panel.title)
            bottom = top + _TITLE + _PANEL
            found = [ends for curve in panel.curves for _, ends in curve.points]
            highest = min(max(high for _, _, high in found), _OF_VALUE * max(value for value, _, _ in found))
            up = Axis(0, highest * 1.1 or 1.0, bottom, top + _TITLE)
            up.upwards(sheet, _LEFT, _RIGHT)
            for tick in along.ticks(8):
                sheet.tick(along.at(tick), bottom, f"{tick:.0f}")
            for number, curve in enumerate(panel.curves):
                _curve(sheet, along, up, curve, (number - (len(panel.curves) - 1) / 2) * 2.0)
            for full in {curve.full for curve in panel.curves if curve.full is not None}:
                sheet.line(((along.at(full), top + _TITLE), (along.at(full), bottom)), BAD, 1.2, dashed=True)
            top += whole
        sheet.write(_LEFT, top + 4, "turn", colour=QUIET)
        return sheet.drawing()


def _curve(sheet: Sheet, along: Axis, up: Axis, curve: TurnCurve, shift: float) -> None:
    """A little beside the others, so that whiskers do not cover one another."""
    colour = colour_of(curve.colour)
    points = [(along.at(turn) + shift, up.at(ends[0])) for turn, ends in curve.points]
    sheet.line(points, colour, 1.4)
    sheet.dots(points, colour, 4.5)
    for (x, _), (_, ends) in zip(points, curve.points, strict=True):
        sheet.line(((x, up.at(ends[1])), (x, up.at(ends[2]))), colour, 1.0)
