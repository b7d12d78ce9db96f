"""Several devices of one hardware target on a page: the target's figures, each device's beside them, who stands out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from benchharness.judge.fleet import Fleet, FleetFigure
from benchharness.judge.fleet_words import figure_text, headline, note_text, whose_text
from benchharness.judge.told import signed
from benchharness.metrics import Better
from benchharness.results.result import Estimate
from benchharness.units import Scale, common_scale
from reports.model.estimates import quantity, ratio_of
from reports.model.foot import Foot, foot_of, moment
from reports.model.found import Found
from reports.model.links import Link
from reports.model.tables import Quantity
from reports.model.visible import name_text, value_text
from reports.pages.cells import Shown, empty
from reports.pages.environment import environment


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device at the head of a table, and where its run's jobs stand."""

    name: str
    id: str
    when: str
    href: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A figure: of the target, its ratio to the reference, of each device, and which of them is farthest."""

    metric: str
    better: str
    whole: Shown
    ratio: str
    cells: tuple[Shown, ...]
    said: str
    odd: bool  # a device stands out in it


@dataclass(frozen=True, kw_only=True)
class Job:
    """The figures of one job: those that are looked at first, and the others."""

    title: str
    lines: tuple[Line, ...]
    others: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class FleetPage:
    """Everything on the page."""

    title: str
    told: tuple[str, ...]
    devices: tuple[Device, ...]
    jobs: tuple[Job, ...]
    foot: Foot

    @property
    def linked(self) -> bool:
        """Whether pages of the devices' jobs stand beside this one."""
        return any(device.href for device in self.devices)


def render_fleet(
    fleet: Fleet, found: Sequence[Found], hrefs: Sequence[str], links: Sequence[Link], written: datetime
) -> str:
    """The page as HTML; `found` are the runs of the fleet's devices, `hrefs` lead to the jobs of each."""
    page = fleet_page(fleet, found, hrefs, written)
    return environment().get_template("pages/fleet.html.j2").render(page=page, links=links)


def fleet_page(fleet: Fleet, found: Sequence[Found], hrefs: Sequence[str], written: datetime) -> FleetPage:
    """The page as plain data."""
    places = {each.run.id: href for each, href in zip(found, hrefs, strict=True)}
    return FleetPage(
        title=value_text(headline(fleet)),
        told=tuple(f"{value_text(told)}." for told in fleet.told),
        devices=tuple(
            Device(
                name=name_text(unit.name),
                id=name_text(unit.device),
                when=moment(unit.run.started),
                href=places.get(unit.run.id, ""),
            )
            for unit in fleet.units
        ),
        jobs=tuple(_jobs(fleet)),
        foot=foot_of(found, moment(written)),
    )


def _jobs(fleet: Fleet) -> Iterator[Job]:
    together: dict[str, list[FleetFigure]] = {}
    for figure in fleet.figures:
        together.setdefault(whose_text(figure), []).append(figure)
    for title, figures in together.items():
        yield Job(
            title=value_text(title),
            lines=tuple(_line(fleet, each) for each in figures if each.headline),
            others=tuple(_line(fleet, each) for each in figures if not each.headline),
        )


def _line(fleet: Fleet, figure: FleetFigure) -> Line:
    far = figure.farthest
    values = [each.value for each in (figure.whole, *figure.of) if each.value is not None]
    scale = None if figure.change else common_scale(figure.unit, values)
    odd = far is not None and far.stands_out and figure.headline
    cells = [_shown(each, figure, scale) for each in figure.of]
    if odd and far is not None:
        cells[far.at] = replace(cells[far.at], why="stands out")
    return Line(
        metric=value_text(figure_text(figure)),
        better="" if figure.better is Better.NEITHER else f"{figure.better} is better",
        whole=_shown(figure.whole, figure, scale),
        ratio=_ratio(figure),
        cells=tuple(cells),
        said=value_text(note_text(fleet, figure)),
        odd=odd,
    )


def _ratio(figure: FleetFigure) -> str:
    if figure.change:
        return ""
    if figure.job.is_reference:
        return "reference"
    if figure.ratio is None:
        return ""
    told = ratio_of(figure.metric, figure.ratio, "")
    return f"{told.text} {f'[{told.interval}]' if told.interval else ''}".strip()


def _shown(each: Estimate, figure: FleetFigure, scale: Scale | None) -> Shown:
    if each.value is None:
        return empty(each.reason)
    if not figure.change:
        return Shown(state="plain", quantity=quantity(each, figure.unit, scale))
    if each.low is None or each.high is None:
        return Shown(state="plain", quantity=Quantity(text=signed(each.value - 1), reason=value_text(each.reason)))
    width = each.high - each.low
    low, value, high = (signed(end - 1, width) for end in (each.low, each.value, each.high))
    return Shown(state="plain", quantity=Quantity(text=value, interval=f"{low} to {high}"))
