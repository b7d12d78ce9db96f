"""The figures on sustained attempts: throughput over time with what explains it beneath, burst beside steady state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import INK, QUIET, axes_of, canvas, colour_of, label, plain, short
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

#: Pale enough for lines to stand on them. Each state is also written where it lasts longest.
_SHADES = {
    "throttled (quota)": "#d6e6f5",
    "throttled (heat)": "#f9d5ca",
    "slow-core": "#fbecc8",
    "disturbed (contention)": "#e9dff3",
    "disturbed (steal)": "#e0e4da",
}
_OTHER_SHADE, _OTHERS, _LEVEL = "#d9dde2", "#9aa4af", "#a3241c"
#: Inches: the panel of throughput, those beneath it, the space between panels, where the axis' title stands.
_MAIN, _PANEL, _GAP, _FOOT = 2.3, 0.7, 0.34, 0.5
_LEFT, _RIGHT = 0.09, 0.9
#: Share of the time axis that a word needs.
_WORD = 0.16


@dataclass(frozen=True, kw_only=True)
class TimeLine:
    """One attempt over the seconds of its course."""

    told: bool  # the attempt whose evidence is told, drawn in front
    seconds: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class TimePanel:
    """One quantity of all attempts. Its axis spans at least `span`, from 0 where that is `from_zero`."""

    title: str
    lines: tuple[TimeLine, ...]
    span: float = 0.0
    from_zero: bool = False


@dataclass(frozen=True, kw_only=True)
class Shade:
    """Neighbouring windows that went through the same, from second to second."""

    start: float
    end: float
    state: str


@dataclass(frozen=True, kw_only=True)
class CourseChart(Figure):
    """The courses of one job: throughput first, what explains it beneath, all on one time axis.

    Baseline, settled part, levels, shades and change point are those of the attempt that is told.
    """

    colour: int
    attempts: int
    panels: tuple[TimePanel, ...]
    levels: tuple[tuple[str, float], ...]
    baseline: tuple[float, float, float] | None  # from second, to second, rate
    settled: tuple[float, float, float] | None
    shades: tuple[Shade, ...]
    change_s: float | None

    def legend(self) -> Legend:
        """(colour, label) for the lines and shades that this figure draws."""
        several = self.attempts > 1
        told = [(colour_of(self.colour), "the worst attempt" if several else "the attempt")]
        if several:
            others = self.attempts - 1
            told.append((_OTHERS, f"the other {others}" if others > 1 else "the other one"))
        states = dict.fromkeys(shade.state for shade in self.shades)
        return told + [(_SHADES.get(state, _OTHER_SHADE), f"windows {state}") for state in states]

    def draw(self) -> Drawing:
        """Throughput above, the other quantities beneath, the shades through all of them."""
        beneath = len(self.panels) - 1
        height = 0.3 + _MAIN + beneath * (_GAP + _PANEL) + _FOOT
        drawing = canvas(height)
        latest = max(second for panel in self.panels for line in panel.lines for second in line.seconds)
        latest = max(latest, *(shade.end for shade in self.shades), 1e-9) if self.shades else max(latest, 1e-9)
        top = 0.3
        for number, panel in enumerate(self.panels):
            tall = _MAIN if number == 0 else _PANEL
            axes = drawing.add_axes((_LEFT, 1 - (top + tall) / height, _RIGHT - _LEFT, tall / height))
            plain(axes)
            axes.set_xlim(0, latest * 1.01)
            for shade in self.shades:
                axes.axvspan(
                    shade.start, shade.end, color=_SHADES.get(shade.state, _OTHER_SHADE), linewidth=0, zorder=0
                )
            _lines(axes, panel, self.colour)
            if self.change_s is not None:
                axes.axvline(self.change_s, color=INK, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
            axes.set_title(short(panel.title), loc="left", fontsize=9, color=INK, pad=4)
            if number == 0:
                _throughput(axes, self, latest)
            else:
                _few_ticks(axes, panel)
            last = number == beneath
            axes.tick_params(labelbottom=last)
            if last:
                axes.set_xlabel("seconds since the first measured request", loc="left")
            top += tall + _GAP
        return drawing


@dataclass(frozen=True, kw_only=True)
class RatePair:
    """How fast one row was at first and in the end."""

    label: str
    colour: int
    burst: Ends | None
    settled: Ends | None
    text: str


@dataclass(frozen=True, kw_only=True)
class RateBars(Figure):
    """Burst rates beside steady-state rates."""

    rows: tuple[RatePair, ...]

    def legend(self) -> Legend:
        """The two bars of a row, in the colour of the first row."""
        colour = colour_of(self.rows[0].colour)
        return [(colour, "upper bar: burst"), (_pale(colour), "lower bar, pale: steady state")]

    def draw(self) -> Drawing:
        """Rows from top to bottom, each under its label, burst over steady state; whiskers are 95 % intervals."""
        step = 0.62
        height = step * len(self.rows)
        drawing = canvas(height + 0.55)
        axes = axes_of(drawing, bottom=0.5, height=height)
        axes.set_yticks([])
        axes.set_ylim(len(self.rows), 0)
        highest = max(ends[2] for row in self.rows for ends in (row.burst, row.settled) if ends)
        axes.set_xlim(0, highest * 1.4 if highest > 0 else 1)  # room for the words behind the longest bar
        for number, row in enumerate(self.rows):
            label(axes, number + 0.18, row.label)
            colour = colour_of(row.colour)
            for ends, at, shade in ((row.burst, 0.46, colour), (row.settled, 0.74, _pale(colour))):
                if ends:
                    axes.barh(number + at, ends[0], height=0.25, color=shade)
                    _whisker(axes, ends, number + at)
            reach = max(ends[2] for ends in (row.burst, row.settled) if ends)
            axes.annotate(row.text, (reach, number + 0.6), (6, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_xlabel(f"rate ({self.unit})", loc="left")
        return drawing


def _lines(axes: Axes, panel: TimePanel, colour: int) -> None:
    for line in sorted(panel.lines, key=lambda each: each.told):
        axes.plot(
            line.seconds,
            line.values,
            color=colour_of(colour) if line.told else _OTHERS,
            linewidth=1.4 if line.told else 0.8,
            marker="o" if len(line.seconds) == 1 else "",
            markersize=4,
            zorder=3 if line.told else 2,
        )


def _throughput(axes: Axes, figure: CourseChart, latest: float) -> None:
    """Levels as lines over the whole width, baseline and settled part as thick strokes, words where they fit."""
    values = [value for line in figure.panels[0].lines for value in line.values]
    values += [level for _, level in figure.levels]
    room = (max(values) - min(values)) * 0.06 or max(values) * 0.1 or 1.0
    axes.set_ylim(max(0.0, min(values) - room), max(values) + 4 * room)
    for number, (name, level) in enumerate(figure.levels):
        axes.axhline(level, color=INK if number == 0 else _LEVEL, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
        axes.annotate(
            name,
            (1.008, level),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=INK if number == 0 else _LEVEL,
        )
    for stretch in (figure.baseline, figure.settled):
        if stretch:
            start, end, rate = stretch
            axes.plot([start, max(end, start)], [rate, rate], color=INK, linewidth=4, alpha=0.75, zorder=4)
    _words(axes, figure, latest)


def _words(axes: Axes, figure: CourseChart, latest: float) -> None:
    longest: dict[str, tuple[float, float]] = {}
    for shade in figure.shades:
        start, end = longest.get(shade.state, (0.0, 0.0))
        if shade.end - shade.start > end - start:
            longest[shade.state] = (shade.start, shade.end)
    above = ("data", "axes fraction")
    taken: list[tuple[float, float]] = []
    for state, (start, end) in longest.items():
        middle = min(max((start + end) / 2, _WORD / 2 * latest), latest * (1 - _WORD / 2))
        if all(abs(middle - other) >= _WORD * latest for other, _ in taken):
            axes.annotate(state, (middle, 0.97), xycoords=above, ha="center", va="top", fontsize=8, color=INK)
            taken.append((middle, 0.97))
    if figure.change_s is not None:
        axes.set_title(f"dotted: change point at {figure.change_s:.4g} s", loc="right", fontsize=8, color=QUIET, pad=4)


def _few_ticks(axes: Axes, panel: TimePanel) -> None:
    values = [value for line in panel.lines for value in line.values]
    low, high = min(values), max(values)
    if panel.from_zero:
        axes.set_ylim(min(0.0, low), max(panel.span, high * 1.15))
    else:
        room = max((high - low) * 0.15, (panel.span - (high - low)) / 2)
        axes.set_ylim(low - room, high + room or 1.0)
    axes.locator_params(axis="y", nbins=3)


def _pale(colour: str) -> str:
    """Half way to white: what is left of a burst."""
    return "#" + "".join(f"{(int(colour[at : at + 2], 16) + 255) // 2:02x}" for at in (1, 3, 5))


def _whisker(axes: Axes, ends: Ends, at: float) -> None:
    if ends[1] < ends[2]:
        axes.plot(ends[1:], [at, at], color=INK, linewidth=1.2, solid_capstyle="butt")
        for end in ends[1:]:
            axes.plot([end, end], [at - 0.07, at + 0.07], color=INK, linewidth=1.2)
