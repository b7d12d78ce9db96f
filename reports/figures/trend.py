"""The figure of one trend: night by night with intervals, steps across, its budget, and the machine's own drift.

Where a base ran beside it, the ratio stands above and the absolute values below; the pale ground under these is how the
base itself moved. Many nights have no room for a whisker each: a band stands for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import BAD, COLOURS, GOOD, GRID, INK, QUIET, WIDTH, Axis, Point, Sheet, number
from reports.figures.figure import Ends, Figure, Legend, range_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_RIGHT = WIDTH - 6.0
#: Room for the numbers of an axis, at least and for each character.
_LEAST_LEFT, _CHARACTER = 40.0, 7.0
#: A panel, its title, room between panels and below the last.
_PANEL, _TITLE, _GAP, _BELOW = 78.0, 18.0, 6.0, 18.0
_ABSOLUTE, _RATIO, _BASE = COLOURS[0], COLOURS[2], "#8a8f98"
#: More nights than this are drawn as a line and a band.
_MOST_WHISKERS = 90
_TICKS = 3
_STEP_COLOURS = {"worse": BAD, "better": GOOD}


@dataclass(frozen=True, kw_only=True)
class Line:
    """Values over nights, which are days since the first one; (value, low, high) in the figure's unit."""

    days: tuple[float, ...]
    ends: tuple[Ends, ...]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A step: its day, how sure it is, whether it is `worse`, `better` or neither, and its words."""

    day: float
    confirmed: bool
    verdict: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TrendChart(Figure):
    """One small multiple. `drift` is the base's own movement, about the level of the absolute values."""

    first: str  # the dates at both ends
    last: str
    days: float
    absolute: Line
    ratio: Line | None
    drift: Line | None
    limit: float | None
    marks: tuple[Mark, ...]

    def numbers(self) -> Iterator[str]:
        """From where to where each panel goes, and its steps."""
        if self.ratio:
            yield f"ratio to the base: {range_text(tuple(value for value, _, _ in self.ratio.ends))}"
        yield f"{len(self.absolute.ends)} nights: {range_text(tuple(value for value, _, _ in self.absolute.ends))}"
        yield from (mark.text for mark in self.marks)

    def draw(self) -> Drawing:
        """The ratio above, the absolute values below, one axis of nights."""
        panels = 2 if self.ratio else 1
        sheet = Sheet((_TITLE + _PANEL) * panels + _GAP * (panels - 1) + _BELOW)
        beside = self.drift.ends if self.drift else ()
        limits = () if self.limit is None else (self.limit,)
        top = _TITLE + _PANEL + _GAP if self.ratio else 0.0
        level = _upright((*self.absolute.ends, *beside), limits, top)
        ratio = _upright(self.ratio.ends, (1.0,), 0.0) if self.ratio else None
        along = Axis(0, self.days or 1.0, _left(level, ratio), _RIGHT)
        if self.ratio and ratio:
            self._panel(sheet, along, ratio, "ratio to the base of the same night")
            sheet.line(((along.start, ratio.at(1)), (_RIGHT, ratio.at(1))), INK, 0.9)
            _values(sheet, along, ratio, self.ratio, _RATIO)
        self._panel(sheet, along, level, self.unit)
        if self.drift:
            sheet.area(_band(along, level, self.drift), _BASE, opacity=0.3)
        if self.limit is not None:
            sheet.line(((along.start, level.at(self.limit)), (_RIGHT, level.at(self.limit))), BAD, 1.1, dashed=True)
        _values(sheet, along, level, self.absolute, _ABSOLUTE)
        for x, text, align in ((along.start, self.first, "left"), (_RIGHT, self.last, "right")):
            sheet.write(x, level.start + 10, text, align=align, colour=QUIET)
        return sheet.drawing()

    def legend(self) -> Legend:
        """What each colour is; written once for all multiples."""
        return [
            (_RATIO, "ratio to the base"),
            (_ABSOLUTE, "measured"),
            (_BASE, "how the base itself moved: the machine's drift"),
        ]

    def _panel(self, sheet: Sheet, along: Axis, up: Axis, title: str) -> None:
        sheet.write(0, up.end - _TITLE / 2, title, colour=QUIET)
        up.upwards(sheet, along.start, _RIGHT, _TICKS)
        sheet.line(((along.start, up.start), (_RIGHT, up.start)), GRID, 0.8)
        for mark in self.marks:
            place = along.at(mark.day)
            colour = _STEP_COLOURS.get(mark.verdict, INK) if mark.confirmed else QUIET
            sheet.line(((place, up.start), (place, up.end)), colour, 1.3, dashed=not mark.confirmed)


def _left(*axes: Axis | None) -> float:
    """Where the panels begin: right of the longest number on their axes."""
    longest = max(len(number(tick)) for axis in axes if axis for tick in axis.ticks(_TICKS))
    return max(_LEAST_LEFT, _CHARACTER * longest + 6)


def _upright(ends: Sequence[Ends], others: Sequence[float], top: float) -> Axis:
    """An axis with room for the middle of all intervals: one wide night does not flatten the others."""
    values = [value for value, _, _ in ends]
    lows, highs = sorted(low for _, low, _ in ends), sorted(high for _, _, high in ends)
    cut = len(ends) // 20
    low = min(*values, *others, lows[cut]) if len(values) + len(others) > 1 else min(values[0], lows[cut])
    high = max(*values, *others, highs[-1 - cut]) if len(values) + len(others) > 1 else max(values[0], highs[-1 - cut])
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return Axis(low - room, high + room, top + _TITLE + _PANEL, top + _TITLE)


def _values(sheet: Sheet, along: Axis, up: Axis, line: Line, colour: str) -> None:
    points = [(along.at(day), up.at(value)) for day, (value, _, _) in zip(line.days, line.ends, strict=True)]
    if len(points) > _MOST_WHISKERS:
        sheet.area(_band(along, up, line), colour, opacity=0.25)
        sheet.line(points, colour, 1.2)
        return
    for (x, _), (_, low, high) in zip(points, line.ends, strict=True):
        if low < high:
            sheet.line(((x, up.at(low)), (x, up.at(high))), colour, 0.9, opacity=0.6)
    sheet.dots(points, colour, 3.6)


def _band(along: Axis, up: Axis, line: Line) -> list[Point]:
    """The polygon between both ends of all intervals."""
    upper = [(along.at(day), up.at(high)) for day, (_, _, high) in zip(line.days, line.ends, strict=True)]
    lower = [(along.at(day), up.at(low)) for day, (_, low, _) in zip(line.days, line.ends, strict=True)]
    return [*upper, *reversed(lower)]
