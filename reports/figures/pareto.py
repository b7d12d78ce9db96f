"""The trade-off of an answer: two metrics against each other, the best corner always below on the left.

A colour is a variant, as everywhere on the page, and a shape a runtime. Red is for limits only, and the tinted ground
is where both of them are kept. Names stand at their points where they do not collide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GRID, INK, QUIET, colour_of
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

#: Left, lower, right and upper edge, in points.
Box = tuple[float, float, float, float]
#: Limits, and what keeps them: in CSS the page's own red and green stand for these two.
LIMIT, KEPT = "#a3241c", "#e3f3ea"
SHAPES = ("o", "s", "^", "D", "v", "P", "X")
_SIGNS = ("●", "■", "▲", "◆", "▼", "✚", "✖")
#: Inches of the two drawings: beside the table, and on a phone.
_WIDE, _NARROW = (5.6, 3.9), (3.6, 3.4)
_MARGINS = {"left": 0.62, "right": 0.12, "bottom": 0.62, "top": 0.34}
_SIZE = 9.0  # points
_CHARACTER = 0.56  # of the size: the mean width of a letter
_LONGEST_LABEL = 24


@dataclass(frozen=True, kw_only=True)
class Point:
    """A row of the table; `x` and `y` are (value, low, high) in the axes' units."""

    label: str
    runtime: str
    swatch: int
    x: Ends
    y: Ends
    named: bool


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A metric: its title with the unit, whether more is better, and the budget on it."""

    title: str
    higher: bool
    limit: float | None
    limit_text: str
    from_zero: bool = True  # what is a share of little or nothing is told by its own range


@dataclass(frozen=True, kw_only=True)
class Pareto(Figure):
    """Rows by two metrics. `narrow`: drawn for a phone."""

    x_axis: Axis
    y_axis: Axis
    points: tuple[Point, ...]
    narrow: bool = False

    @property
    def runtimes(self) -> list[str]:
        """In the order of their shapes."""
        return list(dict.fromkeys(point.runtime for point in self.points))

    @property
    def shapes(self) -> list[tuple[str, str]]:
        """(sign, runtime), for the line above the drawing."""
        return list(zip(_SIGNS, self.runtimes, strict=False))

    @property
    def description(self) -> str:
        """Finding and numbers."""
        told = (f"{each.label} {each.x[0]:.4g}, {each.y[0]:.4g}" for each in self.points)
        limits = "; ".join(axis.limit_text for axis in (self.x_axis, self.y_axis) if axis.limit is not None)
        return f"{self.x_axis.title} and {self.y_axis.title}: {'; '.join(told)}. {limits and f'Limits: {limits}.'}"

    def legend(self) -> Legend:
        """Labels stand at the points."""
        return []

    def draw(self) -> Drawing:
        """Both axes begin where the data do; a metric of which more is better runs downwards or to the left."""
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Drawing

        width, height = _NARROW if self.narrow else _WIDE
        drawing = Drawing(figsize=(width, height))
        FigureCanvasSVG(drawing)
        axes = drawing.add_axes(
            (
                _MARGINS["left"] / width,
                _MARGINS["bottom"] / height,
                1 - (_MARGINS["left"] + _MARGINS["right"]) / width,
                1 - (_MARGINS["bottom"] + _MARGINS["top"]) / height,
            )
        )
        self._frame(axes)
        self._limits(axes)
        for point in self.points:
            self._point(axes, point)
        inside = (width - _MARGINS["left"] - _MARGINS["right"], height - _MARGINS["bottom"] - _MARGINS["top"])
        for text, place, bold in self._labels(inside):
            weight = "bold" if bold else "normal"
            axes.annotate(text, place, xycoords="axes points", fontsize=_SIZE, color=INK, weight=weight, va="center")
        return drawing

    def _frame(self, axes: Axes) -> None:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0, labelsize=_SIZE)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.locator_params(axis="x", nbins=4 if self.narrow else 6)
        axes.locator_params(axis="y", nbins=6)
        axes.set_xlim(*_ends(self.x_axis, [point.x for point in self.points]))
        axes.set_ylim(*_ends(self.y_axis, [point.y for point in self.points]))
        axes.set_xlabel(f"{self.x_axis.title}  ← better", loc="right", fontsize=_SIZE)
        axes.set_title(f"{self.y_axis.title}  ↓ better", loc="left", fontsize=_SIZE, color=QUIET)

    def _limits(self, axes: Axes) -> None:
        x, y = self.x_axis.limit, self.y_axis.limit
        if x is not None and y is not None:
            left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
            axes.fill_between([left, x], bottom, y, color=KEPT, linewidth=0, zorder=0.5)
        if x is not None:
            axes.axvline(x, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                f"limit {self.x_axis.limit_text}",
                (x, 1),
                (3, -2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=_SIZE,
                color=LIMIT,
            )
        if y is not None:
            axes.axhline(y, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                f"limit {self.y_axis.limit_text}",
                (1, y),
                (-2, 3),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                fontsize=_SIZE,
                color=LIMIT,
            )

    def _point(self, axes: Axes, point: Point) -> None:
        colour, shape = colour_of(point.swatch), SHAPES[self.runtimes.index(point.runtime) % len(SHAPES)]
        x, y = point.x, point.y
        gap = float("nan")  # one path for both whiskers
        axes.plot([x[1], x[2], gap, x[0], x[0]], [y[0], y[0], gap, y[1], y[2]], color=colour, linewidth=1.2, alpha=0.6)
        edge = 1.4 if point.named else 0.0
        axes.plot(x[0], y[0], shape, color=colour, markersize=7, markeredgecolor=INK, markeredgewidth=edge)

    def _labels(self, inside: tuple[float, float]) -> Iterator[tuple[str, tuple[float, float], bool]]:
        """Text, place in points of the axes, and whether it is the named one's; what finds no room is left out."""
        width, height = inside[0] * 72, inside[1] * 72
        places = [
            (
                _along(point.x[0], _ends(self.x_axis, [each.x for each in self.points])) * width,
                _along(point.y[0], _ends(self.y_axis, [each.y for each in self.points])) * height,
            )
            for point in self.points
        ]
        taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
        lines = list(self._lines(width, height))
        order = sorted(range(len(places)), key=lambda at: not self.points[at].named)
        for at in order:
            text = _short(self.points[at].label)
            long = len(text) * _SIZE * _CHARACTER
            boxes = [
                (left, middle - _SIZE * 0.6, left + long, middle + _SIZE * 0.6)
                for left, middle in _around(*places[at], long)
            ]
            inside_ = [box for box in boxes if box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height]
            free = [box for box in inside_ if not _hits(box, taken)]
            clear = [box for box in free if not _hits(box, lines)]
            if box := next(iter(clear or free), None):
                taken.append(box)
                yield text, (box[0], (box[1] + box[3]) / 2), self.points[at].named

    def _lines(self, width: float, height: float) -> Iterator[Box]:
        """Whiskers and limits, which a label crosses only where it has no other place."""
        across = _ends(self.x_axis, [each.x for each in self.points])
        upwards = _ends(self.y_axis, [each.y for each in self.points])
        for point in self.points:
            x = [_along(value, across) * width for value in point.x]
            y = [_along(value, upwards) * height for value in point.y]
            yield x[0] - 1, min(y), x[0] + 1, max(y)
            yield min(x), y[0] - 1, max(x), y[0] + 1
        if self.x_axis.limit is not None:
            at = _along(self.x_axis.limit, across) * width
            yield at - 1, 0, at + 1, height
        if self.y_axis.limit is not None:
            at = _along(self.y_axis.limit, upwards) * height
            yield 0, at - 1, width, at + 1


