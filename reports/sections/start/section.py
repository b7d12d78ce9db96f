"""How long cold starts take, and in which phases: a table and bars for each state of the page cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchharness.results.result import MetricResult
from benchharness.units import common_scale, quantity_text, scale_for
from reports.model.columns import joined, metric_cell
from reports.model.entries import Entry, compared, subject_of
from reports.model.numbers import known, rounded
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import QuantityRow, QuantityTable
from reports.model.visible import words_of
from reports.sections.start.chart import Bar, PhaseBars

#: What a start is in the whole, by the kind of model.
_WHOLES = ("cold_start_ttft", "cold_start_inference")
_NOTE = "Each phase is an estimate over attempts: their sum may differ slightly from the whole's own estimate."
Phases = Mapping[str, MetricResult]


@dataclass(frozen=True, kw_only=True)
class StartPart:
    """The starts of one scenario."""

    table: QuantityTable
    figure: PhaseBars


@dataclass(frozen=True, kw_only=True)
class Start(Section):
    """The cold starts of a model on a workload."""

    parts: tuple[StartPart, ...]


def make(material: Material) -> tuple[Start, ...]:
    """A section for each model and workload whose starts were measured."""
    found = [(group, parts) for group in compared(material.costs) if (parts := list(_parts(group)))]
    return tuple(
        Start(
            anchor=f"start-{number}",
            subject=subject_of(group[0]),
            finding=_finding([each for each in parts[0][1] if each[1] or _start_ns(each)]),
            parts=tuple(part for part, _ in parts),
        )
        for number, (group, parts) in enumerate(found, start=1)
    )


def _parts(entries: Sequence[Entry]) -> Iterator[tuple[StartPart, list[tuple[Entry, Phases]]]]:
    """A cold page cache is another scenario than a warm one; what another runtime took says nothing."""
    for scenario in dict.fromkeys(entry.scenario for entry in entries):
        here = [(entry, _phases(entry)) for entry in entries if entry.scenario == scenario and not entry.weights_only]
        starts = [(entry, phases) for entry, phases in here if phases]
        if starts:
            yield StartPart(table=_table(scenario, here), figure=_figure(scenario, starts)), here


def _phases(entry: Entry) -> Phases:
    return {
        words_of(metric.parameters.get("phase", "phase without a name")): metric
        for metric in entry.result.metrics
        if metric.name == "cold_start_phase" and known(metric.estimate.value) is not None
    }


def _whole(entry: Entry) -> MetricResult | None:
    return next((metric for metric in entry.result.metrics if metric.name in _WHOLES), None)


def _table(scenario: str, starts: Sequence[tuple[Entry, Phases]]) -> QuantityTable:
    names = list(dict.fromkeys(name for _, phases in starts for name in phases))
    lines = [[*(phases.get(name) for name in names), _whole(entry)] for entry, phases in starts]
    scales = [common_scale("ns", [_value(line[at]) for line in lines if line[at]]) for at in range(len(names) + 1)]
    return QuantityTable(
        scenario=scenario,
        columns=(*((name, "") for name in names), ("whole", "its own estimate")),
        rows=tuple(
            QuantityRow(
                who=entry.who,
                cells=joined(metric_cell(entry, metric, scale) for metric, scale in zip(line, scales, strict=True)),
            )
            for (entry, _), line in zip(starts, lines, strict=True)
        ),
    )


def _value(metric: MetricResult | None) -> float:
    return (metric.estimate.value if metric else None) or 0.0


def _sum(phases: Phases) -> float:
    return sum(map(_value, phases.values()))


def _figure(scenario: str, starts: Sequence[tuple[Entry, Phases]]) -> PhaseBars:
    names = tuple(dict.fromkeys(name for _, phases in starts for name in phases))
    scale = scale_for("ns", median(_sum(phases) for _, phases in starts))
    return PhaseBars(
        title=f"Cold start by phase, {scenario}" if "(" in scenario else "Cold start by phase",
        unit=scale.symbol,
        note=_NOTE,
        phases=names,
        bars=tuple(
            Bar(
                label=entry.who,
                segments=tuple(rounded(_value(phases.get(name)) / scale.divisor) for name in names),
                total=quantity_text(_sum(phases), "ns", scale),
            )
            for entry, phases in starts
        ),
    )


def _finding(starts: Sequence[tuple[Entry, Phases]]) -> str:
    """The quickest and the slowest start, as the table of variants has them, and what the slowest takes longest for."""
    ordered = sorted(starts, key=_start_ns)
    ends = [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered
    scale = common_scale("ns", [_start_ns(each) for each in ends])
    told = [f"{each[0].who} {quantity_text(_start_ns(each), 'ns', scale)}" for each in ends]
    if ordered[-1][1]:  # of a program's own start no phases are known
        longest, metric = max(ordered[-1][1].items(), key=lambda phase: _value(phase[1]))
        told.append(f"of the slowest most is {longest}, {quantity_text(_value(metric), 'ns', scale)}")
    return in_a_line(told)


def _start_ns(start: tuple[Entry, Phases]) -> float:
    """The whole start's own estimate; the sum of its phases where there is none."""
    return _value(_whole(start[0])) or _sum(start[1])


SECTION = SectionKind(name="start", heading="Cold start", make=make, order=40)
