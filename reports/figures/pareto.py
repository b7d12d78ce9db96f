"""The trade-off of an answer: two metrics against each other, the best corner always below on the left.

A colour is a variant, as everywhere on the page, and a shape a runtime. Red is for limits only, and the tinted ground
is where both of them are kept. Names stand at their points where they do not collide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import BAD, GOOD, INK, QUIET, TEXT, WIDTH, Axis, Point, Sheet, colour_of, number
from reports.figures.figure import Ends, Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: Left, upper, right and lower edge on a sheet.
Box = tuple[float, float, float, float]
_HEIGHT = 270.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 46.0, 24.0, WIDTH - 4.0, _HEIGHT - 36.0
SIGNS = ("●", "■", "▲", "◆", "▼", "◀", "▶", "✚", "★")
#: Corners of a runtime's mark, in halves of its size; the first runtime's is a dot.
_CORNERS: tuple[tuple[Point, ...], ...] = (
    (),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.1), (1, 0.8), (-1, 0.8)),
    ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    ((0, 1.1), (1, -0.8), (-1, -0.8)),
    ((-1.1, 0), (0.8, 1), (0.8, -1)),
    ((1.1, 0), (-0.8, 1), (-0.8, -1)),
    (
        *((-0.35, -1.1), (0.35, -1.1), (0.35, -0.35), (1.1, -0.35), (1.1, 0.35), (0.35, 0.35)),
        *((0.35, 1.1), (-0.35, 1.1), (-0.35, 0.35), (-1.1, 0.35), (-1.1, -0.35), (-0.35, -0.35)),
    ),
    tuple(
        (size * math.sin(step * math.pi / 5), -size * math.cos(step * math.pi / 5))
        for step, size in enumerate((1.25, 0.55) * 5)
    ),
)
_HALF = 4.5
#: An interval beyond so many times the largest value runs to the edge: else it would leave all points in a corner.
_FARTHEST = 3.0
_CHARACTER = 6.4
_LONGEST_LABEL = 22
#: Letters that a cut label begins with, the best first.
_LEADS = (11, 15, 7, 18, 3)
#: A label farther from its mark than this is tied to it.
_BESIDE = 12.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table; `x` and `y` are (value, low, high) in the axes' units."""

    label: str
    runtime: str
    shape: int  # the runtime's number among all of the table, drawn or not
    swatch: int
    x: Ends
    y: Ends
    named: bool


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What an axis is of: its title with the unit, whether more is better, and the budget on it."""

    title: str
    higher: bool
    limit: float | None
    limit_text: str
    from_zero: bool = True  # what is a share of little or nothing is told by its own range

    def axis(self, found: Sequence[Ends], start: float, end: float) -> Axis:
        """From the better end at `start`; its budget is always on it."""
        most = _FARTHEST * max(abs(value) for value, _, _ in found)
        points = [max(min(each, most), -most) for ends in found for each in ends]
        points += [] if self.limit is None else [self.limit]
        low, high = min(points), max(points)
        if self.from_zero and low >= 0:
            low = 0.0
        room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
        low, high = (low if low == 0 else low - room), high + room
        return Axis(low, high, end, start) if self.higher else Axis(low, high, start, end)


@dataclass(frozen=True, kw_only=True)
class Pareto(Figure):
    """Rows by two metrics."""

    across: Metric
    upwards: Metric
    rows: tuple[Row, ...]

    @property
    def shapes(self) -> list[tuple[str, str]]:
        """(sign, runtime), for the line above the drawing."""
        return [(sign_of(shape), runtime) for shape, runtime in dict.fromkeys((r.shape, r.runtime) for r in self.rows)]

    def numbers(self) -> Iterator[str]:
        """Limits, then each row."""
        for metric in (self.across, self.upwards):
            if metric.limit is not None:
                yield f"{metric.title} limit {metric.limit_text}"
        for row in self.rows:
            yield f"{row.label} {row.x[0]:.4g}, {row.y[0]:.4g}"

    def draw(self) -> Drawing:
        """Both axes begin at the better end; a metric of which more is better runs the other way."""
        sheet = Sheet(_HEIGHT)
        x = self.across.axis([row.x for row in self.rows], _LEFT, _RIGHT)
        y = self.upwards.axis([row.y for row in self.rows], _BOTTOM, _TOP)
        self._ground(sheet, x, y)
        for row in self.rows:
            self._mark(sheet, row, (x.at(row.x[0]), y.at(row.y[0])), _whiskers(row, x, y))
        places = self._places(x, y)
        lines = [
            *(box for _, box in self.limit_words(x, y)),
            *(box for row in self.rows for box in _boxes(_whiskers(row, x, y))),
            *self._limits(x, y),
        ]
        for at, text, box in _labels(self.rows, places, lines):
            if not _beside(box, places[at]):
                sheet.line((_nearest(box, places[at]), places[at]), QUIET, 0.7)
            sheet.write(box[0], (box[1] + box[3]) / 2, text, colour=INK if self.rows[at].named else QUIET)
        return sheet.drawing()

    def _ground(self, sheet: Sheet, x: Axis, y: Axis) -> None:
        if self.across.limit is not None and self.upwards.limit is not None:
            sheet.box(_LEFT, y.at(self.upwards.limit), x.at(self.across.limit), _BOTTOM, GOOD, opacity=0.13)
        y.upwards(sheet, _LEFT, _RIGHT, 6)
        for tick in x.ticks():
            sheet.tick(x.at(tick), _BOTTOM, number(tick))
        sheet.write(0, 8, f"{self.upwards.title}  ↓ better", colour=QUIET)
        sheet.write(_RIGHT, _HEIGHT - 8, f"{self.across.title}  ← better", align="right", colour=QUIET)
        if self.across.limit is not None:
            at = x.at(self.across.limit)
            sheet.line(((at, _TOP), (at, _BOTTOM)), BAD, 1.2, dashed=True)
        if self.upwards.limit is not None:
            at = y.at(self.upwards.limit)
            sheet.line(((_LEFT, at), (_RIGHT, at)), BAD, 1.2, dashed=True)
        for text, box in self.limit_words(x, y):
            sheet.write(box[0], (box[1] + box[3]) / 2, text, colour=BAD)

    def limit_words(self, x: Axis, y: Axis) -> list[tuple[str, Box]]:
        """What is written at the limits, and where: on no mark, not on each other and across no line."""
        lines = [*self._limits(x, y), *((left - 6, up - 6, left + 6, up + 6) for left, up in self._places(x, y))]
        found: list[tuple[str, Box]] = []
        for metric, axis, places in ((self.across, x, _beside_upright), (self.upwards, y, _beside_level)):
            if metric.limit is not None:
                text = f"limit {metric.limit_text}"
                boxes = list(places(axis.at(metric.limit), len(text) * _CHARACTER))
                free = (box for box in boxes if not _hits(box, [*lines, *(box for _, box in found)]))
                found.append((text, next(free, boxes[0])))
        return found

    def _places(self, x: Axis, y: Axis) -> list[Point]:
        return [(x.at(row.x[0]), y.at(row.y[0])) for row in self.rows]

    def _mark(self, sheet: Sheet, row: Row, place: Point, whiskers: tuple[Ends, Ends]) -> None:
        colour = colour_of(row.swatch)
        (_, left, right), (_, low, high) = whiskers
        sheet.line(((left, place[1]), (right, place[1])), colour, 1.2, opacity=0.6)
        sheet.line(((place[0], low), (place[0], high)), colour, 1.2, opacity=0.6)
        corners = _CORNERS[row.shape % len(_CORNERS)]
        if corners:
            sheet.area([(place[0] + _HALF * dx, place[1] + _HALF * dy) for dx, dy in corners], colour)
        else:
            sheet.dots([place], colour, 2 * _HALF)
        if row.named:
            sheet.ring(place, INK, 4 * _HALF)

    def _limits(self, x: Axis, y: Axis) -> Iterator[Box]:
        if self.across.limit is not None:
            at = x.at(self.across.limit)
            yield at - 1, _TOP, at + 1, _BOTTOM
        if self.upwards.limit is not None:
            at = y.at(self.upwards.limit)
            yield _LEFT, at - 1, _RIGHT, at + 1


def sign_of(shape: int) -> str:
    """A runtime's sign, by its number in the table."""
    return SIGNS[shape % len(SIGNS)]


