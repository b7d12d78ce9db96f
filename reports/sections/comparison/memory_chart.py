"""The figures on memory: bars by phase, and lines over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GRID, INK, axes_of, canvas, colour_of, short
from reports.figures.figure import Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

#: Far apart in lightness, so that they differ in grey too.
_ANONYMOUS, _FILE, _RESIDENT = "#33658a", "#b9d2e3", "#8a8f98"
_BASELINE, _GROUND = "#b3541e", "#fbfcfd"
#: Inches: a bar, a row's label, the space below a row.
_BAR, _HEADING, _GAP = 0.22, 0.26, 0.1
#: Share of the width that the names of the phases take.
_NAMES = 0.135
_LONGEST_PHASE = 16


@dataclass(frozen=True, kw_only=True)
class MemoryBar:
    """What was held when a phase ended, in the figure's unit. `resident` only where its two parts are unknown."""

    phase: str
    anonymous: float
    file: float
    resident: float
    peak: float | None  # highest within the phase; None where the system keeps none for each phase


@dataclass(frozen=True, kw_only=True)
class MemoryGroup:
    """The phases of one row. `baseline` is what was held when the runtime was imported and no model loaded."""

    label: str
    baseline: float | None
    bars: tuple[MemoryBar, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryBars(Figure):
    """Memory by phase, one group of bars a row."""

    groups: tuple[MemoryGroup, ...]

    def legend(self) -> Legend:
        """(colour, label) for the parts that this figure draws."""
        bars = [bar for group in self.groups for bar in group.bars]
        told = []
        if any(bar.anonymous or bar.file for bar in bars):
            told += [(_ANONYMOUS, "anonymous"), (_FILE, "file-backed (mapped weights, libraries)")]
        if any(bar.resident for bar in bars):
            told.append((_RESIDENT, "resident, its parts unknown"))
        if any(bar.peak is not None for bar in bars):
            told.append((INK, "tick: highest within the phase"))
        if any(group.baseline is not None for group in self.groups):
            told.append((_BASELINE, "dashed: before a model was loaded"))
        return told

    def draw(self) -> Drawing:
        """Rows from top to bottom, each under its label; in a row, a bar a phase."""
        height = sum(_HEADING + _BAR * len(group.bars) + _GAP for group in self.groups)
        drawing = canvas(height + 0.5)
        axes = axes_of(drawing, bottom=0.45, height=height, left=_NAMES)
        axes.set_ylim(height, 0)
        axes.set_yticks([])
        longest = max(
            max(bar.anonymous + bar.file + bar.resident, bar.peak or 0.0) for each in self.groups for bar in each.bars
        )
        axes.set_xlim(0, longest * 1.2 if longest > 0 else 1)  # room for the number behind the longest bar
        top = 0.0
        for group in self.groups:
            axes.annotate(
                short(group.label), (0.02, top + 0.13), xycoords=("figure fraction", "data"), va="center", color=INK
            )
            _group(axes, group, top + _HEADING, self.unit)
            top += _HEADING + _BAR * len(group.bars) + _GAP
        axes.set_xlabel(f"resident memory ({self.unit})", loc="left")
        return drawing


@dataclass(frozen=True, kw_only=True)
class MemoryLine:
    """One attempt: resident memory over seconds since the process was started."""

    seconds: tuple[float, ...]
    resident: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryPanel:
    """The attempts of one row."""

    label: str
    colour: int
    lines: tuple[MemoryLine, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryLines(Figure):
    """Memory over time, one panel a row, all on the same axes."""

    panels: tuple[MemoryPanel, ...]

    def draw(self) -> Drawing:
        """Panels from top to bottom on the same axes, so that they compare by eye; in a panel, a line an attempt."""
        panel, gap = 0.95, 0.42
        height = (panel + gap) * len(self.panels) + 0.3
        drawing = canvas(height)
        everything = [line for each in self.panels for line in each.lines]
        highest = max(max(line.resident) for line in everything)
        latest = max(max(line.seconds) for line in everything)
        for number, each in enumerate(self.panels):
            axes = axes_of(drawing, bottom=height - (panel + gap) * number - panel - 0.25, height=panel, left=0.075)
            axes.grid(axis="y", color=GRID, linewidth=0.8)
            axes.set_xlim(0, latest * 1.02 if latest > 0 else 1)
            axes.set_ylim(0, highest * 1.08 if highest > 0 else 1)
            axes.locator_params(axis="y", nbins=4)
            for line in each.lines:
                marker = "o" if len(line.seconds) == 1 else ""
                axes.plot(line.seconds, line.resident, color=colour_of(each.colour), linewidth=0.8, marker=marker)
            axes.set_title(f"{short(each.label)} ({self.unit})", loc="left", fontsize=9, color=INK)
            if number == len(self.panels) - 1:
                axes.set_xlabel("seconds since the process was started", loc="left")
        return drawing


def _group(axes: Axes, group: MemoryGroup, top: float, unit: str) -> None:
    for number, bar in enumerate(group.bars):
        middle = top + _BAR * (number + 0.5)
        axes.annotate(
            bar.phase[:_LONGEST_PHASE], (0.025, middle), xycoords=("figure fraction", "data"), va="center", fontsize=8
        )
        start = 0.0
        for length, colour in ((bar.anonymous, _ANONYMOUS), (bar.file, _FILE), (bar.resident, _RESIDENT)):
            if length:
                axes.barh(middle, length, height=_BAR * 0.72, left=start, color=colour)
                start += length
        if bar.peak is not None:
            half = _BAR * 0.46
            axes.plot([bar.peak] * 2, [middle - half, middle + half], color=INK, linewidth=2)
        told = max(start, bar.peak or 0.0)
        axes.annotate(
            f"{told:.3g} {unit}",
            (told, middle),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox={"facecolor": _GROUND, "edgecolor": "none", "pad": 0.6},  # where the dashed line would cross it
        )
    if group.baseline is not None:
        ends = [top, top + _BAR * len(group.bars)]
        axes.plot([group.baseline] * 2, ends, color=_BASELINE, linewidth=1.1, linestyle=(0, (4, 2)))
