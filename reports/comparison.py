"""The table that compares the variants and configurations of one model on one workload, and who leads in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from benchharness.metrics import METRICS, Better
from benchharness.result import Estimate, MetricResult
from reports.conditions import conditions_of, notices_of
from reports.entries import Entry, by_row, configuration_name, same_key
from reports.estimates import better_of, parameters_text, quantity, ratio, title_of
from reports.jobs import ended_of, job_detail, warnings_of
from reports.memory import GROUP, SUMMARY_METRICS, memory_of, telling_scenarios
from reports.page import Cell, Column, ColumnGroup, Comparison, Facts, Leader, Row, Warned
from reports.series import figures_of
from reports.sizes import is_smallest, sizes_of, smallest
from reports.units import Scale, common_scale
from reports.visible import fact_texts, name_text, value_text

#: A percentile metric stands in the summary with its median; the others are in the details.
_SUMMARY_PERCENTILE = 50
_MOST_NAMES = 3


@dataclass(frozen=True)
class _Measure:
    """A column before it is put in words."""

    scenario: str
    name: str
    parameters: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        return self.scenario, self.name, same_key(dict(self.parameters))


def comparison(anchor: str, entries: Sequence[Entry], colours: Mapping[str, int]) -> Comparison:
    """One model on one workload; `entries` are its jobs, `colours` numbers the model's variants."""
    job = entries[0].result.job
    rows = by_row(entries)
    measures = _measures(entries)
    found = [[_find(row, measure) for measure in measures] for row in rows]
    bests = [_best(measure, [line[at] for line in found]) for at, measure in enumerate(measures)]
    scales = [_scale([line[at] for line in found]) for at in range(len(measures))]
    cells = [
        tuple(
            replace(_cell(row, measure, line[at], scales[at]), best=bests[at] == number)
            for at, measure in enumerate(measures)
        )
        for number, (row, line) in enumerate(zip(rows, found, strict=True))
    ]
    conditions = conditions_of(entries)
    common = _carried_by_all(entries)
    return Comparison(
        anchor=anchor,
        model=name_text(job.model),
        workload=name_text(job.workload.get("name", "")),
        task=_task(entries),
        configuration=_only([configuration_name(entry.result.job.configuration) for entry in entries]),
        asked=_asked(job.workload),
        leaders=tuple(_leaders(rows, measures, found, bests, scales)),
        smallest=smallest(rows),
        failed=sum(not entry.result.outcome.ok for entry in entries),
        jobs=len(entries),
        groups=tuple(_groups(measures, entries)),
        rows=tuple(
            _row(f"{anchor}-row-{number}", row, line, rows, common)
            for number, (row, line) in enumerate(zip(rows, cells, strict=True), start=1)
        ),
        notices=notices_of(entries, conditions),
        warnings=tuple(common),
        conditions=conditions,
        figures=figures_of(entries, colours),
        memory=memory_of(entries, colours),
        details=tuple(job_detail(entry) for entry in entries),
    )


def _task(entries: Sequence[Entry]) -> str:
    """What the suite says, or what the device found out."""
    told = (entry.result.job.task or entry.result.effective.get("task") for entry in entries)
    return name_text(next((task for task in told if task), "task not recorded"))


def _asked(workload: Mapping[str, Any]) -> Facts:
    shown = {key: value for key, value in workload.items() if key != "name" and value not in (None, {}, [])}
    return tuple(fact_texts(shown))


def _measures(entries: Sequence[Entry]) -> list[_Measure]:
    """The headline metrics that any job has, scenario by scenario, in the registry's order."""
    seen: dict[tuple[str, str, str], _Measure] = {}
    for entry in entries:
        for metric in entry.result.metrics:
            if metric.name in METRICS and METRICS[metric.name].headline and _in_summary(metric):
                measure = _Measure(entry.scenario, metric.name, metric.parameters)
                seen.setdefault(measure.key, measure)
    telling = telling_scenarios(entries)
    kept = [each for each in seen.values() if each.name not in SUMMARY_METRICS or each.scenario in telling]
    scenarios = list(dict.fromkeys(entry.scenario for entry in entries))
    registered = list(METRICS)
    return sorted(
        kept,
        key=lambda each: (each.name in SUMMARY_METRICS, scenarios.index(each.scenario), registered.index(each.name)),
    )


