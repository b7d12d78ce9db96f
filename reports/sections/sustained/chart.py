"""The figures on sustained attempts: throughput over time with what explains it beneath, burst beside steady state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import BAD, INK, QUIET, WIDTH, Axis, Sheet, colour_of
from reports.figures.figure import Ends, Figure, Legend, range_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

#: Drawn so pale that lines stand out from them. Each state is also written where it lasts longest.
_SHADES = {
    "throttled (quota)": "#4a90d9",
    "throttled (cores)": "#17a2a2",
    "throttled (heat)": "#e2562f",
    "slow-core": "#e0a800",
    "disturbed (contention)": "#9467bd",
    "disturbed (steal)": "#7a8a3a",
}
_EVENT = "#b3007d"
_OTHER_SHADE, _OTHERS, _PALE = "#8a8f98", "#9aa4af", 0.25
#: The panel of throughput, those beneath it, a panel's title.
_MAIN, _BENEATH, _TITLE = 120.0, 44.0, 24.0
_LEFT, _RIGHT = 44.0, WIDTH - 46
#: Share of the time axis that a word needs.
_WORD = 0.42
#: A pair of bars: its label, a bar, the space below, room for the words behind the longest bar.
_LABEL, _BAR, _GAP, _ROOM = 17.0, 10.0, 6.0, 8.0


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

    Baseline, settled part, levels, shades, events and change point are those of the attempt that is told.
    """

    colour: int
    attempts: int
    panels: tuple[TimePanel, ...]
    levels: tuple[tuple[str, float], ...]
    baseline: tuple[float, float, float] | None  # from second, to second, rate
    settled: tuple[float, float, float] | None
    shades: tuple[Shade, ...]
    events: tuple[float, ...]  # seconds at which the process was moved or given other limits
    change_s: float | None

    def numbers(self) -> Iterator[str]:
        """From where to where the attempt that is told goes, in each panel, and when it was given other limits."""
        for panel in self.panels:
            values = tuple(value for line in panel.lines if line.told for value in line.values)
            if values:
                yield f"{panel.title}: {range_text(values)}"
        if self.events:
            yield f"other groups or limits at: {', '.join(f'{second:.4g} s' for second in self.events)}"

    def legend(self) -> Legend:
        """(colour, label) for the lines and shades that this figure draws."""
        several = self.attempts > 1
        told = [(colour_of(self.colour), "the worst attempt" if several else "the attempt")]
        if several:
            others = self.attempts - 1
            told.append((_OTHERS, f"the other {others}" if others > 1 else "the other one"))
        if self.events:
            told.append((_EVENT, "upright lines: other groups, quota, cores or memory limit"))
        states = dict.fromkeys(shade.state for shade in self.shades)
        return told + [(_SHADES.get(state, _OTHER_SHADE), f"windows {state}") for state in states]

    def draw(self) -> Drawing:
        """Throughput above, the other quantities beneath, the shades through all of them."""
        height = (_TITLE + 6) * len(self.panels) + _MAIN + _BENEATH * (len(self.panels) - 1)
        sheet, top = Sheet.under(self.legend(), height + 34)
        latest = max(second for panel in self.panels for line in panel.lines for second in line.seconds)
        latest = max(latest, *(shade.end for shade in self.shades), 1e-9) if self.shades else max(latest, 1e-9)
        along = Axis(0, latest * 1.01, _LEFT, _RIGHT)
        for number, panel in enumerate(self.panels):
            bottom = top + _TITLE + (_BENEATH if number else _MAIN)
            sheet.write(0, top + _TITLE / 2, panel.title)
            for shade in self.shades:
                colour = _SHADES.get(shade.state, _OTHER_SHADE)
                sheet.box(along.at(shade.start), top + _TITLE, along.at(shade.end), bottom, colour, opacity=_PALE)
            up = Axis(*(_room(panel) if number else _main_room(self)), bottom, top + _TITLE)
            up.upwards(sheet, _LEFT, _RIGHT, 3 if number else 5)
            for second in self.events:
                sheet.line(((along.at(second), top + _TITLE), (along.at(second), bottom)), _EVENT, 1.2)
            if self.change_s is not None:
                place = along.at(self.change_s)
                sheet.line(((place, top + _TITLE), (place, bottom)), INK, 1, dashed=True)
            _lines(sheet, along, up, panel, self.colour)
            if number == 0:
                _throughput(sheet, along, up, self)
            top = bottom + 6
        along.across(sheet, top - 6, top - 6)
        told = "" if self.change_s is None else f"; change at {self.change_s:.4g}"
        sheet.write(0, top + 20, f"seconds from the first request{told}", colour=QUIET)
        return sheet.drawing()


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

    def numbers(self) -> Iterator[str]:
        """Both rates of each row, and what it kept."""
        return (f"{row.label}: {row.text}" for row in self.rows)

    def legend(self) -> Legend:
        """The two bars of a row, in the colour of the first row."""
        return [(colour_of(self.rows[0].colour), "upper bar: burst; lower, paler: steady state")]

    def draw(self) -> Drawing:
        """Rows from top to bottom, each under its label, burst over steady state; whiskers are 95 % intervals."""
        row = 2 * _LABEL + 2 * _BAR + _GAP
        sheet, top = Sheet.under(self.legend(), row * len(self.rows) + 36)
        bottom = top + row * len(self.rows)
        highest = max(ends[2] for each in self.rows for ends in (each.burst, each.settled) if ends)
        axis = Axis(0, highest if highest > 0 else 1, 0, WIDTH - _ROOM)
        axis.across(sheet, top, bottom)
        for each in self.rows:
            sheet.write(0, top + _LABEL / 2, each.label)
            sheet.write(8, top + _LABEL * 1.4, each.text, colour=QUIET)
            colour = colour_of(each.colour)
            for at, (ends, opacity) in enumerate(((each.burst, 1.0), (each.settled, 0.5))):
                if ends:
                    upper = top + 2 * _LABEL + _BAR * at
                    sheet.box(0, upper, axis.at(ends[0]), upper + _BAR - 1, colour, opacity=opacity)
                    if ends[1] < ends[2]:
                        sheet.whisker((axis.at(ends[1]), axis.at(ends[2])), upper + _BAR / 2)
            top += row
        sheet.write(0, bottom + 26, f"rate ({self.unit})", colour=QUIET)
        return sheet.drawing()


