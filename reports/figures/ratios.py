"""The figure of ratios: dots with their intervals on a logarithmic axis, and a line where both are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GRID, INK, QUIET, canvas, short
from reports.figures.figure import Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_BETTER, _WORSE, _GROUND = "#12693a", "#a3241c", "#fbfcfd"
_COLOURS = {"better": _BETTER, "worse": _WORSE, "unjudged": INK}
#: Inches: a dot, a row's label, the space below a row.
_DOT, _HEADING, _GAP = 0.24, 0.28, 0.1
#: Shares of the width: where the names of the metrics end, and where the ratios in words begin.
_NAMES, _WORDS = 0.27, 0.76
#: Ticks that read well, both ways from 1; of these, as few as have room.
_TICKS = ((1, 1.1, 1.25, 1.5), (1, 1.25, 1.5, 2, 3), (1, 1.5, 2, 3, 5, 10), (1, 2, 5, 10, 20, 50))
_MOST_TICKS = 9


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

    def legend(self) -> Legend:
        """(colour, label) for the verdicts that this figure draws."""
        verdicts = {dot.verdict for group in self.groups for dot in group.dots}
        told = [(_BETTER, "better"), (_WORSE, "worse")]
        found = [(colour, label) for colour, label in told if label in verdicts]
        if verdicts - {"better", "worse"}:
            found.append((QUIET, "hollow: not clearly different, or without an interval"))
        return found

    def draw(self) -> Drawing:
        """Rows from top to bottom, each under its label; in a row, a metric a line."""
        height = sum(_HEADING + _DOT * len(group.dots) + _GAP for group in self.groups)
        drawing = canvas(height + 0.55)
        total = drawing.get_figheight()
        axes = drawing.add_axes((_NAMES, 0.5 / total, _WORDS - _NAMES - 0.015, height / total))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        axes.set_ylim(height, 0)
        axes.set_yticks([])
        _logarithmic(axes, self)
        top = 0.0
        for group in self.groups:
            _group(axes, group, top, self)
            top += _HEADING + _DOT * len(group.dots) + _GAP
        axes.set_xlabel("this / the first runtime (logarithmic scale)", loc="left")
        return drawing


def _logarithmic(axes: Axes, figure: Ratios) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(figure.lowest, figure.highest)
    ticks = _ticks(figure.lowest, figure.highest)
    axes.xaxis.set_major_locator(FixedLocator(ticks) if ticks else LogLocator(numticks=_MOST_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def _ticks(lowest: float, highest: float) -> list[float]:
    """As many plain ratios as have room between the ends of the axis; none where only powers of ten would do."""
    for steps in _TICKS:
        both_ways = sorted({*map(float, steps), *(round(1 / step, 2) for step in steps)})
        if lowest * steps[-1] >= 1 and highest <= steps[-1] * 1.3:
            return [tick for tick in both_ways if lowest <= tick <= highest]
    return []


def _group(axes: Axes, group: RatioGroup, top: float, figure: Ratios) -> None:
    axes.annotate(
        short(group.label), (0.02, top + 0.14), xycoords=("figure fraction", "data"), va="center", fontsize=9, color=INK
    )
    ends = [top + _HEADING, top + _HEADING + _DOT * len(group.dots)]
    for tick in axes.get_xticks():
        axes.plot([tick] * 2, ends, color=GRID, linewidth=0.8, zorder=0)
    axes.plot([1, 1], ends, color=INK, linewidth=1)
    for number, dot in enumerate(group.dots):
        _dot(axes, dot, ends[0] + _DOT * (number + 0.5), figure)


def _dot(axes: Axes, dot: RatioDot, middle: float, figure: Ratios) -> None:
    for text, left, colour in ((dot.metric, 0.035, QUIET), (dot.text, _WORDS, INK)):
        axes.annotate(text, (left, middle), xycoords=("figure fraction", "data"), va="center", fontsize=8, color=colour)
    colour = _COLOURS.get(dot.verdict, QUIET)
    if dot.low is not None and dot.high is not None:
        low, high = max(dot.low, figure.lowest), min(dot.high, figure.highest)
        axes.plot([low, high], [middle] * 2, color=colour, linewidth=1.6, solid_capstyle="butt")
        if low > dot.low:
            axes.plot([low], [middle], "<", color=colour, markersize=4, clip_on=False)
        if high < dot.high:
            axes.plot([high], [middle], ">", color=colour, markersize=4, clip_on=False)
    face = colour if dot.verdict in _COLOURS else _GROUND
    axes.plot([dot.value], [middle], "o", color=colour, markerfacecolor=face, markersize=5.5, markeredgewidth=1.3)
