"""Runtimes at equal precision: each held against the first runtime that has the precision, in a table and figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchharness.metrics import Better
from benchharness.results.result import Basis, Contrast, Estimate, Job, MetricResult
from benchharness.units import Scale, quantity_text
from reports.figures.ratios import RatioDot, RatioGroup, Ratios
from reports.model.columns import (
    Measure,
    cell_of,
    column_groups,
    find,
    joined,
    measures_of,
    scale_of,
    why_failed,
)
from reports.model.entries import Entry, configuration_name, same_key
from reports.model.estimates import better_of, ratio_of, title_of
from reports.model.numbers import rounded
from reports.model.tables import Cell, ColumnGroup, Quantity, Ratio, notes_of
from reports.model.visible import name_text, value_text

Row = Sequence[Entry]
#: An interval may stretch a figure's axis this far beyond the ratio that it belongs to, and is cut there.
_STRETCH = 3.0
#: Room beside the outermost ratio.
_MARGIN = 1.12
#: A ratio beyond this, or its inverse, stands in the table only: beside it no other could be told from 1.
_FARTHEST = 1e6
_ARROWS: dict[Better | None, str] = {Better.LOWER: "↓", Better.HIGHER: "↑"}
_NOTE = (
    "Dot: this / the first runtime, round by round. Line: its 95 % interval, cut with an arrowhead where it is far "
    "wider than the ratios. Filled and coloured only where the ratio is called better or worse. "
    "↓: lower is better; ↑: higher is."
)


@dataclass(frozen=True, kw_only=True)
class ContrastRow:
    """A row with its ratios to the first runtime that has the same precision."""

    variant: str
    configuration: str
    first: bool  # the one that the others of its precision are compared with
    size: Quantity  # on disk, over that of the first runtime
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class PrecisionGroup:
    """The rows of one precision. `figure` is None where no ratio can be drawn."""

    precision: str
    against: str
    rows: tuple[ContrastRow, ...]
    figure: Ratios | None


@dataclass(frozen=True, kw_only=True)
class RuntimeContrasts:
    """The runtimes of a comparison held against each other, precision by precision."""

    columns: tuple[ColumnGroup, ...]
    groups: tuple[PrecisionGroup, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands beneath the table."""
        return notes_of(cell for group in self.groups for row in group.rows for cell in row.cells)

    @property
    def figures(self) -> tuple[Ratios, ...]:
        """All figures, in the order of the page."""
        return tuple(group.figure for group in self.groups if group.figure)

    @property
    def width(self) -> int:
        """Columns of the table."""
        return 2 + sum(len(group.columns) for group in self.columns)


@dataclass(frozen=True)
class _Group:
    """Rows of one precision that are compared with the same row; `first` is None where that is not on the page."""

    precision: str
    first: Row | None
    against: str
    rows: list[Row]


def contrast_of(entry: Entry, basis: Basis) -> Contrast | None:
    """What an entry is held against on this basis; None where there is nothing."""
    return next((each for each in entry.result.contrasts if each.basis is basis), None)


def ratio_in(contrast: Contrast | None, measure: Measure) -> Estimate | None:
    """The ratio of a column; None where one of the two has no value."""
    wanted = (measure.name, same_key(dict(measure.parameters)))
    ratios = contrast.ratios if contrast else ()
    return next((ratio for name, given, ratio in ratios if (name, same_key(dict(given))) == wanted), None)


def contrasts_of(rows: Sequence[Row]) -> RuntimeContrasts | None:
    """The rows of each precision against that of the first runtime; None where no precision is in two."""
    groups = list(_groups(rows))
    members = [row for group in groups for row in group.rows]
    if not members:
        return None
    entries = [entry for row in members for entry in row]
    measures = measures_of(entries)
    scales = [scale_of(find(row, measure) for row in members) for measure in measures]
    lowest, highest = _limits(groups, measures)
    return RuntimeContrasts(
        columns=tuple(column_groups(measures, entries)),
        groups=tuple(
            PrecisionGroup(
                precision=label,
                against=group.against,
                rows=tuple(_row(row, _cells(row, group, measures, scales), group) for row in group.rows),
                figure=_figure(label, group, measures, lowest, highest),
            )
            for label, group in zip(_labels(groups), groups, strict=True)
        ),
    )


def _groups(rows: Sequence[Row]) -> Iterator[_Group]:
    """By the row that they are compared with, which stands first."""
    by_job = {entry.result.job.key: number for number, row in enumerate(rows) for entry in row}
    members: dict[str, list[Row]] = {}
    firsts: dict[str, tuple[int | None, Contrast]] = {}
    for row in rows:
        contrast = next((found for entry in row if (found := contrast_of(entry, Basis.RUNTIME))), None)
        if contrast is not None:
            number = by_job.get(contrast.other)
            key = contrast.other if number is None else str(number)
            members.setdefault(key, []).append(row)
            firsts[key] = (number, contrast)
    # In the order of the rows that the others are compared with; groups without one stand last.
    for key in sorted(members, key=lambda key: len(rows) if firsts[key][0] is None else firsts[key][0] or 0):
        others, (number, contrast) = members[key], firsts[key]
        first = None if number is None else rows[number]
        yield _Group(
            precision=name_text(others[0][0].result.job.precision),
            first=first,
            against=first[0].who if first else value_text(contrast.title),
            rows=[first, *others] if first else others,
        )


