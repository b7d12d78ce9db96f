"""The figures of quality: divergence along the context, and what each class lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import INK, QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Figure, Legend, range_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: A panel, its title, and what stands left of it; room that the name of a class needs.
_PANEL, _TITLE, _LEFT, _RIGHT, _NAME = 100.0, 20.0, 50.0, WIDTH - 4, 26.0
_LONGEST_NAME = 12


@dataclass(frozen=True, kw_only=True)
class PositionCurve:
    """The mean divergence of one variant along the context."""

    label: str
    colour: int
    position: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PositionPanel:
    """The variants of one configuration."""

    label: str
    curves: tuple[PositionCurve, ...]


@dataclass(frozen=True, kw_only=True)
class PositionCurves(Figure):
    """Divergence from the reference along the context, on a logarithmic axis, one panel a configuration."""

    panels: tuple[PositionPanel, ...]

    def numbers(self) -> Iterator[str]:
        """From where to where each curve goes."""
        for panel in self.panels:
            for curve in panel.curves:
                yield f"{curve.label}, {panel.label}: {range_text(curve.values)}"

    def legend(self) -> Legend:
        """A colour, and the variants that have it: one a panel."""
        names: dict[str, dict[str, None]] = {}
        for panel in self.panels:
            for curve in panel.curves:
                names.setdefault(colour_of(curve.colour), {})[curve.label] = None
        return [(colour, ", ".join(labels)) for colour, labels in names.items()]

    def draw(self) -> Drawing:
        """Panels from top to bottom, all on the same logarithmic axis."""
        curves = [curve for panel in self.panels for curve in panel.curves]
        values = [value for curve in curves for value in curve.values]
        places = [position for curve in curves for position in curve.position]
        whole = _TITLE + _PANEL + 18
        sheet, top = Sheet.under(self.legend(), whole * len(self.panels) + 20)
        along = Axis(min(places), max(places), _LEFT, _RIGHT, whole=True)
        for panel in self.panels:
            sheet.write(0, top + _TITLE / 2, panel.label)
            bottom = top + _TITLE + _PANEL
            up = Axis(min(values) / 1.6, max(values) * 1.6, bottom, top + _TITLE, logarithmic=True)
            up.upwards(sheet, _LEFT, _RIGHT)
            along.across(sheet, bottom, bottom)
            for curve in panel.curves:
                points = [(along.at(x), up.at(y)) for x, y in zip(curve.position, curve.values, strict=True)]
                sheet.line(points, colour_of(curve.colour), 1.5)
                if len(points) == 1:
                    sheet.dots(points, colour_of(curve.colour), 4)
            top += whole
        sheet.write(0, top + 6, f"KLD ({self.unit}, logarithmic) by position", colour=QUIET)
        return sheet.drawing()


@dataclass(frozen=True, kw_only=True)
class ClassPanel:
    """What one row gained (above 0) or lost in each class."""

    label: str
    colour: int
    classes: tuple[str, ...]
    changes: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ClassBars(Figure):
    """Accuracy change by class, one panel a row, all on the same axes."""

    panels: tuple[ClassPanel, ...]

    def numbers(self) -> Iterator[str]:
        """The class that lost most in each row."""
        for panel in self.panels:
            change, name = min(zip(panel.changes, panel.classes, strict=True))
            yield f"{panel.label}: class {name} {change:+.3g}"

    def draw(self) -> Drawing:
        """Panels from top to bottom, a bar a class, all on the same axis."""
        changes = [change for panel in self.panels for change in panel.changes]
        room = max(1.0, *(abs(change) for change in changes)) * 0.12
        whole = _TITLE + _PANEL * 0.7 + 18
        sheet = Sheet(whole * len(self.panels) + 16)
        top = 0.0
        for panel in self.panels:
            sheet.write(0, top + _TITLE / 2, panel.label)
            bottom = top + _TITLE + _PANEL * 0.7
            up = Axis(min(0.0, *changes) - room, max(0.0, *changes) + room, bottom, top + _TITLE)
            up.upwards(sheet, _LEFT, _RIGHT)
            _bars(sheet, up, panel, bottom)
            top += whole
        sheet.write(0, top + 4, f"class; its change ({self.unit})", colour=QUIET)
        return sheet.drawing()


def _bars(sheet: Sheet, up: Axis, panel: ClassPanel, bottom: float) -> None:
    step = (_RIGHT - _LEFT) / len(panel.classes)
    every = -(-_NAME // step)
    last = len(panel.classes) - 1
    for number, (name, change) in enumerate(zip(panel.classes, panel.changes, strict=True)):
        middle = _LEFT + step * (number + 0.5)
        if change:
            sheet.box(middle - step * 0.35, up.at(0), middle + step * 0.35, up.at(change), colour_of(panel.colour))
        if number % every == 0 and (number == last or len(name) * 6 < step * every):
            sheet.tick(middle, bottom, name[:_LONGEST_NAME])
    sheet.line(((_LEFT, up.at(0)), (_RIGHT, up.at(0))), INK, 0.8)
