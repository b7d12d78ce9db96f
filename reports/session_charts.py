"""The figures on sessions: throughput over time with what explains it beneath, burst beside steady state, pauses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.canvas import GRID, INK, QUIET, axes_of, canvas, colour_of, label, short
from reports.session_figures import Ends, PauseCurves, RateBars, SessionChart, TimePanel

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


def session_legend(figure: SessionChart) -> list[tuple[str, str]]:
    """(colour, label) for the lines and shades that this figure draws."""
    several = figure.attempts > 1
    told = [(colour_of(figure.colour), "the worst attempt" if several else "the attempt")]
    if several:
        others = figure.attempts - 1
        told.append((_OTHERS, f"the other {others}" if others > 1 else "the other one"))
    states = dict.fromkeys(shade.state for shade in figure.shades)
    return told + [(_SHADES.get(state, _OTHER_SHADE), f"windows {state}") for state in states]


def session(figure: SessionChart) -> Drawing:
    """Throughput above, the other quantities beneath, the shades through all of them."""
    beneath = len(figure.panels) - 1
    height = 0.3 + _MAIN + beneath * (_GAP + _PANEL) + _FOOT
    drawing = canvas(height)
    latest = max(second for panel in figure.panels for line in panel.lines for second in line.seconds)
    latest = max(latest, *(shade.end for shade in figure.shades), 1e-9) if figure.shades else max(latest, 1e-9)
    top = 0.3
    for number, panel in enumerate(figure.panels):
        tall = _MAIN if number == 0 else _PANEL
        axes = drawing.add_axes((_LEFT, 1 - (top + tall) / height, _RIGHT - _LEFT, tall / height))
        _plain(axes)
        axes.set_xlim(0, latest * 1.01)
        for shade in figure.shades:
            axes.axvspan(shade.start, shade.end, color=_SHADES.get(shade.state, _OTHER_SHADE), linewidth=0, zorder=0)
        _lines(axes, panel, figure.colour)
        if figure.change_s is not None:
            axes.axvline(figure.change_s, color=INK, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
        axes.set_title(short(panel.title), loc="left", fontsize=9, color=INK, pad=4)
        if number == 0:
            _throughput(axes, figure, latest)
        else:
            _few_ticks(axes, panel)
        last = number == beneath
        axes.tick_params(labelbottom=last)
        if last:
            axes.set_xlabel("seconds since the first measured request", loc="left")
        top += tall + _GAP
    return drawing


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


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


def _throughput(axes: Axes, figure: SessionChart, latest: float) -> None:
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


def _words(axes: Axes, figure: SessionChart, latest: float) -> None:
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


def rates_legend(figure: RateBars) -> list[tuple[str, str]]:
    """The two bars of a row, in the colour of the first row."""
    colour = colour_of(figure.rows[0].colour)
    return [(colour, "upper bar: burst"), (_pale(colour), "lower bar, pale: steady state")]


def rates(figure: RateBars) -> Drawing:
    """Rows from top to bottom, each under its label, burst over steady state; whiskers are 95 % intervals."""
    step = 0.62
    height = step * len(figure.rows)
    drawing = canvas(height + 0.55)
    axes = axes_of(drawing, bottom=0.5, height=height)
    axes.set_yticks([])
    axes.set_ylim(len(figure.rows), 0)
    highest = max(ends[2] for row in figure.rows for ends in (row.burst, row.settled) if ends)
    axes.set_xlim(0, highest * 1.4 if highest > 0 else 1)  # room for the words behind the longest bar
    for number, row in enumerate(figure.rows):
        label(axes, number + 0.18, row.label)
        colour = colour_of(row.colour)
        for ends, at, shade in ((row.burst, 0.46, colour), (row.settled, 0.74, _pale(colour))):
            if ends:
                axes.barh(number + at, ends[0], height=0.25, color=shade)
                _whisker(axes, ends, number + at)
        reach = max(ends[2] for ends in (row.burst, row.settled) if ends)
        axes.annotate(row.text, (reach, number + 0.6), (6, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlabel(f"rate ({figure.unit})", loc="left")
    return drawing


def _pale(colour: str) -> str:
    """Half way to white: what is left of a burst."""
    return "#" + "".join(f"{(int(colour[at : at + 2], 16) + 255) // 2:02x}" for at in (1, 3, 5))


def _whisker(axes: Axes, ends: Ends, at: float) -> None:
    if ends[1] < ends[2]:
        axes.plot(ends[1:], [at, at], color=INK, linewidth=1.2, solid_capstyle="butt")
        for end in ends[1:]:
            axes.plot([end, end], [at - 0.07, at + 0.07], color=INK, linewidth=1.2)


def pauses_legend(figure: PauseCurves) -> list[tuple[str, str]]:
    """A colour, and the variants that have it: one a panel."""
    names: dict[str, dict[str, None]] = {}
    for panel in figure.panels:
        for curve in panel.curves:
            names.setdefault(colour_of(curve.colour), {})[curve.label] = None
    return [(colour, ", ".join(labels)) for colour, labels in names.items()]


def pauses(figure: PauseCurves) -> Drawing:
    """Panels from top to bottom; in a panel one curve a variant, the pauses side by side as categories."""
    tall, gap = 1.5, 0.55
    height = (tall + gap) * len(figure.panels) + 0.25
    drawing = canvas(height)
    for number, panel in enumerate(figure.panels):
        bottom = height - (tall + gap) * number - tall - 0.25
        axes = drawing.add_axes((_LEFT, bottom / height, 0.975 - _LEFT, tall / height))
        _plain(axes)
        axes.set_xlim(-0.4, len(figure.pauses) - 0.6)
        axes.set_ylim(0, panel.highest * 1.1 if panel.highest > 0 else 1)
        axes.locator_params(axis="y", nbins=4)
        axes.set_xticks(range(len(figure.pauses)), figure.pauses)
        for at, curve in enumerate(panel.curves):
            _curve(axes, curve.points, colour_of(curve.colour), _beside(at, len(panel.curves)))
        axes.set_title(short(panel.title), loc="left", fontsize=9, color=INK)
        if number == len(figure.panels) - 1:
            axes.set_xlabel("pause before the request", loc="left")
    return drawing


def _beside(number: int, count: int) -> float:
    """Curves stand a little beside each other, so that their whiskers do not cover one another."""
    return (number - (count - 1) / 2) * min(0.04, 0.3 / max(1, count))


def _curve(axes: Axes, points: Sequence[tuple[int, Ends]], colour: str, shift: float) -> None:
    places = [at + shift for at, _ in points]
    values = [ends[0] for _, ends in points]
    lengths = [[ends[0] - ends[1] for _, ends in points], [ends[2] - ends[0] for _, ends in points]]
    axes.errorbar(places, values, yerr=lengths, color=colour, linewidth=1.3, marker="o", markersize=4, capsize=3)
