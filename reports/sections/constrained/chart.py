"""The figures on constrained devices: latency against a limit on memory, and bars of what a constraint costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GRID, INK, QUIET, axes_of, canvas, short
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

#: Marker and colour by outcome: each differs in both, and its word stands beside it.
_MARKERS = {
    "fine": ("o", "#12693a"),
    "slower": ("^", "#b87400"),
    "thrashing": ("D", "#d55e00"),
    "error": ("X", "#a14a7c"),
    "killed": ("s", "#a3241c"),
    "timeout": ("v", "#0072b2"),
    "not applied": ("P", "#8a8f98"),
}
_OTHER = ("*", "#444444")
_BRACKET, _GROUND = "#c9d4e4", "#fbfcfd"
#: Inches: the panel of times, a lane of an outcome, a row's label, the space below a row.
_PANEL, _LANE, _HEADING, _GAP = 1.45, 0.2, 0.3, 0.24
_LEFT, _RIGHT = 0.14, 0.86
#: Times further apart than this need a logarithmic axis; limits closer than this need none of its ticks.
_LOGARITHMIC_FROM, _NARROW = 6.0, 8.0
#: Inches: a bar of a constraint. Share of the width that the names of constraints take.
_BAR, _NAMES = 0.25, 0.27
_LONGEST_NAME = 28
#: Beyond this many times slower only a logarithmic axis leaves the small ones readable.
_WIDEST = 12.0


@dataclass(frozen=True, kw_only=True)
class LadderStep:
    """A limit, the time to an answer under it (None: no trial answered), and the outcome in a word."""

    limit: float
    time: float | None
    outcome: str


@dataclass(frozen=True, kw_only=True)
class LadderPanel:
    """The ladders of one row: all steps, and the bracket of each attempt's floor (failing, floor)."""

    label: str
    unconstrained: float | None
    latest: float | None  # a slower answer counts as none
    steps: tuple[LadderStep, ...]
    brackets: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class LadderChart(Figure):
    """Latency against a limit on memory, one panel a row, all on the same axes. `unit` is that of the limits."""

    floor: str
    x_title: str
    y_title: str
    outcomes: tuple[str, ...]  # those that occur, best first
    panels: tuple[LadderPanel, ...]

    def legend(self) -> Legend:
        """The bracket of the floor; outcomes have their word beside their lane."""
        return [(_BRACKET, f"the {self.floor} lies in here")] if any(panel.brackets for panel in self.panels) else []

    def draw(self) -> Drawing:
        """Rows from top to bottom: times above, beneath them one lane for each outcome with a mark at each limit."""
        lanes = _LANE * len(self.outcomes)
        row = _HEADING + _PANEL + 0.08 + lanes + _GAP
        height = row * len(self.panels) - _GAP + 0.5
        drawing = canvas(height)
        limits = [step.limit for panel in self.panels for step in panel.steps]
        times = [time for panel in self.panels for time in _times(panel)]
        for number, panel in enumerate(self.panels):
            top = row * number + _HEADING
            upper = drawing.add_axes((_LEFT, 1 - (top + _PANEL) / height, _RIGHT - _LEFT, _PANEL / height))
            bottom = top + _PANEL + 0.08 + lanes
            lower = drawing.add_axes((_LEFT, 1 - bottom / height, _RIGHT - _LEFT, lanes / height))
            for axes in (upper, lower):
                axes.spines[["top", "right", "left"]].set_visible(False)
                axes.tick_params(length=0)
                axes.set_axisbelow(True)
                _limits(axes, limits)
                for failing, floor in panel.brackets:
                    axes.axvspan(failing, floor, color=_BRACKET, alpha=0.8 / len(panel.brackets) ** 0.5, linewidth=0)
            upper.tick_params(labelbottom=False)
            upper.set_title(f"{short(panel.label)}: {self.y_title}", loc="left", fontsize=9, color=INK)
            _times_panel(upper, panel, times)
            _lanes(lower, panel, self.outcomes)
            lower.tick_params(labelbottom=number == len(self.panels) - 1)
            if number == len(self.panels) - 1:
                lower.set_xlabel(f"{self.x_title} ({self.unit}, logarithmic)", loc="left")
        return drawing


@dataclass(frozen=True, kw_only=True)
class SlowdownBar:
    """One constraint: how many times slower, lowest and highest attempt beside; None where nothing answered."""

    name: str
    slower: Ends | None
    outcome: str
    text: str


@dataclass(frozen=True, kw_only=True)
class SlowdownGroup:
    """The constraints of one row."""

    label: str
    bars: tuple[SlowdownBar, ...]