def _labels(groups: Sequence[_Group]) -> list[str]:
    """The precision, with what tells it from another group of the same, such as several thread counts."""
    names = [group.precision for group in groups]
    return [
        f"{group.precision}, against {group.against}" if names.count(group.precision) > 1 else group.precision
        for group in groups
    ]


def _cells(row: Row, group: _Group, measures: Sequence[Measure], scales: Sequence[Scale | None]) -> tuple[Cell, ...]:
    cells = (_cell(row, group, measure, scale) for measure, scale in zip(measures, scales, strict=True))
    return joined(cells)


def _cell(row: Row, group: _Group, measure: Measure, scale: Scale | None) -> Cell:
    def judge(entry: Entry, metric: MetricResult) -> Ratio:
        if row is group.first:
            return Ratio(text="the first", verdict="reference")
        found = ratio_in(contrast_of(entry, Basis.RUNTIME), measure)
        return ratio_of(metric.name, found, f"no value on {group.against}")

    cell = cell_of(row, measure, scale, judge)
    if cell.state != "failed":
        return cell
    return replace(cell, note=why_failed(next(entry for entry in row if entry.scenario == measure.scenario)))


def _row(row: Row, cells: tuple[Cell, ...], group: _Group) -> ContrastRow:
    job = row[0].result.job
    other = group.first[0].result.job if group.first and row is not group.first else None
    return ContrastRow(
        variant=name_text(job.variant),
        configuration=configuration_name(job.configuration),
        first=row is group.first,
        size=_size(job, other),
        cells=cells,
    )


def _size(job: Job, other: Job | None) -> Quantity:
    size, against = job.artefact_bytes, other.artefact_bytes if other else 0
    if size <= 0:
        return Quantity(text="unknown", reason="it cannot be read")
    ratio = f", {quantity_text(size / against, '')}×" if against > 0 else ""
    return Quantity(text=f"{quantity_text(size, 'bytes')}{ratio}")


def _figure(label: str, group: _Group, measures: Sequence[Measure], lowest: float, highest: float) -> Ratios | None:
    found = [
        RatioGroup(
            label=" · ".join(part for part in (row[0].who, heading) if part), dots=tuple(_dots(row, group, some))
        )
        for row in group.rows
        for heading, some in _parts(measures)
    ]
    drawn = tuple(each for each in found if each.dots)
    if not drawn:
        return None
    return Ratios(
        title=f"{label}: ratios to {group.against}" if group.against not in label else f"{label}: ratios",
        unit="multiples of it, on a logarithmic scale",
        note=_NOTE,
        lowest=lowest,
        highest=highest,
        groups=drawn,
    )


def _parts(measures: Sequence[Measure]) -> list[tuple[str, Sequence[Measure]]]:
    """All in one, or scenario by scenario where several have a metric of the same name."""
    if len({measure.name for measure in measures}) == len(measures):
        return [("", measures)]
    scenarios = dict.fromkeys(measure.scenario for measure in measures)
    return [(scenario, [each for each in measures if each.scenario == scenario]) for scenario in scenarios]


def _dots(row: Row, group: _Group, measures: Sequence[Measure]) -> Iterator[RatioDot]:
    """The ratios that can be drawn: those of a row that is not the first, and not too far from 1."""
    for measure in measures if row is not group.first else ():
        entry = next((entry for entry in row if entry.scenario == measure.scenario), None)
        estimate = ratio_in(contrast_of(entry, Basis.RUNTIME), measure) if entry else None
        if estimate is None or estimate.value is None or find(row, measure) is None:
            continue
        if not 1 / _FARTHEST <= estimate.value <= _FARTHEST:
            continue
        shown = ratio_of(measure.name, estimate, "")
        yield RatioDot(
            metric=f"{title_of(measure.name)} {_ARROWS.get(better_of(measure.name), '')}".strip(),
            value=rounded(estimate.value),
            low=_end(estimate.low),
            high=_end(estimate.high),
            verdict=shown.verdict,
            text=f"{shown.text} {shown.interval}".strip(),
        )


def _end(end: float | None) -> float | None:
    """An end of an interval, where there is one; far outside of any axis it is only known to be there."""
    if end is None or math.isnan(end):
        return None
    return rounded(min(max(end, 1 / _FARTHEST), _FARTHEST))


def _limits(groups: Sequence[_Group], measures: Sequence[Measure]) -> tuple[float, float]:
    """One axis for all figures, so that precisions compare by eye; 1 is on it."""
    dots = [dot for group in groups for row in group.rows for dot in _dots(row, group, measures)]
    lows = [max(dot.low or dot.value, dot.value / _STRETCH) for dot in dots]
    highs = [min(dot.high or dot.value, dot.value * _STRETCH) for dot in dots]
    return rounded(min([1.0, *lows]) / _MARGIN), rounded(max([1.0, *highs]) * _MARGIN)