def _ends(axis: Axis, found: Sequence[Ends]) -> tuple[float, float]:
    """The axis' ends, the better one first; its budget is always on it."""
    points = [end for ends in found for end in ends]
    if axis.limit is not None:
        points.append(axis.limit)
    low, high = min(points), max(points)
    if axis.from_zero and low >= 0:
        low = 0.0
    room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    low = low if low == 0 else low - room
    return (high + room, low) if axis.higher else (low, high + room)


def _along(value: float, ends: tuple[float, float]) -> float:
    return (value - ends[0]) / (ends[1] - ends[0])


def _around(x: float, y: float, long: float) -> Iterator[tuple[float, float]]:
    """Places for a label, nearest first: left edge and middle line."""
    for away in (0.0, 11.0, 22.0):
        for up in (away,) if not away else (away, -away):
            yield x + 8, y + up
            yield x - 8 - long, y + up
            yield x - long / 2, y + up + (12 if up >= 0 else -12)
    yield x - long / 2, y - 12


def _hits(box: Box, taken: Sequence[Box]) -> bool:
    return any(box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken)


def _short(text: str) -> str:
    if len(text) <= _LONGEST_LABEL:
        return text
    return f"{text[: _LONGEST_LABEL // 2]}…{text[-_LONGEST_LABEL // 2 + 1 :]}"
