"""A fleet as JSON, schema 1."""

from __future__ import annotations

from typing import Any

from benchharness.judge.fleet import Fleet, FleetFigure
from benchharness.results.result import Estimate


def to_json(fleet: Fleet, *, headlines: bool = False) -> dict[str, Any]:
    """Everything, for programs; or of figures only those that are looked at first."""
    shown = [figure for figure in fleet.figures if figure.headline or not headlines]
    return {
        "schema": 1,
        "hardware": fleet.hardware,
        "devices": [{"id": unit.device, "name": unit.name, "run": unit.run.id} for unit in fleet.units],
        "told": list(fleet.told),
        "stands_out": {name: len(figures) for name, figures in fleet.odd.items()},
        "figures": [_figure_json(fleet, figure) for figure in shown],
    }


def _figure_json(fleet: Fleet, figure: FleetFigure) -> dict[str, object]:
    job, far = figure.job, figure.farthest
    return {
        "model": job.model,
        "variant": job.variant,
        "configuration": job.configuration.name,
        "workload": job.workload.name,
        "scenario": job.scenario,
        "metric": figure.metric,
        "parameters": dict(figure.parameters),
        "is": "candidate / base" if figure.change else "value",
        "unit": "" if figure.change else figure.unit,
        **_ends(figure.whole),
        "ratio": None if figure.ratio is None else _ends(figure.ratio),
        "devices": {unit.name: _ends(each) for unit, each in zip(fleet.units, figure.of, strict=True)},
        "farthest": None
        if far is None
        else {"device": fleet.units[far.at].name, "factor": far.factor, "stands_out": far.stands_out},
    }


def _ends(each: Estimate) -> dict[str, object]:
    return {"value": each.value, "low": each.low, "high": each.high, "reason": each.reason}
