"""What the figures share: colours, a sheet on which all strokes of one style are one path, and axes.

A sheet is as wide as a phone: one drawing serves every page, its text readable on the smallest. Figures put their
marks on it in units from its upper left corner; matplotlib writes them down, and finds the ticks of an axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: Okabe and Ito's colours, which colour-blind readers can tell apart; the yellow is left out, too pale on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a828c")
#: A start's phases follow each other; each can be seen on white and on black.
PHASE_COLOURS = ("#3b6ea5", "#75a4c4", "#a4713f", "#e8a35e", "#8a8f98", "#b48fc2")
#: Of these an SVG has the page's own: what is written, what is less so, lines across, and verdicts.
INK, QUIET, GRID, GOOD, BAD = "#222a33", "#5b6570", "#dfe3e8", "#12693a", "#a3241c"
#: Units of the SVG: text of this size has 11 pixels where the sheet has 328.
WIDTH, TEXT = 350.0, 12.0
#: From the middle of a line of text down to its base, as a share of its size.
_BASE = 0.35
_DASHES = (4.0, 3.0)
_LABEL_CHARACTERS = 46
#: Room for a character, and for a line.
_CHARACTER, _LINE = 6.4, 16.0
#: More digits than an axis can show.
_TICK_DIGITS = 10
Point = tuple[float, float]


@dataclass(frozen=True)
class _Style:
    """What makes two shapes one path."""

    stroke: str
    fill: str
    width: float
    opacity: float
    dashed: bool
    round: bool


@dataclass(frozen=True)
class _Word:
    at: Point
    text: str
    align: str
    colour: str


class Sheet:
    """A drawing `height` units high; what is first of its style lies beneath what comes after it, text on top."""

    def __init__(self, height: float) -> None:
        self.height = height
        self._shapes: dict[_Style, list[tuple[Sequence[Point], bool]]] = {}
        self._words: list[_Word] = []

    @classmethod
    def under(cls, legend: Sequence[tuple[str, str]], height: float) -> tuple[Sheet, float]:
        """A sheet with a legend on it and so much room beneath, and where that begins."""
        places, top = _flowed([label for _, label in legend])
        sheet = cls(top + height)
        for (colour, label), (x, y) in zip(legend, places, strict=True):
            sheet.box(x, y - 5, x + 10, y + 5, colour)
            sheet.write(x + 14, y, label)
        return sheet, top

    def line(
        self, points: Sequence[Point], colour: str, width: float = 1.0, *, opacity: float = 1.0, dashed: bool = False
    ) -> None:
        """A line through the points."""
        self._put(_Style(colour, "none", width, opacity, dashed, False), points)

    def dots(self, points: Sequence[Point], colour: str, size: float, *, opacity: float = 1.0) -> None:
        """A dot at each point: a stroke of no length with round ends, so that thousands are one path."""
        style = _Style(colour, "none", size, opacity, False, True)
        for point in points:
            self._put(style, (point, point))

    def ring(self, middle: Point, colour: str, size: float) -> None:
        """A hollow mark, as a square on its edge."""
        (x, y), half = middle, size / 2
        corners = ((x - half, y), (x, y - half), (x + half, y), (x, y + half))
        self._put(_Style(colour, "none", 1.3, 1.0, False, False), corners, closed=True)

    def area(self, points: Sequence[Point], colour: str, *, opacity: float = 1.0) -> None:
        """A filled polygon."""
        self._put(_Style("none", colour, 0.0, opacity, False, False), points, closed=True)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str, *, opacity: float = 1.0) -> None:
        """A filled rectangle."""
        self.area(((left, top), (right, top), (right, bottom), (left, bottom)), colour, opacity=opacity)

    def write(self, x: float, y: float, text: str, *, align: str = "left", colour: str = INK) -> None:
        """A line of text around the height `y`."""
        self._words.append(_Word((x, y + _BASE * TEXT), short(text), align, colour))

    def tick(self, x: float, bottom: float, text: str) -> None:
        """A name under a place on an axis, within the sheet."""
        half = _CHARACTER * len(text) / 2
        align = "left" if x < half else "right" if x > WIDTH - half else "center"
        self.write(min(max(x, 0.0), WIDTH), bottom + 9, text, align=align, colour=QUIET)

    def whisker(self, ends: tuple[float, float], y: float, colour: str = INK) -> None:
        """An interval along the width, with a stroke across at either end."""
        left, right = ends
        self.line(((left, y), (right, y)), colour, 1.2)
        for end in ends:
            self.line(((end, y - 3), (end, y + 3)), colour, 1.2)

    def _put(self, style: _Style, points: Sequence[Point], *, closed: bool = False) -> None:
        self._shapes.setdefault(style, []).append((points, closed))

    def drawing(self) -> Drawing:
        """Everything on it, as matplotlib's own figure."""
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Drawing
        from matplotlib.text import Text
        from matplotlib.transforms import IdentityTransform

        drawing = Drawing(figsize=(WIDTH / 72, self.height / 72), dpi=72)
        FigureCanvasSVG(drawing)
        # Lines across lie beneath everything.
        for style, shapes in sorted(self._shapes.items(), key=lambda each: each[0].stroke != GRID):
            drawing.add_artist(self._patch(style, shapes))
        for word in self._words:
            x, y = word.at
            drawing.add_artist(
                Text(
                    x, self.height - y, word.text, color=word.colour, ha=word.align, size=TEXT,
                    transform=IdentityTransform(),
                )
            )  # fmt: skip
        return drawing

    def _patch(self, style: _Style, shapes: Sequence[tuple[Sequence[Point], bool]]) -> Any:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path
        from matplotlib.transforms import IdentityTransform

        vertices: list[Point] = []
        codes: list[Any] = []
        for points, closed in shapes:
            turned = [(x, self.height - y) for x, y in points]
            vertices += [*turned, turned[0]] if closed else turned
            codes += [Path.MOVETO, *[Path.LINETO] * (len(turned) - 1), *([Path.CLOSEPOLY] if closed else [])]
        return PathPatch(
            Path(vertices, codes),
            transform=IdentityTransform(),
            facecolor=style.fill,
            edgecolor=style.stroke,
            linewidth=style.width,
            linestyle=(0, _DASHES) if style.dashed else "-",
            capstyle="round" if style.round else "butt",
            alpha=style.opacity if style.opacity < 1 else None,
        )


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, and their places on a sheet from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    whole: bool = False  # its ticks are: it counts something

    def at(self, value: float) -> float:
        """The place of a value; one outside stands at the end that it is beyond."""
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.logarithmic else value

    def ticks(self, most: int = 5) -> list[float]:
        """At most so many round values between both ends."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        if self.low >= self.high:
            return [self.low]
        if self.logarithmic:
            for steps in ((1, 2, 5), (1, 3), (1,)):
                found = self._within(LogLocator(subs=steps, numticks=50).tick_values(self.low, self.high))
                if 1 < len(found) <= most:
                    return found
            if len(found) > most:
                return found[:: -(-len(found) // most)]
        return self._within(MaxNLocator(nbins=max(1, most - 1), integer=self.whole).tick_values(self.low, self.high))

    def _within(self, values: Sequence[float]) -> list[float]:
        room = (self.high - self.low) * 1e-9
        return [float(value) for value in values if self.low - room <= value <= self.high + room]

    def across(self, sheet: Sheet, top: float, bottom: float, *, told: bool = True) -> None:
        """Its ticks as lines from `top` to `bottom`, its values written beneath."""
        for tick in self.ticks():
            sheet.line(((self.at(tick), top), (self.at(tick), bottom)), GRID, 0.8)
            if told:
                sheet.tick(self.at(tick), bottom, number(tick))

    def upwards(self, sheet: Sheet, left: float, right: float, most: int = 4) -> None:
        """Its ticks as lines from `left` to `right`, its values written before them."""
        for tick in self.ticks(most):
            sheet.line(((left, self.at(tick)), (right, self.at(tick))), GRID, 0.8)
            sheet.write(left - 4, self.at(tick), number(tick), align="right", colour=QUIET)


def _flowed(labels: Sequence[str]) -> tuple[list[Point], float]:
    """A place for each label, side by side as far as there is room, and where the last line of them ends."""
    places: list[Point] = []
    x, y = 0.0, _LINE / 2
    for label in labels:
        width = 26 + _CHARACTER * len(short(label))
        if places and x + width > WIDTH:
            x, y = 0.0, y + _LINE
        places.append((x, y))
        x += width
    return places, (y + _LINE / 2 + 4 if labels else 0.0)


def number(value: float) -> str:
    """A tick's value as people write it."""
    return f"{value:,.{_TICK_DIGITS}g}".replace("-", "\N{MINUS SIGN}") if 1e-4 <= abs(value) < 1e7 else f"{value:g}"


def short(text: str, most: int = _LABEL_CHARACTERS) -> str:
    """A text that fits over a row, cut in the middle."""
    if len(text) <= most:
        return text
    kept = most // 2
    return f"{text[:kept]}…{text[-kept:]}"


def colour_of(number: int) -> str:
    """The colour of a variant."""
    return COLOURS[number % len(COLOURS)]


def phase_colour(number: int) -> str:
    """The colour of a phase."""
    return PHASE_COLOURS[number % len(PHASE_COLOURS)]
