"""The figures on memory: bars by phase, and lines over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import INK, QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Figure, Legend, figure_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: Apart in lightness, so that they differ in grey too, and seen on white and on black.
_ANONYMOUS, _FILE, _RESIDENT = "#3b6ea5", "#9db9d4", "#8a8f98"
_BASELINE = "#c4652f"
#: A row's label, a bar, the space below a row, the width of a phase's name, room for the number behind the longest bar.
_LABEL, _BAR, _GAP, _NAMES, _WORDS = 18.0, 16.0, 5.0, 88.0, 62.0
_LONGEST_PHASE = 13
#: A panel of lines, and what stands left of it.
_PANEL, _LEFT = 120.0, 46.0


@dataclass(frozen=True, kw_only=True)
class MemoryBar:
    """What was held when a phase ended, in the figure's unit. `resident` only where its two parts are unknown."""

    phase: str
    anonymous: float
    file: float
    resident: float
    peak: float | None  # highest within the phase; None where the system keeps none for each phase

    @property
    def held(self) -> float:
        """All of it, when the phase ended."""
        return self.anonymous + self.file + self.resident

    @property
    def most(self) -> float:
        """The highest that is known."""
        return max(self.held, self.peak or 0.0)


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

    def numbers(self) -> Iterator[str]:
        """The highest bar of each row."""
        for group in self.groups:
            highest = max(group.bars, key=lambda bar: bar.most)
            yield f"{group.label}: {figure_text(highest.most)} in {highest.phase}"

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
        height = sum(_LABEL + _BAR * len(group.bars) + _GAP for group in self.groups)
        sheet, top = Sheet.under(self.legend(), height + 36)
        bottom = top + height
        longest = max(bar.most for group in self.groups for bar in group.bars)
        axis = Axis(0, longest if longest > 0 else 1, _NAMES, WIDTH - _WORDS)
        axis.across(sheet, top, bottom)
        for group in self.groups:
            sheet.write(0, top + _LABEL / 2, group.label)
            _group(sheet, axis, group, top + _LABEL, self.unit)
            top += _LABEL + _BAR * len(group.bars) + _GAP
        sheet.write(_NAMES, bottom + 26, f"resident memory ({self.unit})", colour=QUIET)
        return sheet.drawing()


@dataclass(frozen=True, kw_only=True)
class MemoryLine:
    """An attempt of a row: resident memory over seconds since the process was started."""

    label: str
    colour: int
    attempts: int  # of which this one held most
    seconds: tuple[float, ...]
    resident: tuple[float, ...]
    panel: str = ""  # the configuration: what has one colour is told apart by where it stands


@dataclass(frozen=True, kw_only=True)
class MemoryLines(Figure):
    """Memory over time, a line a row, one panel a configuration, all on the same axes."""

    lines: tuple[MemoryLine, ...]

    def numbers(self) -> Iterator[str]:
        """How high each line comes."""
        return (f"{line.label}: up to {figure_text(max(line.resident))} in {_of(line.attempts)}" for line in self.lines)

    def legend(self) -> Legend:
        """A colour, and the rows that have it."""
        names: dict[str, list[str]] = {}
        for line in self.lines:
            names.setdefault(colour_of(line.colour), []).append(line.label)
        return [(colour, ", ".join(labels)) for colour, labels in names.items()]

    def draw(self) -> Drawing:
        """Panels from top to bottom on the same axes, so that they compare by eye."""
        panels = list(dict.fromkeys(line.panel for line in self.lines))
        label = _LABEL if len(panels) > 1 else 0.0
        whole = label + _PANEL + 18
        sheet, top = Sheet.under(self.legend(), whole * len(panels) + 22)
        highest = max(max(line.resident) for line in self.lines)
        latest = max(max(line.seconds) for line in self.lines)
        along = Axis(0, latest * 1.02 if latest > 0 else 1, _LEFT, WIDTH - 6)
        for panel in panels:
            if label:
                sheet.write(0, top + label / 2, panel)
            bottom = top + label + _PANEL
            up = Axis(0, highest * 1.08 if highest > 0 else 1, bottom, top + label + 4)
            up.upwards(sheet, _LEFT, WIDTH - 6)
            along.across(sheet, bottom, bottom)
            for line in (each for each in self.lines if each.panel == panel):
                _line(sheet, along, up, line)
            top += whole
        sheet.write(0, top + 10, f"{self.unit} over seconds since the process began", colour=QUIET)
        return sheet.drawing()


def _line(sheet: Sheet, along: Axis, up: Axis, line: MemoryLine) -> None:
    points = [(along.at(x), up.at(y)) for x, y in zip(line.seconds, line.resident, strict=True)]
    sheet.line(points, colour_of(line.colour), 1.2)
    if len(points) == 1:
        sheet.dots(points, colour_of(line.colour), 4)


def _of(attempts: int) -> str:
    return f"the highest of {attempts} attempts" if attempts > 1 else "its one attempt"


def _group(sheet: Sheet, axis: Axis, group: MemoryGroup, top: float, unit: str) -> None:
    for number, bar in enumerate(group.bars):
        middle = top + _BAR * (number + 0.5)
        sheet.write(6, middle, bar.phase[:_LONGEST_PHASE], colour=QUIET)
        start = 0.0
        for length, colour in ((bar.anonymous, _ANONYMOUS), (bar.file, _FILE), (bar.resident, _RESIDENT)):
            if length > 0:
                sheet.box(axis.at(start), middle - 5.5, axis.at(start + length), middle + 5.5, colour)
                start += length
        if bar.peak is not None:
            sheet.line(((axis.at(bar.peak), middle - 7), (axis.at(bar.peak), middle + 7)), INK, 2)
        sheet.write(axis.at(bar.most) + 6, middle, f"{figure_text(bar.most)} {unit}")
    if group.baseline is not None:
        place = axis.at(group.baseline)
        sheet.line(((place, top), (place, top + _BAR * len(group.bars))), _BASELINE, 1.2, dashed=True)
