"""Where operators ran, what asking for an accelerator cost, and runtimes at equal precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.model.entries import Entry, by_row, compared, subject_of
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.sections.operators.placement import Placements, placements_of
from reports.sections.operators.runtimes import RuntimeContrasts, contrasts_of


@dataclass(frozen=True, kw_only=True)
class Operators(Section):
    """What the runtimes of a comparison did with its operators, and how they compare."""

    placements: Placements
    runtimes: RuntimeContrasts | None


def make(material: Material) -> tuple[Operators, ...]:
    """A section for each model and workload."""
    return tuple(
        _operators(f"operators-{number}", group) for number, group in enumerate(compared(material.costs), start=1)
    )


def _operators(anchor: str, entries: Sequence[Entry]) -> Operators:
    rows = by_row(entries)
    placements, runtimes = placements_of(rows), contrasts_of(rows)
    return Operators(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line([*_findings(placements), *_of_runtimes(runtimes)]),
        placements=placements,
        runtimes=runtimes,
    )


def _findings(placements: Placements) -> Iterator[str]:
    fell_back = [row for row in placements.rows if row.fell_back]
    yield from (f"{row.who}: {row.left_out}" for row in fell_back)
    places = list(dict.fromkeys(place.name for row in placements.rows for place in row.places))
    if not fell_back:
        yield f"every operator that is known ran on {', '.join(places)}" if places else "no runtime told where"
    if not placements.accelerated:
        yield "no accelerator was asked for"


def _of_runtimes(runtimes: RuntimeContrasts | None) -> Iterator[str]:
    if runtimes:
        yield f"runtimes compared at {', '.join(dict.fromkeys(group.precision for group in runtimes.groups))}"


SECTION = SectionKind(
    name="operators",
    heading="Where operators ran",
    make=make,
    order=100,
    tells=("placement", "placement_unknown", "fallback"),
)