def _beside_upright(at: float, width: float) -> Iterator[Box]:
    """Places for words at an upright line, the best first: at its upper end, on the side that has more room."""
    sides = (at + 4, at - 4 - width)
    for down in (0.0, 14.0, 28.0, 42.0, 56.0, 70.0):
        for left in sides if at < WIDTH * 0.65 else reversed(sides):
            if left >= _LEFT and left + width <= _RIGHT:
                yield left, _TOP + down, left + width, _TOP + down + TEXT
    yield max(sides[1], 0.0), _TOP, max(sides[1], 0.0) + width, _TOP + TEXT


def _beside_level(at: float, width: float) -> Iterator[Box]:
    """Places for words at a level line, the best first: above its right end, farther to the left, or below it."""
    for middle in (at - 8, at + 8):
        right = _RIGHT
        while right - width >= _LEFT:
            yield right - width, middle - TEXT / 2, right, middle + TEXT / 2
            right -= 4


def _whiskers(row: Row, x: Axis, y: Axis) -> tuple[Ends, Ends]:
    """Value and ends of both intervals, as places on the sheet."""
    across = [min(max(x.at(each), _LEFT), _RIGHT) for each in row.x]
    upwards = [min(max(y.at(each), _TOP), _BOTTOM) for each in row.y]
    return (across[0], across[1], across[2]), (upwards[0], upwards[1], upwards[2])