def _lines(sheet: Sheet, along: Axis, up: Axis, panel: TimePanel, colour: int) -> None:
    for line in sorted(panel.lines, key=lambda each: each.told):
        points = [(along.at(x), up.at(y)) for x, y in zip(line.seconds, line.values, strict=True)]
        tone = colour_of(colour) if line.told else _OTHERS
        sheet.line(points, tone, 1.5 if line.told else 0.9)
        if len(points) == 1:
            sheet.dots(points, tone, 4)


def _throughput(sheet: Sheet, along: Axis, up: Axis, figure: CourseChart) -> None:
    """Levels as lines over the whole width, baseline and settled part as thick strokes, words where they fit."""
    for number, (name, level) in enumerate(figure.levels):
        colour = BAD if number else INK
        sheet.line(((_LEFT, up.at(level)), (_RIGHT, up.at(level))), colour, 0.9, dashed=True)
        sheet.write(_RIGHT + 3, up.at(level), name, colour=colour)
    for stretch in (figure.baseline, figure.settled):
        if stretch:
            start, end, rate = stretch
            sheet.line(((along.at(start), up.at(rate)), (along.at(max(end, start)), up.at(rate))), INK, 4, opacity=0.7)
    longest: dict[str, Shade] = {}
    for shade in sorted(figure.shades, key=lambda each: each.end - each.start):
        longest[shade.state] = shade
    width = along.end - along.start
    taken: list[float] = []
    for state, shade in longest.items():
        middle = (along.at(shade.start) + along.at(shade.end)) / 2
        middle = min(max(middle, along.start + width * _WORD / 2), along.end - width * _WORD / 2)
        if all(abs(middle - other) >= width * _WORD for other in taken):
            sheet.write(middle, up.end + 8, state, align="center")
            taken.append(middle)


def _main_room(figure: CourseChart) -> tuple[float, float]:
    """From the lowest to the highest of rates and levels, with room for words above."""
    values = [value for line in figure.panels[0].lines for value in line.values]
    values += [level for _, level in figure.levels]
    room = (max(values) - min(values)) * 0.06 or max(values) * 0.1 or 1.0
    return max(0.0, min(values) - room), max(values) + 4 * room


def _room(panel: TimePanel) -> tuple[float, float]:
    values = [value for line in panel.lines for value in line.values]
    low, high = min(values), max(values)
    if panel.from_zero:
        return min(0.0, low), max(panel.span, high * 1.15)
    room = max((high - low) * 0.15, (panel.span - (high - low)) / 2)
    return low - room, high + room or 1.0
