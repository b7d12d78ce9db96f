"""Energy and battery of courses -> a table of its own, estimates under their own name."""

from __future__ import annotations

from collections.abc import Sequence

from benchharness.results.result import MetricResult
from reports.model.entries import Entry
from reports.model.tables import QuantityRow, QuantityTable
from reports.model.visible import name_text
from reports.sections.sustained.cells import metric_cell

#: What stands in the table, if any of it was reported; what an inference takes stands beside the rates, too.
_COLUMNS = {
    "energy_per_inference": ("energy an inference", ""),
    "energy_per_answer": ("energy an answer", "prompt included"),
    "estimated_energy_per_inference": ("estimated energy an inference", "not measured"),
    "estimated_energy_per_answer": ("estimated energy an answer", "not measured"),
    "battery_drain": ("battery", "drained an hour"),
    "charge_drain": ("charge", "drained an hour"),
}
_ALONE = "energy_per_inference"


def energy_table(entries: Sequence[Entry], scenario: str) -> QuantityTable | None:
    """None where nothing more is known than what an inference takes, or that it is not known."""
    found = [{metric.name: metric for metric in entry.result.metrics if metric.name in _COLUMNS} for entry in entries]
    names = [name for name in _COLUMNS if any(name in metrics for metrics in found)]
    if not set(names) - {_ALONE}:
        return None
    return QuantityTable(
        scenario=scenario,
        columns=tuple((_COLUMNS[name][0], _under(name, found)) for name in names),
        rows=tuple(
            QuantityRow(who=entry.who_and_how, cells=tuple(metric_cell(metrics.get(name)) for name in names))
            for entry, metrics in zip(entries, found, strict=True)
        ),
    )


def _under(name: str, found: Sequence[dict[str, MetricResult]]) -> str:
    """What a column's figures are of, as far as all of its rows say the same."""
    told = {str(metrics[name].parameters.get("of", "")) for metrics in found if name in metrics}
    of = f"of {name_text(*told)}" if len(told) == 1 and "" not in told else ""
    return ", ".join(filter(None, (_COLUMNS[name][1], of)))
