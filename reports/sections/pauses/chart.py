"""Speed against the pause before a request, as curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: A panel, its title, and what stands left of it.
_PANEL, _TITLE, _LEFT, _RIGHT = 100.0, 20.0, 44.0, WIDTH - 4


@dataclass(frozen=True, kw_only=True)
class PauseCurve:
    """One row: for each pause that it has (number of the pause, value with interval)."""

    label: str
    colour: int
    points: tuple[tuple[int, Ends], ...]


@dataclass(frozen=True, kw_only=True)
class PausePanel:
    """One metric under one configuration."""

    title: str
    curves: tuple[PauseCurve, ...]
    highest: float  # of all panels of the metric, so that they compare by eye


@dataclass(frozen=True, kw_only=True)
class PauseCurves(Figure):
    """Speed against the pause before a request; the pauses are categories, since one of them is none."""

    pauses: tuple[str, ...]
    panels: tuple[PausePanel, ...]

    def numbers(self) -> Iterator[str]:
        """Each curve at its shortest and at its longest pause."""
        for panel in self.panels:
            for curve in panel.curves:
                (first, at_first), (last, at_last) = curve.points[0], curve.points[-1]
                told = f"{at_first[0]:.3g} after {self.pauses[first]}, {at_last[0]:.3g} after {self.pauses[last]}"
                yield f"{curve.label}, {panel.title}: {told}"

    def legend(self) -> Legend:
        """A colour, and the variants that have it: one a panel."""
        names: dict[str, dict[str, None]] = {}
        for panel in self.panels:
            for curve in panel.curves:
                names.setdefault(colour_of(curve.colour), {})[curve.label] = None
        return [(colour, ", ".join(labels)) for colour, labels in names.items()]

    def draw(self) -> Drawing:
        """Panels from top to bottom; in a panel one curve a variant, the pauses side by side as categories."""
        whole = _TITLE + _PANEL + 18
        sheet, top = Sheet.under(self.legend(), whole * len(self.panels) + 20)
        along = Axis(-0.4, len(self.pauses) - 0.6, _LEFT, _RIGHT)
        for panel in self.panels:
            sheet.write(0, top + _TITLE / 2, panel.title)
            bottom = top + _TITLE + _PANEL
            up = Axis(0, panel.highest * 1.1 if panel.highest > 0 else 1, bottom, top + _TITLE)
            up.upwards(sheet, _LEFT, _RIGHT)
            for number, pause in enumerate(self.pauses):
                sheet.tick(along.at(number), bottom, pause)
            for number, curve in enumerate(panel.curves):
                _curve(sheet, along, up, curve, _beside(number, len(panel.curves)))
            top += whole
        sheet.write(_LEFT, top + 6, "pause before the request", colour=QUIET)
        return sheet.drawing()


def _beside(number: int, count: int) -> float:
    """Curves stand a little beside each other, so that their whiskers do not cover one another."""
    return (number - (count - 1) / 2) * min(0.04, 0.3 / max(1, count))


def _curve(sheet: Sheet, along: Axis, up: Axis, curve: PauseCurve, shift: float) -> None:
    colour = colour_of(curve.colour)
    points = [(along.at(at + shift), up.at(ends[0])) for at, ends in curve.points]
    sheet.line(points, colour, 1.4)
    sheet.dots(points, colour, 4.5)
    for (x, _), (_, ends) in zip(points, curve.points, strict=True):
        sheet.line(((x, up.at(ends[1])), (x, up.at(ends[2]))), colour, 1.0)
        for end in ends[1:]:
            sheet.line(((x - 3, up.at(end)), (x + 3, up.at(end))), colour, 1.0)
