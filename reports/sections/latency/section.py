"""How samples spread: every percentile that was measured, samples attempt by attempt, and time by token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.metrics import METRICS
from benchharness.results.result import MetricResult
from benchharness.units import Scale, common_scale, quantity_text
from reports.figures.figure import Figure, figure_text
from reports.model.columns import joined, metric_cell
from reports.model.entries import Entry, compared, same_key, subject_of
from reports.model.estimates import parameters_text, title_of
from reports.model.numbers import known
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, Quantity, QuantityRow, QuantityTable
from reports.sections.latency.chart import Curve, TokenCurves
from reports.sections.latency.samples import figures_of, gone_of

#: A tail this many times its median is worth a word.
_LONG_TAIL = 1.1


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One metric of one scenario: a row a variant, a column a percentile."""

    title: str
    table: QuantityTable


@dataclass(frozen=True, kw_only=True)
class Latency(Section):
    """The samples of a model on a workload."""

    spreads: tuple[Spread, ...]
    figures: tuple[Figure, ...]
    positions: tuple[QuantityTable, ...]  # time by token, in numbers
    gone: str = ""  # why samples are not drawn


@dataclass(frozen=True)
class _Group:
    """What stands in one table: by job, the metric at each percentile; without one it is the attempts' own value."""

    scenario: str
    name: str
    parameters: Mapping[str, Any]
    rows: dict[str, dict[int | None, MetricResult]]

    @property
    def percentiles(self) -> list[int | None]:
        """Those that any row has."""
        found = {percentile for row in self.rows.values() for percentile in row}
        return sorted(found, key=lambda each: -1 if each is None else each)


def make(material: Material) -> tuple[Latency, ...]:
    """A section for each model and workload that has samples or percentiles."""
    found = []
    for entries in compared(material.costs):
        groups = list(_groups(entries))
        figures = figures_of(entries, material.colours[entries[0].result.job.model])
        if groups or figures:
            found.append((entries, groups, figures))
    return tuple(
        Latency(
            anchor=f"latency-{number}",
            subject=subject_of(entries[0]),
            finding=_finding(entries, groups),
            spreads=tuple(_spread(group, entries) for group in groups),
            figures=figures,
            positions=tuple(_positions(each) for each in figures if isinstance(each, TokenCurves)),
            gone=gone_of(entries),
        )
        for number, (entries, groups, figures) in enumerate(found, start=1)
    )


def _groups(entries: Sequence[Entry]) -> Iterator[_Group]:
    """Metrics of which any job has a percentile, those of equal scenario and parameters together."""
    found: dict[tuple[str, str, str], _Group] = {}
    for entry in entries:
        for metric in entry.result.metrics if not entry.weights_only else ():
            parameters = {key: value for key, value in metric.parameters.items() if key != "percentile"}
            key = (entry.scenario, metric.name, same_key(parameters))
            group = found.setdefault(key, _Group(entry.scenario, metric.name, parameters, {}))
            row = group.rows.setdefault(entry.anchor, {})
            row.setdefault(_percentile(metric), metric)
    for group in found.values():
        if any(percentile is not None for percentile in group.percentiles):
            yield group


def _percentile(metric: MetricResult) -> int | None:
    told = metric.parameters.get("percentile")
    return int(told) if isinstance(told, int | float) and 0 <= told <= 100 and metric.name in METRICS else None


def _spread(group: _Group, entries: Sequence[Entry]) -> Spread:
    scale = _scale(group)
    several = len({entry.scenario for entry in entries}) > 1
    told = [title_of(group.name), group.scenario if several else "", parameters_text(group.parameters)]
    title = ", ".join(part for part in told if part)
    percentiles = group.percentiles
    return Spread(
        title=title,
        table=QuantityTable(
            scenario=group.scenario,
            columns=tuple(
                (f"p{each}", "") if each is not None else ("typical", "of the attempts") for each in percentiles
            ),
            rows=tuple(
                QuantityRow(
                    who=entry.who,
                    cells=joined(
                        metric_cell(entry, group.rows.get(entry.anchor, {}).get(each), scale) for each in percentiles
                    ),
                )
                for entry in entries
                if entry.scenario == group.scenario and not entry.weights_only
            ),
        ),
    )


def _scale(group: _Group) -> Scale | None:
    metrics = [metric for row in group.rows.values() for metric in row.values()]
    values = [value for metric in metrics if (value := known(metric.estimate.value)) is not None]
    return common_scale(metrics[0].unit, values)


def _positions(curves: TokenCurves) -> QuantityTable:
    """Time at the first gap of an answer, in its middle and at its last."""
    return QuantityTable(
        scenario="",
        columns=tuple((name, "p10, median, p90") for name in ("first gap", "middle", "last gap")),
        rows=tuple(
            QuantityRow(who=f"{curve.label} · {panel.label}", cells=tuple(_along(curve, curves.unit)))
            for panel in curves.panels
            for curve in panel.curves
        ),
    )


def _along(curve: Curve, unit: str) -> Iterator[Cell]:
    for at in (0, len(curve.index) // 2, -1):
        ends = f"{figure_text(curve.low[at])} to {figure_text(curve.high[at])}"
        yield Cell(state="value", quantity=Quantity(text=f"{figure_text(curve.middle[at])} {unit}", interval=ends))


def _finding(entries: Sequence[Entry], groups: Sequence[_Group]) -> str:
    """Of the first metric: its quickest and slowest row, and the longest tail of any row."""
    names = {entry.anchor: entry.who for entry in entries}
    told = []
    for group in groups:
        lowest = next((each for each in group.percentiles if any(_value(row, each) for row in group.rows.values())), 50)
        values = sorted((value, names[anchor]) for anchor, row in group.rows.items() if (value := _value(row, lowest)))
        if not values:
            continue
        title = title_of(group.name) + (f" p{lowest}" if lowest is not None else "")
        ends = [values[0], values[-1]] if len(values) > 1 else values
        unit = next(iter(next(iter(group.rows.values())).values())).unit
        told.append(f"{title}: {', '.join(f'{who} {quantity_text(value, unit)}' for value, who in ends)}")
        told += _tail(group, names)
        break
    return in_a_line(told, f"samples of {len(entries)} job{'' if len(entries) == 1 else 's'}")


def _tail(group: _Group, names: Mapping[str, str]) -> list[str]:
    tails = []
    for anchor, row in group.rows.items():
        middle = _value(row, 50) or _value(row, None)
        highest = max((each for each in row if each is not None and _value(row, each)), default=None)
        tail = _value(row, highest)
        if middle and tail and highest is not None and highest > 50 and tail > _LONG_TAIL * middle:
            tails.append(
                (
                    tail / middle,
                    f"longest tail: {names[anchor]}, p{highest} {quantity_text(tail / middle, '')}× its median",
                )
            )
    return [max(tails)[1]] if tails else []


def _value(row: Mapping[int | None, MetricResult], percentile: int | None) -> float | None:
    metric = row.get(percentile)
    return known(metric.estimate.value) if metric else None


SECTION = SectionKind(name="latency", heading="Latency", make=make, order=50)