def _in_summary(metric: MetricResult) -> bool:
    return metric.parameters.get("percentile", _SUMMARY_PERCENTILE) == _SUMMARY_PERCENTILE


def _groups(measures: Sequence[_Measure], entries: Sequence[Entry]) -> Iterator[ColumnGroup]:
    """Columns under their scenario, those on memory apart, with the parameters that no two of a group contradict."""
    for name, group in groupby(measures, key=lambda each: GROUP if each.name in SUMMARY_METRICS else each.scenario):
        alike = list(group)
        shared = _shared([each.parameters for each in alike])
        columns = [_column(each, shared, _where(each, alike, entries)) for each in alike]
        yield ColumnGroup(name=name, parameters=parameters_text(shared), columns=tuple(columns))


def _shared(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for each in parameters:
        for name, value in each.items():
            found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if all(value == values[0] for value in values)}


def _where(measure: _Measure, group: Sequence[_Measure], entries: Sequence[Entry]) -> str:
    """Which scenario a column on memory is from, where there are several."""
    if measure.name not in SUMMARY_METRICS or len({entry.scenario for entry in entries}) < 2:
        return ""
    measured = {
        entry.scenario for entry in entries if any(metric.name == measure.name for metric in entry.result.metrics)
    }
    return f"in {measure.scenario}" + (", where it was highest" if len(measured) > len(group) else "")


def _column(measure: _Measure, shared: Mapping[str, Any], where: str) -> Column:
    better = better_of(measure.name)
    percentile = f" p{_SUMMARY_PERCENTILE}" if "percentile" in measure.parameters else ""
    own = {name: value for name, value in measure.parameters.items() if name not in shared}
    return Column(
        title=title_of(measure.name) + percentile,
        parameters=", ".join(part for part in (parameters_text(own), where) if part),
        better=f"{better} is better" if better else "",
    )


def _find(row: Sequence[Entry], measure: _Measure) -> MetricResult | None:
    for entry in row:
        for metric in entry.result.metrics:
            if (entry.scenario, metric.name, same_key(dict(metric.parameters))) == measure.key:
                return metric
    return None


def _value(metric: MetricResult | None) -> float | None:
    return None if metric is None else metric.estimate.value


def _best(measure: _Measure, metrics: Sequence[MetricResult | None]) -> int | None:
    """Which row has the best value; None where there is none, or nothing to compare it with."""
    values = {number: value for number, metric in enumerate(metrics) if (value := _value(metric)) is not None}
    if len(values) < 2:
        return None
    choose = max if better_of(measure.name) is Better.HIGHER else min
    return choose(values, key=values.__getitem__)


def _scale(metrics: Sequence[MetricResult | None]) -> Scale | None:
    known = [(metric.unit, value) for metric in metrics if metric and (value := metric.estimate.value) is not None]
    return common_scale(known[0][0], [value for _, value in known]) if known else None


def _cell(row: Sequence[Entry], measure: _Measure, metric: MetricResult | None, scale: Scale | None) -> Cell:
    entry = next((entry for entry in row if entry.scenario == measure.scenario), None)
    if entry is None:
        return Cell(state="absent", note="not asked for")
    if metric is None:
        outcome = entry.result.outcome
        if outcome.ok:
            return Cell(state="unknown", note="the worker did not report it")
        return Cell(state="failed", note=str(outcome.kind))
    shown = quantity(metric.estimate, metric.unit, scale)
    if metric.estimate.value is None:
        return Cell(state="unknown", quantity=shown, count=metric.estimate.count)
    return Cell(
        state="value",
        quantity=shown,
        ratio=ratio(metric, is_reference=entry.result.job.is_reference),
        count=metric.estimate.count,
    )


