"""The columns of a table that compares rows: which headline metrics stand in it, and a row's cell in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from benchharness.judge.answer import takes_text
from benchharness.metrics import METRICS, OF_DEVICE
from benchharness.results.result import MetricResult, Parameters
from benchharness.units import Scale, common_scale
from reports.model.entries import WEIGHTS_ONLY, Entry, same_key
from reports.model.estimates import better_of, parameters_text, quantity, title_of
from reports.model.memory import memory_metric
from reports.model.tables import Cell, Column, ColumnGroup, Ratio
from reports.model.visible import name_text, value_text

#: The metrics that the summary shows in a group of their own.
_MEMORY = "memory"
_ON_MEMORY = ("peak_memory",)
#: A scenario that needed more than another by less than this needed no more: runs differ by as much.
_CLEARLY_MORE = 1.02
#: A percentile metric stands in a comparison with its median; the others are in the details.
_SUMMARY_PERCENTILE = 50


@dataclass(frozen=True)
class Measure:
    """A column before it is put in words."""

    scenario: str
    name: str
    parameters: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for equal measures."""
        return self.scenario, self.name, same_key(dict(self.parameters))


def measures_of(entries: Sequence[Entry]) -> list[Measure]:
    """The headline metrics that any job has, scenario by scenario, in the registry's order."""
    seen: dict[tuple[str, str, str], Measure] = {}
    rows = [{each.name for each in entry.result.metrics if each.estimate.value is not None} for entry in entries]
    named = {name for name, metric in METRICS.items() if metric.is_named(rows)}
    for entry in entries:
        for metric in entry.result.metrics:
            if metric.name in named and in_summary(metric.parameters):
                measure = Measure(entry.scenario, metric.name, metric.parameters)
                seen.setdefault(measure.key, measure)
    telling = telling_scenarios(entries)
    kept = [each for each in seen.values() if each.name not in _ON_MEMORY or each.scenario in telling]
    scenarios = list(dict.fromkeys(entry.scenario for entry in entries))
    registered = list(METRICS)
    return sorted(
        kept,
        key=lambda each: (each.name in _ON_MEMORY, scenarios.index(each.scenario), registered.index(each.name)),
    )


def in_summary(parameters: Parameters) -> bool:
    """Whether these are the parameters of a median, or of a metric without percentiles."""
    return parameters.get("percentile", _SUMMARY_PERCENTILE) == _SUMMARY_PERCENTILE


def column_groups(measures: Sequence[Measure], entries: Sequence[Entry]) -> Iterator[ColumnGroup]:
    """Columns under their scenario, those on memory apart, with the parameters that no two of a group contradict."""
    for name, group in groupby(measures, key=lambda each: _MEMORY if each.name in _ON_MEMORY else each.scenario):
        alike = list(group)
        shared = _shared([each.parameters for each in alike])
        columns = [column(each, shared, _where(each, alike, entries)) for each in alike]
        yield ColumnGroup(name=name, parameters=parameters_text(shared), columns=tuple(columns))


def _shared(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for each in parameters:
        for name, value in each.items():
            found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if all(value == values[0] for value in values)}


def _where(measure: Measure, group: Sequence[Measure], entries: Sequence[Entry]) -> str:
    """Which scenario a column on memory is from, where there are several."""
    if measure.name not in _ON_MEMORY or len({entry.scenario for entry in entries}) < 2:
        return ""
    measured = {
        entry.scenario for entry in entries if any(metric.name == measure.name for metric in entry.result.metrics)
    }
    return f"in {measure.scenario}" + (", where it was highest" if len(measured) > len(group) else "")


def column(measure: Measure, shared: Mapping[str, Any], where: str) -> Column:
    """A column's heading; `shared` are the parameters that stand elsewhere."""
    better = better_of(measure.name)
    percentile = f" p{_SUMMARY_PERCENTILE}" if "percentile" in measure.parameters else ""
    own = {name: value for name, value in measure.parameters.items() if name not in shared}
    return Column(
        title=title_of(measure.name) + percentile,
        parameters=", ".join(part for part in (parameters_text(own), where) if part),
        better=f"{better} is better" if better else "",
    )


