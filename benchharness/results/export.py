"""Results for other programs: JSON with a schema version, CSV with a row per metric. Times in ns, sizes in bytes.

JSON, schema 1::

    {"schema": 1, "run": {"id", "suite", "started"}, "results": [{"hardware", "device", "model", "variant",
     "configuration": {}, "workload": {}, "scenario", "outcome", "conditions": {}, "warnings": [], "metrics": [{"name",
     "parameters": {}, "unit", "value", "low", "high", "statistic", "attempts": [{"id", "device", "value",
     "samples": []}]}]}]}

The history of a store, schema 1 (`history_to_json`)::

    {"schema": 1, "nights": [{"run", "suite", "started", …}], "trends": [{"hardware", "device", "model", "variant", …,
     "absolute": {"nights": [], "values": [], "lows": [], "highs": [], "counts": []}, "ratio": {}, "base": {},
     "steps": [{"night", "size", "certainty", "causes": []}], "gap": {}, "exact",
     "bridged": [{"build", "nights": [], "runs": [], "value", "low", "high"}]}],
     "told": [], "machines": {device: text}, "tested", "alpha"}

`night` and `nights` are places in the list of nights; a step is the first night of its new level. `bridged` are nights
beside another base, which is `value` times `base_build`: their `ratio` and `base` are told by it.

A key may be added within a schema; none changes its meaning or goes. A value that is unknown is null, with `reason`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchharness.judge.choice import Choice
from benchharness.results.result import SCHEMA, AttemptValue, Contrast, Estimate, MetricResult, Result, Run

if TYPE_CHECKING:
    from benchharness.results.trends import FleetTrend, History, Trend

_CSV_COLUMNS = (
    *("run", "hardware", "device", "model", "variant", "configuration", "workload", "scenario", "outcome"),
    *("metric", "parameters", "unit", "value", "low", "high", "count", "ratio", "ratio_low", "ratio_high", "reason"),
    *("ratio_reason", "side"),
)

#: A cell that begins like this is run by a spreadsheet.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_json(run: Run, results: Sequence[Result], choices: Sequence[Choice] = (), *, samples: bool = True) -> str:
    """A run as JSON, schema 1, with the choices that can be made from it; without samples a hundredth as long."""
    document = {
        "schema": SCHEMA,
        "run": {
            "id": run.id,
            "suite": run.suite,
            "suite_digest": run.suite_digest,
            "started": run.started.isoformat(),
            "finished": run.finished.isoformat() if run.finished else None,
            "state": run.state,
            "benchharness": run.version,
        },
        "results": [_result(result, samples=samples) for result in results],
        "choices": [asdict(choice) for choice in choices],
    }
    return json.dumps(document, indent=1 if samples else None, allow_nan=False)


def history_to_json(history: History) -> str:
    """What a store says over many runs, as JSON, schema 1."""
    nights = [{**vars(night), "started": night.started.isoformat()} for night in history.nights]
    document = {
        "schema": SCHEMA,
        "nights": nights,
        "trends": [_trend(trend) for trend in history.trends],
        "told": list(history.told),
        "machines": dict(history.machines),
        "fleets": [_fleet(each) for each in history.fleets],
        "tested": history.tested,
        "alpha": history.alpha,
    }
    return json.dumps(document, allow_nan=False)


def _trend(trend: Trend) -> dict[str, Any]:
    gap = trend.gap and {**vars(trend.gap), "since": trend.gap.since.isoformat()}
    tracks = {name: vars(getattr(trend, name)) for name in ("absolute", "ratio", "base")}
    told = {name: [asdict(each) for each in getattr(trend, name)] for name in ("steps", "bridged")}
    return {**vars(trend), **tracks, **told, "gap": gap}


def _fleet(fleet: FleetTrend) -> dict[str, Any]:
    """A figure over several devices: whose it is once, and the devices in the order of their own trends."""
    first = fleet.trends[0]
    whose = ("suite", "hardware", "model", "variant", "configuration", "workload", "scenario", "cell", "metric", "unit")
    return {
        **{name: getattr(first, name) for name in whose},
        "parameters": dict(first.parameters),
        "devices": [trend.device for trend in fleet.trends],
        "absolute": vars(fleet.absolute),
        "ratio": vars(fleet.ratio),
        "steps": [asdict(step) for step in fleet.steps],
        "farthest": fleet.farthest,
        "far": fleet.far,
        "stands_out": fleet.stands_out,
    }


def to_csv(run: Run, results: Sequence[Result]) -> str:
    """A run as CSV: a row per result and metric, and a row without a metric for a result that has none."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _CSV_COLUMNS, restval="", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    for result in results:
        job = result.job
        cell = {
            "run": run.id,
            "hardware": job.hardware,
            "device": " ".join(result.devices),
            "model": job.model,
            "variant": job.variant,
            "configuration": job.configuration.name,
            "workload": job.workload.name,
            "scenario": job.scenario,
            "side": job.side,
            "outcome": result.outcome.exported,
        }
        rows: list[dict[str, Any]] = [_csv_metric(metric) for metric in result.metrics] or [{}]
        writer.writerows({key: _harmless(value) for key, value in {**cell, **row}.items()} for row in rows)
    return buffer.getvalue()


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, made plain text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA_STARTS else value


