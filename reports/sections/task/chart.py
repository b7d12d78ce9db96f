"""The figure of tasks: what each row lost, with its interval, and a line where nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import BAD, GOOD, INK, QUIET, WIDTH, Axis, Sheet
from reports.figures.figure import Figure, Legend, figure_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_DOT, _LABEL, _GAP, _NAMES = 16.0, 18.0, 6.0, 130.0
_LONGEST_NAME = 21
#: Losses that are nothing but equal take so much room either way, in points.
_LEAST = 1.0


@dataclass(frozen=True, kw_only=True)
class LossDot:
    """What one row lost, in points, with its interval where there is one."""

    label: str
    value: float
    low: float | None
    high: float | None

    @property
    def colour(self) -> str:
        """Whether its whole interval is on one side of nothing."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return INK
        return BAD if self.low > 0 else GOOD

    @property
    def text(self) -> str:
        """It in words."""
        if self.low is None or self.high is None:
            return f"{self.label} {figure_text(self.value)}"
        return f"{self.label} {figure_text(self.value)} [{figure_text(self.low)}, {figure_text(self.high)}]"


@dataclass(frozen=True, kw_only=True)
class LossGroup:
    """The rows of one measure."""

    label: str
    dots: tuple[LossDot, ...]


@dataclass(frozen=True, kw_only=True)
class Losses(Figure):
    """Losses as dots with their intervals, all on one axis."""

    groups: tuple[LossGroup, ...]

    def numbers(self) -> Iterator[str]:
        """Each loss with its interval."""
        for group in self.groups:
            yield f"{group.label}: {', '.join(dot.text for dot in group.dots)}"

    def legend(self) -> Legend:
        """What its colours stand for, where any dot has them."""
        colours = {dot.colour for group in self.groups for dot in group.dots}
        told = [(BAD, "clearly lost"), (GOOD, "clearly gained"), (INK, "not told apart")]
        return [each for each in told if each[0] in colours]

    def draw(self) -> Drawing:
        """Measures from top to bottom, each under its name; in it a row a line."""
        dots = [dot for group in self.groups for dot in group.dots]
        ends = [end for dot in dots for end in (dot.value, dot.low, dot.high) if end is not None]
        height = sum(_LABEL + _DOT * len(group.dots) + _GAP for group in self.groups)
        sheet, top = Sheet.under(self.legend(), height + 36)
        bottom = top + height
        axis = Axis(min(-_LEAST, *ends), max(_LEAST, *ends), _NAMES, WIDTH - 8)
        axis.across(sheet, top, bottom)
        sheet.line(((axis.at(0), top), (axis.at(0), bottom)), INK, 1)
        for group in self.groups:
            sheet.write(0, top + _LABEL / 2, group.label)
            for at, dot in enumerate(group.dots):
                middle = top + _LABEL + _DOT * (at + 0.5)
                sheet.write(8, middle, dot.label[:_LONGEST_NAME], colour=QUIET)
                if dot.low is not None and dot.high is not None:
                    sheet.whisker((axis.at(dot.low), axis.at(dot.high)), middle, dot.colour)
                sheet.dots([(axis.at(dot.value), middle)], dot.colour, 7)
            top += _LABEL + _DOT * len(group.dots) + _GAP
        sheet.write(0, bottom + 26, f"lost ({self.unit})", colour=QUIET)
        return sheet.drawing()
