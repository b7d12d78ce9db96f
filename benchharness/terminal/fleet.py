"""What several devices of one hardware target say together: the target's figure, each device's, and who stands out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from benchharness.judge.fleet import Fleet, FleetFigure
from benchharness.judge.fleet_words import figure_text, headline, note_text, whose_text
from benchharness.judge.told import signed
from benchharness.results.result import EXACT, Estimate
from benchharness.terminal.console import tell
from benchharness.terminal.lines import Group, Line, show_lines
from benchharness.terminal.values import one_line
from benchharness.units import Scale, common_scale, interval_ends, quantity_text

#: Columns of more devices fit no terminal: then the least and the most stand there.
_MOST_COLUMNS = 5
_LONGEST_NAME = 14


def show_fleet(fleet: Fleet, console: Console, *, details: bool = False) -> None:
    """Headline and what must be known first, then a line for each figure; `details`: of every metric."""
    tell(console, one_line(headline(fleet)), "bold red" if fleet.odd else "bold")
    for told in fleet.told:
        tell(console, f"{one_line(told)}.", "yellow")
    shown = [figure for figure in fleet.figures if details or figure.headline]
    if shown:
        console.print()
    show_lines(_heads(fleet), list(_groups(fleet, shown)), console)
    left = len(fleet.figures) - len(shown)
    if left:
        tell(console, f"--details has {left} more figure{'' if left == 1 else 's'}", "dim")
    for unit in fleet.units:
        tell(console, one_line(f"{unit.name}: run {unit.run.id}, device {unit.device}"), "dim")


def _heads(fleet: Fleet) -> list[str]:
    names = [f"{one_line(unit.name, _LONGEST_NAME)} " for unit in fleet.units]
    return [
        "over devices ",
        *(names if len(names) <= _MOST_COLUMNS else ["least ", "most "]),
    ]


def _groups(fleet: Fleet, figures: Sequence[FleetFigure]) -> Iterator[Group]:
    together: dict[str, list[FleetFigure]] = {}
    for figure in figures:
        together.setdefault(whose_text(figure), []).append(figure)
    for heading, some in together.items():
        yield Group(heading=one_line(heading), rows=[_line(fleet, figure) for figure in some])


def _line(fleet: Fleet, figure: FleetFigure) -> Line:
    odd = figure.farthest is not None and figure.farthest.stands_out and figure.headline
    note = note_text(fleet, figure) if figure.whole.value is not None else figure.whole.reason
    cells = [(text, "red" if odd and at else "") for at, text in enumerate(_cells(figure))]
    return Line(name=figure_text(figure), cells=cells, note=one_line(note))


def _cells(figure: FleetFigure) -> list[str]:
    scale = _scale(figure)
    own = [_own(each, figure, scale) for each in figure.of]
    if len(own) > _MOST_COLUMNS:
        have = sorted((each.value, at) for at, each in enumerate(figure.of) if each.value is not None)
        own = [own[have[0][1]], own[have[-1][1]]] if have else ["–", "–"]
    return [_whole(figure, scale), *own]


def _scale(figure: FleetFigure) -> Scale | None:
    values = [each.value for each in (figure.whole, *figure.of) if each.value is not None]
    return None if figure.change else common_scale(figure.unit, values)


def _whole(figure: FleetFigure, scale: Scale | None) -> str:
    """The target's value with its interval by its ends: over few devices it is wide."""
    found = figure.whole
    if found.value is None:
        return "–"
    if found.low is None or found.high is None or found.statistic == EXACT or found.low == found.high:
        return _own(found, figure, scale)
    if figure.change:
        low, value, high = (signed(each - 1, found.high - found.low) for each in (found.low, found.value, found.high))
        return f"{value} [{low}, {high}]"
    unit = figure.unit
    low, high = interval_ends(found.low, found.high, found.value, unit, scale)
    return f"{quantity_text(found.value, unit, scale, (found.high - found.low) / 2)} [{low}, {high}]"


def _own(each: Estimate, figure: FleetFigure, scale: Scale | None) -> str:
    if each.value is None:
        return "–"
    half = 0.0 if each.low is None or each.high is None else (each.high - each.low) / 2
    if figure.change:
        return signed(each.value - 1, 2 * half)
    return quantity_text(each.value, figure.unit, scale, half)