def _csv_metric(metric: MetricResult) -> dict[str, Any]:
    estimate, ratio = metric.estimate, metric.ratio
    row = {
        "metric": metric.name,
        "parameters": json.dumps(dict(metric.parameters), sort_keys=True),
        "unit": metric.unit,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "count": estimate.count,
        "reason": estimate.reason,
    }
    if ratio is not None:
        row |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high, "ratio_reason": ratio.reason}
    return {key: "" if value is None else value for key, value in row.items()}


def _result(result: Result, *, samples: bool) -> dict[str, Any]:
    job = result.job
    return {
        "hardware": job.hardware,
        "device": result.devices[0] if len(result.devices) == 1 else list(result.devices),
        "model": job.model,
        "task": job.task or result.effective.task,
        "variant": job.variant,
        "precision": job.precision,
        "reference": job.reference,
        "artefact": {
            "path": job.artefact,
            "digest": job.digest,
            "bytes": None if job.files.get("unknown") else job.artefact_bytes,
            "recipe": job.recipe,
            "files": dict(job.files),
        },
        "configuration": job.configuration.to_json(),
        "effective": result.effective.to_json(),
        "workload": job.workload.to_json(),
        "scenario": job.scenario,
        "settings": dict(job.settings),
        **({"side": job.side, "pair": job.pair} if job.side else {}),  # of two builds that are compared
        "outcome": str(result.outcome.kind),
        "reason": result.outcome.reason,
        "evidence": result.outcome.evidence,
        "outcomes": dict(result.outcomes),
        "stopped": result.stopped,
        "conditions": result.conditions.to_json(),
        "warnings": [
            {"kind": str(warning.kind), "message": warning.message, "hint": warning.hint} for warning in result.warnings
        ],
        "verdicts": [
            {
                "budget": verdict.budget,
                "origin": verdict.origin,
                "metric": verdict.metric,
                "parameters": dict(verdict.parameters),
                "limit": verdict.limit,
                **({"against": verdict.against} if verdict.against else {}),
                "verdict": str(verdict.kind),
                "reason": verdict.reason,
            }
            for verdict in result.verdicts
        ],
        "metrics": [_metric(metric, samples=samples) for metric in result.metrics],
        "contrasts": [_contrast(contrast) for contrast in result.contrasts],
        "courses": [asdict(course) for course in result.courses],
        "ladders": [asdict(ladder) for ladder in result.ladders],
        "told": list(result.told),
    }


def _samples(value: AttemptValue) -> dict[str, Any]:
    return {"samples": None, "reason": why} if (why := value.why_no_samples) else {"samples": list(value.samples)}


def _contrast(contrast: Contrast) -> dict[str, Any]:
    return {
        "basis": str(contrast.basis),
        "other": contrast.title,
        "ratios": [
            {"name": name, "parameters": dict(parameters), **_ratio(ratio)}
            for name, parameters, ratio in contrast.ratios
        ],
    }


def _ratio(ratio: Estimate) -> dict[str, Any]:
    """Without a value where the two did not do the same work; the reason says what differs."""
    return {
        "value": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        "statistic": ratio.statistic,
        "reason": ratio.reason,
    }


def _metric(metric: MetricResult, *, samples: bool) -> dict[str, Any]:
    estimate, ratio = metric.estimate, metric.ratio
    return {
        "name": metric.name,
        "parameters": dict(metric.parameters),
        "unit": str(metric.unit),
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "statistic": estimate.statistic,
        "reason": estimate.reason,
        "ratio": ratio and _ratio(ratio),
        "attempts": [
            {"id": value.attempt, "device": value.device, "value": value.value} | (_samples(value) if samples else {})
            for value in metric.attempts
        ],
    }
