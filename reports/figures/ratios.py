"""The figure of ratios: dots with their intervals on a logarithmic axis, and a line where both are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import BAD, GOOD, GRID, INK, QUIET, WIDTH, Axis, Point, Sheet, number
from reports.figures.figure import Figure, Legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_COLOURS = {"better": GOOD, "worse": BAD, "unjudged": INK}
#: A dot, a row's label, the space below a row, the width of the metrics' names.
_DOT, _LABEL, _GAP, _NAMES = 16.0, 18.0, 6.0, 130.0
_LONGEST_NAME = 21
#: Ticks that read well, both ways from 1; of these, as few as have room.
_TICKS = ((1, 1.1, 1.25, 1.5), (1, 1.25, 1.5, 2, 3), (1, 1.5, 2, 3, 5, 10), (1, 2, 5, 10, 20, 50))
#: Between two ticks there is room for their numbers.
_APART = 30.0


@dataclass(frozen=True, kw_only=True)
class RatioDot:
    """The ratio of one metric, with its interval where there is one; `verdict` as in `tables.Ratio`."""

    metric: str
    value: float
    low: float | None
    high: float | None
    verdict: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RatioGroup:
    """The ratios of one row, or of one of its scenarios."""

    label: str
    dots: tuple[RatioDot, ...]


@dataclass(frozen=True, kw_only=True)
class Ratios(Figure):
    """Ratios of rows to one of them, as dots on a logarithmic axis from `lowest` to `highest`, with a line at 1."""

    lowest: float
    highest: float
    groups: tuple[RatioGroup, ...]

    def numbers(self) -> Iterator[str]:
        """Each ratio with its interval."""
        for group in self.groups:
            yield f"{group.label}: {', '.join(f'{dot.metric} {dot.text}' for dot in group.dots)}"

    def legend(self) -> Legend:
        """(colour, label) for the verdicts that this figure draws."""
        verdicts = {dot.verdict for group in self.groups for dot in group.dots}
        told = [(GOOD, "better"), (BAD, "worse")]
        found = [(colour, label) for colour, label in told if label in verdicts]
        if verdicts - {"better", "worse"}:
            found.append((QUIET, "hollow: no clear difference, or no interval"))
        return found

    def draw(self) -> Drawing:
        """Rows from top to bottom, each under its label; in a row, a metric a line."""
        height = sum(_LABEL + _DOT * len(group.dots) + _GAP for group in self.groups)
        sheet, top = Sheet.under(self.legend(), height + 36)
        bottom = top + height
        axis = Axis(self.lowest, self.highest, _NAMES, WIDTH - 8, logarithmic=True)
        for tick in _ticks(axis):
            sheet.line(((axis.at(tick), top), (axis.at(tick), bottom)), GRID, 0.8)
            sheet.tick(axis.at(tick), bottom, number(tick))
        sheet.line(((axis.at(1), top), (axis.at(1), bottom)), INK, 1)
        for group in self.groups:
            sheet.write(0, top + _LABEL / 2, group.label)
            for at, dot in enumerate(group.dots):
                _dot(sheet, axis, dot, top + _LABEL + _DOT * (at + 0.5))
            top += _LABEL + _DOT * len(group.dots) + _GAP
        sheet.write(0, bottom + 26, "this / the first runtime (logarithmic)", colour=QUIET)
        return sheet.drawing()


def _ticks(axis: Axis) -> list[float]:
    """As many plain ratios as have room between the ends of the axis; round ones where only powers of ten would do."""
    for steps in _TICKS:
        both_ways = sorted({*map(float, steps), *(round(1 / step, 2) for step in steps)})
        if axis.low * steps[-1] >= 1 and axis.high <= steps[-1] * 1.3:
            found = [tick for tick in both_ways if axis.low <= tick <= axis.high]
            return [tick for tick in found if tick == 1 or _has_room(axis, tick, found)]
    return axis.ticks()


def _has_room(axis: Axis, tick: float, ticks: list[float]) -> bool:
    """Whether the number at a tick keeps clear of the one at 1 and of those between."""
    nearer = [other for other in ticks if other != tick and (1 <= other < tick or tick < other <= 1)]
    return all(abs(axis.at(tick) - axis.at(other)) >= _APART for other in nearer)


def _dot(sheet: Sheet, axis: Axis, dot: RatioDot, middle: float) -> None:
    sheet.write(8, middle, dot.metric[:_LONGEST_NAME], colour=QUIET)
    colour = _COLOURS.get(dot.verdict, QUIET)
    if dot.low is not None and dot.high is not None:
        sheet.line(((axis.at(dot.low), middle), (axis.at(dot.high), middle)), colour, 1.6)
        if dot.low < axis.low:
            sheet.area(_arrow((axis.at(axis.low), middle), -5), colour)
        if dot.high > axis.high:
            sheet.area(_arrow((axis.at(axis.high), middle), 5), colour)
    place = (axis.at(dot.value), middle)
    if dot.verdict in _COLOURS:
        sheet.dots([place], colour, 7)
    else:
        sheet.ring(place, colour, 8)


def _arrow(at: Point, length: float) -> tuple[Point, Point, Point]:
    x, y = at
    return (x, y - 3.5), (x + length, y), (x, y + 3.5)
