"""The figures on constrained devices: latency against a limit on memory, and bars of what a constraint costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import INK, QUIET, WIDTH, Axis, Point, Sheet
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: Corners of a mark around its middle, and its colour, by outcome: each differs in both, and its word stands beside it.
_MARKS: dict[str, tuple[tuple[Point, ...], str]] = {
    "fine": (((-3, -1.5), (-1.5, -3), (1.5, -3), (3, -1.5), (3, 1.5), (1.5, 3), (-1.5, 3), (-3, 1.5)), "#1b8a4e"),
    "slower": (((-3.5, 3), (0, -3.5), (3.5, 3)), "#b87400"),
    "thrashing": (((-4, 0), (0, -4), (4, 0), (0, 4)), "#d55e00"),
    "error": (((-3.5, -2), (-2, -3.5), (0, -1), (2, -3.5), (3.5, -2), (1, 0), (3.5, 2), (2, 3.5), (0, 1), (-2, 3.5),
               (-3.5, 2), (-1, 0)), "#a14a7c"),
    "killed": (((-3, -3), (3, -3), (3, 3), (-3, 3)), "#c8382e"),
    "timeout": (((-3.5, -3), (3.5, -3), (0, 3.5)), "#0072b2"),
    "not applied": (((-1, -3.5), (1, -3.5), (1, 3.5), (-1, 3.5)), "#8a8f98"),
}  # fmt: skip
_OTHER: tuple[tuple[Point, ...], str] = (((-3.5, -1), (3.5, -1), (3.5, 1), (-3.5, 1)), "#7a828c")
_BRACKET = "#6c8ebf"
#: The panel of times, a lane of an outcome, a row's label, the space below a row.
_PANEL, _LANE, _LABEL, _GAP = 92.0, 16.0, 20.0, 24.0
_LEFT, _RIGHT = 72.0, WIDTH - 6
#: Times further apart than this need a logarithmic axis.
_LOGARITHMIC_FROM = 6.0
#: A bar of a constraint.
_BAR = 14.0
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

    def numbers(self) -> Iterator[str]:
        """The brackets of each row's floor."""
        for panel in self.panels:
            brackets = ", ".join(f"{low:.3g} to {high:.3g}" for low, high in panel.brackets)
            yield f"{panel.label}: {self.floor} in {brackets}" if brackets else f"{panel.label}: no {self.floor} found"

    def legend(self) -> Legend:
        """The bracket of the floor; outcomes have their word beside their lane."""
        return [(_BRACKET, f"the {self.floor} lies in here")] if any(panel.brackets for panel in self.panels) else []

    def draw(self) -> Drawing:
        """Rows from top to bottom: times above, beneath them one lane for each outcome with a mark at each limit."""
        row = _LABEL + _PANEL + _LANE * len(self.outcomes) + _GAP
        sheet, top = Sheet.under(self.legend(), row * len(self.panels) + 20)
        limits = [step.limit for panel in self.panels for step in panel.steps]
        times = [time for panel in self.panels for time in _times(panel)]
        along = Axis(min(limits) / 1.15, max(limits) * 1.15, _LEFT, _RIGHT, logarithmic=True)
        for panel in self.panels:
            sheet.write(0, top + _LABEL / 2, f"{panel.label}: {self.y_title}")
            upper, lower = top + _LABEL, top + _LABEL + _PANEL
            bottom = lower + _LANE * len(self.outcomes)
            opacity = 0.4 / max(1, len(panel.brackets)) ** 0.5
            for failing, floor in panel.brackets:
                sheet.box(along.at(failing), upper, along.at(floor), bottom, _BRACKET, opacity=opacity)
            along.across(sheet, upper, bottom)
            _times_panel(sheet, along, panel, _up(times, lower - 4, upper + 4))
            for number, outcome in enumerate(self.outcomes):
                sheet.write(_LEFT - 6, lower + _LANE * (number + 0.5), outcome, align="right", colour=QUIET)
                for step in panel.steps:
                    if step.outcome == outcome:
                        _mark(sheet, along.at(step.limit), lower + _LANE * (number + 0.5), outcome)
            top += row
        sheet.write(0, top + 6, f"{self.x_title} ({self.unit}, logarithmic)", colour=QUIET)
        return sheet.drawing()


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

    def numbers(self) -> Iterator[str]:
        """Every bar in words."""
        for group in self.groups:
            yield f"{group.label}: {', '.join(f'{bar.name} {bar.text}' for bar in group.bars)}"

    def draw(self) -> Drawing:
        """Rows from top to bottom; in a row a bar for each constraint, under its name and its outcome in words."""
        bars = sum(len(group.bars) for group in self.groups)
        bottom = (_LABEL + 4) * len(self.groups) + (_LABEL + _BAR) * bars
        sheet = Sheet(bottom + 36)
        highest = max((bar.slower[2] for group in self.groups for bar in group.bars if bar.slower), default=1.0)
        wide = highest > _WIDEST
        axis = Axis(0.5 if wide else 0, max(highest, 1.0) * 1.02, 8, WIDTH - 8, logarithmic=wide)
        axis.across(sheet, 0, bottom)
        top = 0.0
        for group in self.groups:
            sheet.write(0, top + _LABEL / 2, group.label)
            top += _LABEL
            for bar in group.bars:
                _bar(sheet, axis, bar, top)
                top += _LABEL + _BAR
            top += 4
        sheet.write(0, bottom + 26, f"time / unconstrained time{', logarithmic' if wide else ''}", colour=QUIET)
        return sheet.drawing()