@dataclass(frozen=True, kw_only=True)
class SlowdownBars(Figure):
    """Less CPU and background load, against the unconstrained time."""

    groups: tuple[SlowdownGroup, ...]

    def draw(self) -> Drawing:
        """Rows from top to bottom; in a row a bar for each constraint, with its outcome in words behind it."""
        height = sum(_HEADING + _BAR * len(group.bars) + 0.1 for group in self.groups)
        drawing = canvas(height + 0.5)
        axes = axes_of(drawing, bottom=0.45, height=height, left=_NAMES)
        axes.set_ylim(height, 0)
        axes.set_yticks([])
        highest = max((bar.slower[2] for group in self.groups for bar in group.bars if bar.slower), default=1.0)
        axes.set_xlim(0, max(highest, 1.0) * 1.45)  # room for the words behind the longest bar
        if highest > _WIDEST:
            from matplotlib.ticker import FuncFormatter

            axes.set_xscale("log")
            axes.set_xlim(0.5, highest * 6)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        top = 0.0
        for group in self.groups:
            axes.annotate(
                short(group.label), (0.02, top + 0.15), xycoords=("figure fraction", "data"), va="center", color=INK
            )
            _group(axes, group, top + _HEADING)
            top += _HEADING + _BAR * len(group.bars) + 0.1
        scale = ", logarithmic" if highest > _WIDEST else ""
        axes.set_xlabel(f"time / unconstrained time{scale}", loc="left")
        return drawing


def _times(panel: LadderPanel) -> list[float]:
    found = [step.time for step in panel.steps if step.time is not None]
    return [time for time in (*found, panel.unconstrained, panel.latest) if time]


def _limits(axes: Axes, limits: list[float]) -> None:
    """The same logarithmic axis for all panels, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = min(limits), max(limits)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.15, high * 1.15)
    narrow = high < _NARROW * low
    axes.xaxis.set_major_locator(MaxNLocator(6) if narrow else LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _times_panel(axes: Axes, panel: LadderPanel, times: list[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.grid(axis="y", color=GRID, linewidth=0.8)
    if times and max(times) > _LOGARITHMIC_FROM * min(times):
        axes.set_yscale("log")
        axes.set_ylim(min(times) / 1.4, max(times) * 1.3)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(times) < 100 * min(times) else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(0, max(times, default=1.0) * 1.15)
    for level, name in ((panel.unconstrained, "unconstrained"), (panel.latest, "no answer\nbeyond")):
        if level:
            axes.axhline(level, color=QUIET, linewidth=0.9, linestyle=(0, (5, 3)))
            axes.annotate(
                name, (1.008, level), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=QUIET
            )
    for step in panel.steps:
        if step.time is not None:
            _mark(axes, step.limit, step.time, step.outcome)
    if not any(step.time is not None for step in panel.steps):
        axes.annotate("no step answered", (0.5, 0.5), xycoords="axes fraction", ha="center", color=QUIET)


def _lanes(axes: Axes, panel: LadderPanel, outcomes: tuple[str, ...]) -> None:
    axes.set_ylim(len(outcomes), 0)
    axes.set_yticks([at + 0.5 for at in range(len(outcomes))], outcomes)
    for at in range(len(outcomes)):
        axes.axhline(at + 0.5, color=GRID, linewidth=0.8)
    for step in panel.steps:
        _mark(axes, step.limit, outcomes.index(step.outcome) + 0.5, step.outcome)


def _mark(axes: Axes, x: float, y: float, outcome: str) -> None:
    marker, colour = _MARKERS.get(outcome, _OTHER)
    axes.plot([x], [y], marker, color=colour, markersize=6, markeredgecolor=_GROUND, markeredgewidth=0.6)


def _group(axes: Axes, group: SlowdownGroup, top: float) -> None:
    left = axes.get_xlim()[0]
    for number, bar in enumerate(group.bars):
        middle = top + _BAR * (number + 0.5)
        axes.annotate(
            bar.name[:_LONGEST_NAME], (0.03, middle), xycoords=("figure fraction", "data"), va="center", fontsize=8
        )
        _, colour = _MARKERS.get(bar.outcome, _OTHER)
        told = left
        if bar.slower:
            axes.barh(middle, bar.slower[0] - left, left=left, height=_BAR * 0.7, color=colour)
            if bar.slower[1] < bar.slower[2]:
                axes.plot(bar.slower[1:], [middle] * 2, color=INK, linewidth=1.2)
            told = bar.slower[2]
        axes.annotate(
            bar.text,
            (told, middle),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK if bar.slower else colour,
            bbox={"facecolor": _GROUND, "edgecolor": "none", "pad": 0.6},  # where the line at 1 would cross it
        )
    axes.plot([1, 1], [top, top + _BAR * len(group.bars)], color=INK, linewidth=1)
