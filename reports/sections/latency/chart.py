"""The figures on latency: samples attempt by attempt, and time by token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from reports.figures.canvas import INK, QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Figure, Legend, figure_text, range_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: A row's label, a lane of a strip, the tallest strip, the space below a row, where the axis' title stands.
_LABEL, _LANE, _TALLEST, _GAP, _FOOT = 18.0, 7.0, 84.0, 6.0, 36.0
#: A panel of curves, and what stands left of it.
_PANEL, _LEFT, _RIGHT = 110.0, 40.0, WIDTH - 4


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The samples of one attempt, in the figure's unit; `total` were measured, fewer may be drawn."""

    values: tuple[float, ...]
    middle: float
    total: int


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One row of a distribution: a variant under a configuration, one lane an attempt."""

    label: str
    colour: int
    lanes: tuple[Lane, ...]

    @property
    def height(self) -> float:
        """All of its lanes."""
        return min(_LANE * len(self.lanes), _TALLEST)


@dataclass(frozen=True, kw_only=True)
class Distribution(Figure):
    """Samples of one metric, one strip a row."""

    logarithmic: bool
    strips: tuple[Strip, ...]

    def numbers(self) -> Iterator[str]:
        """The middle of the attempts' medians, and from the lowest sample to the highest."""
        for strip in self.strips:
            values = tuple(value for lane in strip.lanes for value in lane.values)
            middle = figure_text(median(lane.middle for lane in strip.lanes))
            yield f"{strip.label}: {middle}, samples {range_text(values)}"

    def draw(self) -> Drawing:
        """Strips from top to bottom, each under its label; in a strip, one lane an attempt."""
        bottom = sum(_LABEL + strip.height + _GAP for strip in self.strips)
        sheet = Sheet(bottom + _FOOT)
        values = [value for strip in self.strips for lane in strip.lanes for value in lane.values]
        low, high = min(values), max(values)
        room = 1.0 if self.logarithmic else (high - low) * 0.02 or abs(high) * 0.1 or 1.0
        ends = (low / 1.05, high * 1.05) if self.logarithmic else (low - room, high + room)
        axis = Axis(*ends, 8, WIDTH - 12, self.logarithmic)
        axis.across(sheet, 0, bottom)
        top = 0.0
        for strip in self.strips:
            sheet.write(0, top + _LABEL / 2, strip.label)
            _lanes(sheet, axis, strip, top + _LABEL)
            top += _LABEL + strip.height + _GAP
        scale = ", logarithmic" if self.logarithmic else ""
        sheet.write(0, bottom + 26, f"{self.unit}{scale}", colour=QUIET)  # of what is the title, which may be long
        return sheet.drawing()


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A median and its p10 to p90 band over the token index."""

    label: str
    colour: int
    index: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """The curves of one configuration."""

    label: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True)
class TokenCurves(Figure):
    """ITL over the token index, one panel a configuration, all on the same axes."""

    panels: tuple[CurvePanel, ...]

    def numbers(self) -> Iterator[str]:
        """Each variant's median at the first and at the last gap."""
        for panel in self.panels:
            for curve in panel.curves:
                first, last = figure_text(curve.middle[0]), figure_text(curve.middle[-1])
                yield f"{curve.label}, {panel.label}: {first} at first, {last} at last"

    def legend(self) -> Legend:
        """A colour, and what has it."""
        curves = (curve for panel in self.panels for curve in panel.curves)
        return list(dict.fromkeys((colour_of(curve.colour), curve.label) for curve in curves))

    def draw(self) -> Drawing:
        """Panels from top to bottom on the same axes, so that they compare by eye."""
        whole = _LABEL + _PANEL + 18
        sheet, top = Sheet.under(self.legend(), whole * len(self.panels) + 20)
        curves = [curve for panel in self.panels for curve in panel.curves]
        highest = max(max(curve.high) for curve in curves)
        along = Axis(
            min(curve.index[0] for curve in curves), max(curve.index[-1] for curve in curves), _LEFT, _RIGHT, whole=True
        )
        for panel in self.panels:
            sheet.write(0, top + _LABEL / 2, f"{panel.label} ({self.unit})")
            bottom = top + _LABEL + _PANEL
            up = Axis(0, highest * 1.05 if highest > 0 else 1, bottom, top + _LABEL)
            up.upwards(sheet, _LEFT, _RIGHT)
            along.across(sheet, bottom, bottom)
            for curve in panel.curves:
                _curve(sheet, along, up, curve)
            top += whole
        sheet.write(_LEFT, top + 6, "token (the first gap ends with token 2)", colour=QUIET)
        return sheet.drawing()


def _lanes(sheet: Sheet, axis: Axis, strip: Strip, top: float) -> None:
    step = strip.height / len(strip.lanes)
    for number, lane in enumerate(strip.lanes):
        middle = top + step * (number + 0.5)
        # Every other lane is paler, so that neighbours do not run into each other.
        opacity = 0.75 if number % 2 == 0 else 0.45
        dots = [(axis.at(value), middle) for value in lane.values]
        sheet.dots(dots, colour_of(strip.colour), min(3.0, step), opacity=opacity)
        place = axis.at(lane.middle)
        sheet.line(((place, middle - step * 0.45), (place, middle + step * 0.45)), INK, 1.4)


def _curve(sheet: Sheet, along: Axis, up: Axis, curve: Curve) -> None:
    places = [along.at(index) for index in curve.index]
    over = [(x, up.at(high)) for x, high in zip(places, curve.high, strict=True)]
    under = [(x, up.at(low)) for x, low in zip(places, curve.low, strict=True)]
    sheet.area([*over, *reversed(under)], colour_of(curve.colour), opacity=0.18)
    line = [(x, up.at(middle)) for x, middle in zip(places, curve.middle, strict=True)]
    sheet.line(line, colour_of(curve.colour), 1.5)
    if len(line) == 1:
        sheet.dots(line, colour_of(curve.colour), 4)