def _times(panel: LadderPanel) -> list[float]:
    found = [step.time for step in panel.steps if step.time is not None]
    return [time for time in (*found, panel.unconstrained, panel.latest) if time]


def _up(times: Sequence[float], bottom: float, top: float) -> Axis:
    """One axis for the times of all panels."""
    if times and max(times) > _LOGARITHMIC_FROM * min(times):
        return Axis(min(times) / 1.4, max(times) * 1.3, bottom, top, logarithmic=True)
    return Axis(0, max(times, default=1.0) * 1.15, bottom, top)


def _times_panel(sheet: Sheet, along: Axis, panel: LadderPanel, up: Axis) -> None:
    up.upwards(sheet, _LEFT, _RIGHT)
    for level, name in ((panel.unconstrained, "unconstrained"), (panel.latest, "no answer beyond")):
        if level:
            sheet.line(((_LEFT, up.at(level)), (_RIGHT, up.at(level))), QUIET, 0.9, dashed=True)
            sheet.write(_LEFT + 4, up.at(level) - 7, name, colour=QUIET)
    for step in panel.steps:
        if step.time is not None:
            _mark(sheet, along.at(step.limit), up.at(step.time), step.outcome)
    if not any(step.time is not None for step in panel.steps):
        sheet.write((_LEFT + _RIGHT) / 2, (up.start + up.end) / 2, "no step answered", align="center", colour=QUIET)


def _mark(sheet: Sheet, x: float, y: float, outcome: str) -> None:
    corners, colour = _MARKS.get(outcome, _OTHER)
    sheet.area([(x + right, y + down) for right, down in corners], colour)


def _bar(sheet: Sheet, axis: Axis, bar: SlowdownBar, top: float) -> None:
    sheet.write(8, top + _LABEL / 2, f"{bar.name}: {bar.text}", colour=QUIET)
    _, colour = _MARKS.get(bar.outcome, _OTHER)
    sheet.line(((axis.at(1), top + _LABEL - 1), (axis.at(1), top + _LABEL + _BAR - 3)), INK, 1)
    if bar.slower:
        sheet.box(axis.start, top + _LABEL, axis.at(bar.slower[0]), top + _LABEL + _BAR - 4, colour)
        if bar.slower[1] < bar.slower[2]:
            sheet.whisker((axis.at(bar.slower[1]), axis.at(bar.slower[2])), top + _LABEL + (_BAR - 4) / 2)
