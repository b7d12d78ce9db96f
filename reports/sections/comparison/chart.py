"""The figures of a comparison: samples attempt by attempt, time by token, and the phases of a cold start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GRID, INK, axes_of, canvas, colour_of, label, phase_colour, short
from reports.figures.figure import Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


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


@dataclass(frozen=True, kw_only=True)
class Distribution(Figure):
    """Samples of one metric, one strip a row."""

    logarithmic: bool
    strips: tuple[Strip, ...]

    def draw(self) -> Drawing:
        """Strips from top to bottom, each under its label; in a strip, one lane an attempt."""
        heights = [0.34 + min(0.1 * len(strip.lanes), 1.6) for strip in self.strips]
        drawing = canvas(sum(heights) + 0.55)
        axes = axes_of(drawing, bottom=0.5, height=sum(heights))
        axes.set_yticks([])
        axes.set_ylim(sum(heights), 0)
        if self.logarithmic:
            axes.set_xscale("log")
            _plain_logarithms(axes)
        top = 0.0
        for strip, height in zip(self.strips, heights, strict=True):
            label(axes, top + 0.15, strip.label)
            _lanes(axes, strip, top + 0.26, height - 0.34)
            top += height
        scale = ", logarithmic scale" if self.logarithmic else ""
        axes.set_xlabel(f"{self.title} ({self.unit}{scale})", loc="left")
        return drawing


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

    def legend(self) -> Legend:
        """A colour, and what has it."""
        curves = (curve for panel in self.panels for curve in panel.curves)
        return list(dict.fromkeys((colour_of(curve.colour), curve.label) for curve in curves))

    def draw(self) -> Drawing:
        """Panels from top to bottom on the same axes, so that they compare by eye."""
        panel, gap = 1.75, 0.55
        height = (panel + gap) * len(self.panels) + 0.15
        drawing = canvas(height)
        highest = max(max(curve.high) for each in self.panels for curve in each.curves)
        for number, each in enumerate(self.panels):
            bottom = height - (panel + gap) * number - panel - 0.25
            axes = _panel_axes(drawing, bottom, panel, highest)
            _curves(axes, each)
            axes.set_title(f"{short(each.label)} (ITL, {self.unit})", loc="left", fontsize=9, color=INK)
            if number == len(self.panels) - 1:
                axes.set_xlabel("token of the answer (the first gap ends with token 2)", loc="left")
        return drawing


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One stacked bar: the phases of a start, in the figure's unit."""

    label: str
    segments: tuple[float, ...]  # as many as the figure has phases
    total: str


@dataclass(frozen=True, kw_only=True)
class PhaseBars(Figure):
    """Cold starts by phase."""

    phases: tuple[str, ...]
    bars: tuple[Bar, ...]

    def legend(self) -> Legend:
        """A colour, and what has it."""
        return [(phase_colour(number), phase) for number, phase in enumerate(self.phases)]

    def draw(self) -> Drawing:
        """Bars from top to bottom, each under its label, the whole written at its end."""
        step = 0.52
        height = step * len(self.bars)
        drawing = canvas(height + 0.55)
        axes = axes_of(drawing, bottom=0.5, height=height)
        axes.set_yticks([])
        axes.set_ylim(len(self.bars), 0)
        longest = max(sum(bar.segments) for bar in self.bars)
        axes.set_xlim(0, longest * 1.13 if longest > 0 else 1)  # room for the total behind the longest bar
        for number, bar in enumerate(self.bars):
            label(axes, number + 0.22, bar.label)
            start = 0.0
            for phase, length in enumerate(bar.segments):
                axes.barh(number + 0.65, length, height=0.4, left=start, color=phase_colour(phase))
                start += length
            axes.annotate(
                bar.total,
                (start, number + 0.65),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=INK,
            )
        axes.set_xlabel(f"time since the process was started ({self.unit})", loc="left")
        return drawing


def _lanes(axes: Axes, strip: Strip, top: float, height: float) -> None:
    step = height / len(strip.lanes)
    colour = colour_of(strip.colour)
    for number, lane in enumerate(strip.lanes):
        middle = top + step * (number + 0.5)
        # Every other lane is paler, so that neighbours do not run into each other.
        alpha = 0.75 if number % 2 == 0 else 0.4
        axes.plot(
            lane.values, [middle] * len(lane.values), "o", color=colour, markersize=2.6, markeredgewidth=0, alpha=alpha
        )
        axes.plot([lane.middle] * 2, [middle - step * 0.45, middle + step * 0.45], color=INK, linewidth=1.3)


def _plain_logarithms(axes: Axes) -> None:
    """Ticks at 1, 2 and 5 written as plain numbers: few readers think in powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _panel_axes(drawing: Drawing, bottom: float, height: float, highest: float) -> Axes:
    from matplotlib.ticker import MaxNLocator

    total = drawing.get_figheight()
    axes = drawing.add_axes((0.075, bottom / total, 0.9, height / total))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, highest * 1.05 if highest > 0 else 1)
    return axes


def _curves(axes: Axes, panel: CurvePanel) -> None:
    for curve in panel.curves:
        colour = colour_of(curve.colour)
        axes.fill_between(curve.index, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(curve.index, curve.middle, color=colour, linewidth=1.4, marker="o" if len(curve.index) == 1 else "")
