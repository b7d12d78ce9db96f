"""A job's memory: its metrics by phase and kind, in a table, and why some are unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchharness.results.result import MetricResult
from benchharness.units import Scale, scale_for, worth
from reports.model.entries import Entry
from reports.model.estimates import quantity, ratio
from reports.model.tables import Cell, Quantity, QuantityRow, QuantityTable
from reports.model.visible import name_text, value_text, words_of

#: Metrics that stand in a job's table by phase, so that they are not repeated among its other metrics.
BY_PHASE = ("phase_peak_memory", "settled_memory")
#: Budgets in whose unit memory is told, and files.
OF_MEMORY = ("peak_memory", "model_memory", "memory_floor")
OF_FILES = ("artefact_size", "download_size")
_KINDS = {"rss": "RSS", "pss": "PSS", "uss": "USS"}


def memory_metric(entry: Entry, name: str, **parameters: str) -> MetricResult | None:
    """A job's metric of a name with these parameters."""
    found = (metric for metric in entry.result.metrics if metric.name == name)
    return next((metric for metric in found if parameters.items() <= dict(metric.parameters).items()), None)


def wished_scale(entries: Sequence[Entry], *metrics: str) -> Scale | None:
    """The unit of bytes that a budget on one of the metrics is written in, the first that there is; else None."""
    verdicts = [verdict for entry in entries for verdict in entry.result.verdicts]
    units = [verdict.unit for name in metrics for verdict in verdicts if verdict.metric == name and verdict.unit]
    return scale_for("bytes", 0.0, units[0]) if units and worth(units[0], "bytes") else None


def phases_of(entry: Entry) -> list[str]:
    """The phases that have something to show, in the order in which they ran."""
    found = (metric.parameters.get("phase") for metric in entry.result.metrics if metric.name in BY_PHASE)
    return list(dict.fromkeys(phase for phase in found if isinstance(phase, str)))


def memory_unknown(entry: Entry) -> Mapping[str, object]:
    """By kind of memory: why it could not be read."""
    return entry.result.conditions.memory_unknown


def memory_cell(
    entry: Entry, metric: MetricResult | None, scale: Scale | None, kind: str, *, compared: bool = False
) -> Cell:
    """A quantity of memory, or why there is none; `kind` is what `memory_unknown` calls it."""
    if metric is not None:
        judged = ratio(metric, is_reference=entry.result.job.is_reference) if compared else None
        shown = quantity(metric.estimate, metric.unit, scale)
        return Cell(state="value", quantity=shown, ratio=judged, count=metric.estimate.count)
    if not entry.result.outcome.ok:
        return Cell(state="failed", note=name_text(entry.result.outcome.kind))
    reasons = memory_unknown(entry)
    reason = reasons.get(kind) or reasons.get("memory")
    return Cell(state="unknown", quantity=Quantity(text="unknown", reason=value_text(reason or "it was not recorded")))


def phase_table(entry: Entry) -> QuantityTable | None:
    """A job's memory by phase: the highest within each, and what it held at its end, by kind."""
    settled = [metric for metric in entry.result.metrics if metric.name == "settled_memory"]
    kinds = list(dict.fromkeys(str(metric.parameters.get("kind")) for metric in settled))
    phases = phases_of(entry)
    if not phases:
        return None
    rows, scale = [], wished_scale([entry], *OF_MEMORY)
    for phase in phases:
        metrics = [memory_metric(entry, "phase_peak_memory", phase=phase)]
        metrics += [memory_metric(entry, "settled_memory", phase=phase, kind=kind) for kind in kinds]
        names = ["phase peaks", *kinds]
        cells = [memory_cell(entry, metric, scale, name) for name, metric in zip(names, metrics, strict=True)]
        rows.append(QuantityRow(who=words_of(phase), cells=tuple(cells)))
    columns = [("highest within it", ""), *((f"{_KINDS.get(kind, name_text(kind))} at its end", "") for kind in kinds)]
    return QuantityTable(scenario=entry.scenario, columns=tuple(columns), rows=tuple(rows))