def _leaders(
    rows: Sequence[Sequence[Entry]],
    measures: Sequence[_Measure],
    found: Sequence[Sequence[MetricResult | None]],
    bests: Sequence[int | None],
    scales: Sequence[Scale | None],
) -> list[Leader]:
    leaders = []
    for at, (measure, best) in enumerate(zip(measures, bests, strict=True)):
        metric = None if best is None else found[best][at]
        if best is None or metric is None:
            continue
        job = rows[best][0].result.job
        others = {
            rows[number][0].who: other.estimate
            for number, line in enumerate(found)
            if number != best and (other := line[at]) is not None and other.estimate.value is not None
        }
        leaders.append(
            Leader(
                metric=_leader_title(measure, measures),
                who=rows[best][0].who,
                quantity=quantity(metric.estimate, metric.unit, scales[at]),
                ratio=ratio(metric, is_reference=job.is_reference),
                beside=_beside(metric.estimate, others),
            )
        )
    return leaders


def _leader_title(measure: _Measure, measures: Sequence[_Measure]) -> str:
    """The column's title, with what tells it from another column of the same metric."""
    column = _column(measure, {}, "")
    alike = [other for other in measures if other.name == measure.name]
    if len({other.scenario for other in alike}) > 1:
        return f"{column.title}, {measure.scenario}"
    return f"{column.title}, {column.parameters}" if len(alike) > 1 else column.title


def _beside(best: Estimate, others: Mapping[str, Estimate]) -> str:
    """Who cannot be told from the best: their intervals overlap, or there is none to tell by."""
    overlapping = [who for who, other in others.items() if _overlap(best, other)]
    blind = _blind(best, others)
    told = []
    if overlapping:
        told.append(f"interval overlaps with {_names(overlapping)}")
    if blind:
        told.append(f"no interval to tell it from {_names(blind)}")
    return "; ".join(told)


def _blind(best: Estimate, others: Mapping[str, Estimate]) -> list[str]:
    """Rows without an interval. Those behind one that is clearly apart need none: they are further off still."""
    nearest_first = sorted(others.items(), key=lambda item: abs((item[1].value or 0) - (best.value or 0)))
    found = []
    for who, other in nearest_first:
        overlap = _overlap(best, other)
        if overlap is False:
            break
        if overlap is None:
            found.append(who)
    return found


def _overlap(first: Estimate, second: Estimate) -> bool | None:
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    return first.low <= second.high and second.low <= first.high


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _row(
    anchor: str,
    row: Sequence[Entry],
    cells: tuple[Cell, ...],
    rows: Sequence[Sequence[Entry]],
    common: Sequence[Warned],
) -> Row:
    job = row[0].result.job
    return Row(
        anchor=anchor,
        run=row[0].run,
        variant=name_text(job.variant),
        configuration=configuration_name(job.configuration),
        recipe=value_text(job.recipe),
        reference=job.is_reference,
        who=row[0].who,
        sizes=tuple(sizes_of(row, rows)),
        smallest=is_smallest(job, rows),
        cells=cells,
        ended=tuple(ended_of(entry) for entry in row),
        warnings=tuple(_merged(row, common)),
    )


def _carried_by_all(entries: Sequence[Entry]) -> list[Warned]:
    """Warnings that every job which was measured carries, told once for all of them."""
    measured = [warnings_of(entry) for entry in entries if entry.result.metrics]
    if len(measured) < 2:
        return []
    return [
        replace(warning, about="every job that has a value")
        for warning in measured[0]
        if all(any(_alike(warning, other) for other in others) for others in measured)
    ]


def _merged(row: Sequence[Entry], common: Sequence[Warned]) -> list[Warned]:
    """A row's warnings: those that several of its scenarios carry once, those that all rows carry not again."""
    found: list[Warned] = []
    for warning in (warning for entry in row for warning in warnings_of(entry)):
        if any(_alike(warning, other) for other in common):
            continue
        at = next((at for at, other in enumerate(found) if _alike(warning, other)), None)
        if at is None:
            found.append(warning)
        else:
            found[at] = replace(found[at], about=f"{found[at].about}, {warning.about}")
    return found


def _alike(warning: Warned, other: Warned) -> bool:
    return (warning.kind, warning.message, warning.hint) == (other.kind, other.message, other.hint)


def _only(names: Sequence[str]) -> str:
    return names[0] if len(set(names)) == 1 else ""
