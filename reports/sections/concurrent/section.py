"""Several requests at once -> a section: what all get together, and the first and the last of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchharness.results.result import MetricResult
from benchharness.scenarios.concurrent import by_number, by_place
from benchharness.units import quantity_text
from reports.model.entries import Colours, Entry, by_comparison, subject_of
from reports.model.estimates import quantity
from reports.model.jobs import Missing, missing
from reports.model.numbers import ends_of
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, QuantityRow, QuantityTable
from reports.model.visible import value_text
from reports.sections.concurrent.chart import NumberCurve, NumberCurves

SCENARIO = "concurrent"
_TOLD = (
    "All requests of a row are handed over at the same moment. Throughput counts the tokens of all answers over the "
    "time until the last one; prompts are read in it. Repeats take the numbers in turn.",
    "The first and the last request are those whose first token came soonest and latest.",
)


@dataclass(frozen=True, kw_only=True)
class ConcurrentSection(Section):
    """All rows of one model and workload."""

    missing: tuple[Missing, ...]
    figure: NumberCurves | None
    tables: tuple[tuple[str, str, QuantityTable], ...]  # of each row: who, by what way it answers, its figures
    told: tuple[str, ...]


def make(material: Material) -> tuple[ConcurrentSection, ...]:
    """A section for each model and workload."""
    entries = [entry for entry in material.entries if entry.result.job.scenario == SCENARIO]
    return tuple(
        _section(f"concurrent-{number}", group, material.colours[group[0].result.job.model])
        for number, group in enumerate(by_comparison(entries).values(), start=1)
    )


def _section(anchor: str, entries: Sequence[Entry], colours: Colours) -> ConcurrentSection:
    having = [entry for entry in entries if _measured(entry)]
    return ConcurrentSection(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line(_findings(having), "nothing was measured"),
        missing=tuple(missing(entries, _measured, "nothing was measured")),
        figure=_figure(having, colours),
        tables=tuple((entry.who_and_how, _way(entry), _table(entry)) for entry in having),
        told=_TOLD,
    )


def _measured(entry: Entry) -> bool:
    return bool(by_number(entry.result, "throughput"))


def _findings(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        whole = by_number(entry.result, "throughput")
        rates = (
            f"{quantity_text(metric.estimate.value, metric.unit)} at {number}"
            for number, metric in sorted(whole.items())
            if metric.estimate.value is not None
        )
        yield f"{entry.who_and_how}: {', '.join(rates)}"


def _way(entry: Entry) -> str:
    told = entry.result.effective.of_scenario(SCENARIO)
    ways = (str(told[key]) for key in ("answers_by", "prompts") if key in told)
    return value_text("; prompts: ".join(ways))


def _figure(entries: Sequence[Entry], colours: Colours) -> NumberCurves | None:
    curves = []
    for number, entry in enumerate(entries):
        whole = sorted(by_number(entry.result, "throughput").items())
        points = tuple((at, ends) for at, metric in whole if (ends := ends_of(metric.estimate)))
        colour = colours.get(entry.artefact, 0) if not entry.configuration else number
        if points:
            curves.append(NumberCurve(label=entry.who_and_how, colour=colour, points=points))
    if not any(len(curve.points) > 1 for curve in curves):
        return None
    return NumberCurves(
        title="Throughput by requests at once",
        unit="tokens/s",
        note="Point: estimate over attempts; stroke: its 95 % interval.",
        curves=tuple(curves),
    )


def _table(entry: Entry) -> QuantityTable:
    whole = by_number(entry.result, "throughput")
    first, rates = (by_place(entry.result, name) for name in ("concurrent_ttft", "concurrent_decode_rate"))
    return QuantityTable(
        scenario=SCENARIO,
        columns=(
            ("throughput", "all together"),
            ("TTFT", "of the first"),
            ("TTFT", "of the last"),
            ("decode rate", "of the first"),
            ("decode rate", "of the last"),
        ),
        rows=tuple(
            QuantityRow(
                who=f"{number} at once" if number > 1 else "1 alone",
                cells=tuple(
                    map(
                        _cell,
                        (
                            whole[number],
                            *(metrics.get((number, place)) for metrics in (first, rates) for place in (1, number)),
                        ),
                    )
                ),
            )
            for number in sorted(whole)
        ),
    )


def _cell(metric: MetricResult | None) -> Cell:
    if metric is None:
        return Cell(state="absent", note="not measured")
    shown = quantity(metric.estimate, metric.unit)
    if metric.estimate.value is None:
        return Cell(state="unknown", quantity=shown)
    return Cell(state="value", quantity=shown, count=metric.estimate.count)


SECTION = SectionKind(name=SCENARIO, heading="Several requests at once", make=make, order=83, tells=(SCENARIO,))
