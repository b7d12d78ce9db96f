"""Fleets in words, the same in the terminal and on pages. Whoever prints them makes names safe. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from benchharness.judge.fleet import Fleet, FleetFigure
from benchharness.judge.over_devices import FEWEST_TOLD_APART, Farthest
from benchharness.judge.told import signed

#: Of the figures in which a device stands out so many are named at once.
_MOST_NAMED = 3


def headline(fleet: Fleet) -> str:
    """By how many devices, and which of them stand out."""
    count = len(fleet.units)
    if not count:
        return f"{fleet.hardware}: no device gave a result"
    if count == 1:
        return f"{fleet.hardware} by one device: {fleet.units[0].name} alone"
    by = f"{fleet.hardware} by {count} devices"
    if count < FEWEST_TOLD_APART:
        return f"{by}: which of the two is the odd one nobody can tell"
    odd = "; ".join(f"{name} stands out in {_figures(fleet, some)}" for name, some in fleet.odd.items())
    return f"{by}: {odd or 'no device stands out'}"


def _figures(fleet: Fleet, odd: Sequence[FleetFigure]) -> str:
    tested = sum(figure.headline and figure.farthest is not None for figure in fleet.figures)
    several = len({figure.job.variant for figure in fleet.figures}) > 1
    named = [
        " ".join((figure_text(each), *([each.job.variant] if several else []), far_text(each.farthest)))
        for each in odd[:_MOST_NAMED]
    ]
    more = ", …" if len(odd) > _MOST_NAMED else ""
    return f"{len(odd)} of {tested} figures ({', '.join(named)}{more})"


def figure_text(figure: FleetFigure) -> str:
    """Which figure it is: the metric's title and its parameters."""
    told = [
        f"p{value}" if name == "percentile" else f"{name.replace('_', ' ')} {value}"
        for name, value in figure.parameters.items()
    ]
    return " ".join([figure.title, *told])


def whose_text(figure: FleetFigure) -> str:
    """Whose figure it is, within one hardware target."""
    job = figure.job
    parts = (job.model, job.variant, job.configuration.name, job.workload.name, job.scenario)
    return " · ".join([*(part for part in parts if part), *(["candidate / base"] if figure.change else [])])


def far_text(far: Farthest | None) -> str:
    """How far a device is from the mean of the others: `+18 %`."""
    return "" if far is None else signed(far.factor - 1, abs(far.factor - 1) / 2)


def note_text(fleet: Fleet, figure: FleetFigure) -> str:
    """Of how many devices it is, where not of all; which is farthest, and whether chance explains it."""
    return "; ".join(each for each in (_of_how_many(fleet, figure), _farthest_text(fleet, figure)) if each)


def _of_how_many(fleet: Fleet, figure: FleetFigure) -> str:
    """A mean of those that did not fail is no mean of all."""
    lack = len(fleet.units) - figure.devices
    return f"{figure.devices} of {len(fleet.units)} devices have it" if lack and figure.devices else ""


def _farthest_text(fleet: Fleet, figure: FleetFigure) -> str:
    far = figure.farthest
    if far is None:
        return ""
    name = fleet.units[far.at].name
    if far.needed is None:
        return f"{name} is {far_text(far)} to the other"
    if far.stands_out:
        return f"{name} stands out: {far_text(far)} to the others"
    return f"farthest: {name}, {far_text(far)} to the others"