def _boxes(whiskers: tuple[Ends, Ends]) -> Iterator[Box]:
    (x, left, right), (y, low, high) = whiskers
    yield x - 1, min(low, high), x + 1, max(low, high)
    yield min(left, right), y - 1, max(left, right), y + 1


def _labels(rows: Sequence[Row], places: Sequence[Point], lines: Sequence[Box]) -> Iterator[tuple[int, str, Box]]:
    """Number, text and place; the named one's chooses first, and what finds no room is left out.

    A label crosses no mark and no other label, and a whisker or limit only where it has no other place.
    """
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    texts = _texts([row.label for row in rows])
    for at in sorted(range(len(rows)), key=lambda at: not rows[at].named):
        text = texts[at]
        boxes = [box for box in _around(*places[at], len(text) * _CHARACTER) if _inside(box)]
        free = [box for box in boxes if not _hits(box, taken)]
        clear = [box for box in free if not _hits(box, lines)]
        if box := next(iter(clear or free), None):
            taken.append(box)
            yield at, text, box


def _texts(labels: Sequence[str]) -> list[str]:
    """Labels cut so that they are told apart as well as the whole ones are, if any cut does."""
    cuts = [
        [
            each if len(each) <= _LONGEST_LABEL else f"{each[:lead]}…{each[lead - _LONGEST_LABEL + 1 :]}"
            for each in labels
        ]
        for lead in _LEADS
    ]
    return max(cuts, key=lambda cut: len(set(cut)))


def _beside(box: Box, place: Point) -> bool:
    """Whether a label stands right at its mark."""
    return math.dist(_nearest(box, place), place) < _BESIDE


def _nearest(box: Box, place: Point) -> Point:
    return min(max(place[0], box[0]), box[2]), min(max(place[1], box[1]), box[3])


def _around(x: float, y: float, width: float) -> Iterator[Box]:
    """Places for a label, nearest first."""
    half = TEXT / 2
    for away in (0.0, 12.0, 24.0, 36.0, 48.0):
        for up in (away,) if not away else (away, -away):
            for left in (x + 9, x - 9 - width, x - width / 2):
                middle = y + up + (14.0 if left == x - width / 2 and not away else 0.0)
                yield left, middle - half, left + width, middle + half


def _inside(box: Box) -> bool:
    return box[0] >= _LEFT and box[2] <= _RIGHT and box[1] >= _TOP and box[3] <= _BOTTOM


def _hits(box: Box, taken: Sequence[Box]) -> bool:
    return any(box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken)