def find(row: Sequence[Entry], measure: Measure) -> MetricResult | None:
    """The row's metric of a column. What a device does in what time and memory, only a device can say."""
    for entry in row:
        if entry.weights_only and _of_device(measure):
            continue
        for metric in entry.result.metrics:
            if (entry.scenario, metric.name, same_key(dict(metric.parameters))) == measure.key:
                return metric
    return None


def _of_device(measure: Measure) -> bool:
    return measure.name not in METRICS or METRICS[measure.name].unit in OF_DEVICE


def scale_of(metrics: Iterable[MetricResult | None]) -> Scale | None:
    """One multiple for a column, so that its values compare at a glance; None where they differ too much."""
    known = [(metric.unit, value) for metric in metrics if metric and (value := metric.estimate.value) is not None]
    return common_scale(known[0][0], [value for _, value in known]) if known else None


def cell_of(
    row: Sequence[Entry],
    measure: Measure,
    scale: Scale | None,
    judge: Callable[[Entry, MetricResult], Ratio],
) -> Cell:
    """A row's cell in a column; `judge` gives the ratio to whatever the row is compared with."""
    entry = next((entry for entry in row if entry.scenario == measure.scenario), None)
    if entry is None:
        return Cell(state="absent", note="not asked for")
    metric = find(row, measure)
    if metric is None:
        outcome = entry.result.outcome
        if not outcome.ok:
            return Cell(state="failed", note=str(outcome.kind))
        if entry.weights_only and _of_device(measure):
            return Cell(state="absent", note=WEIGHTS_ONLY)
        return Cell(state="unknown", note=takes_text(measure.name, [entry.result]) or "the worker did not report it")
    shown = quantity(metric.estimate, metric.unit, scale)
    if metric.estimate.value is None:
        return Cell(state="unknown", quantity=shown, count=metric.estimate.count)
    return Cell(state="value", quantity=shown, ratio=judge(entry, metric), count=metric.estimate.count)


def metric_cell(entry: Entry, metric: MetricResult | None, scale: Scale | None = None) -> Cell:
    """A figure of one job, or why there is none."""
    if metric is not None:
        state = "unknown" if metric.estimate.value is None else "value"
        shown = quantity(metric.estimate, metric.unit, scale)
        return Cell(state=state, quantity=shown, count=metric.estimate.count)
    outcome = entry.result.outcome
    if not outcome.ok:
        return Cell(state="failed", note=name_text(outcome.kind))
    return Cell(state="absent", note=WEIGHTS_ONLY if entry.weights_only else "not reported")


def joined(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """The same cells; neighbours that say the same of why they have no value are one."""
    found: list[Cell] = []
    for cell in cells:
        last = found[-1] if found else None
        if last and cell.state in ("absent", "failed") and (cell.state, cell.note) == (last.state, last.note):
            found[-1] = replace(last, span=last.span + cell.span)
        else:
            found.append(cell)
    return tuple(found)


def why_failed(entry: Entry) -> str:
    """How a job ended that has no value: its outcome and the reason, on one line."""
    outcome = entry.result.outcome
    return value_text(f"{outcome.kind}: {outcome.reason}" if outcome.reason else str(outcome.kind))


def telling_scenarios(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The scenarios whose peak memory is worth showing, highest first: those that no other exceeds on every row."""
    peaks: dict[str, dict[str, float]] = {}
    for entry in entries:
        metric = memory_metric(entry, "peak_memory")
        if metric is not None and metric.estimate.value is not None:
            peaks.setdefault(entry.scenario, {})[entry.who] = metric.estimate.value
    kept: list[str] = []
    for scenario in sorted(peaks, key=lambda name: -max(peaks[name].values())):
        if not any(_covers(peaks[other], peaks[scenario]) for other in kept):
            kept.append(scenario)
    return tuple(kept)


def _covers(these: Mapping[str, float], those: Mapping[str, float]) -> bool:
    return all(who in these and these[who] * _CLEARLY_MORE >= value for who, value in those.items())
