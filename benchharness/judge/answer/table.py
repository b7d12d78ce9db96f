"""The one table of an answer: a row a variant and configuration, a column a metric, budgeted ones first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchharness.judge.answer.model import Cell, Column, Row
from benchharness.judge.choice import LOSSES, OBJECTIVE_OF, OBJECTIVES
from benchharness.judge.evidence import no_evidence
from benchharness.judge.ranking import Candidate
from benchharness.metrics import METRICS, Better
from benchharness.metrics.definition import OF_DEVICE
from benchharness.results.result import (
    EXACT,
    Estimate,
    Job,
    MetricResult,
    Parameters,
    Result,
    Verdict,
    VerdictKind,
    is_of,
    part_of,
)
from benchharness.units import Scale, common_scale, scale_for

#: A miss is worse than what is open, and that than a pass.
_WORST = {VerdictKind.MISS: 0, VerdictKind.UNDECIDED: 1, VerdictKind.PASS: 2}
_MEDIAN = 50
#: What a reader asks for first where it was measured, though variants are better told apart by another metric.
_READ_FIRST = {"quality": ("accuracy",)}
#: How a value that keeps a limit stands to it.
_SIGNS = {Better.LOWER: "≤", Better.HIGHER: "≥", Better.NEITHER: "≤"}


def columns_of(of_each: Sequence[Sequence[Result]]) -> list[Column]:
    """Budgets in the order in which they are set, then what a variant is chosen by, then other headline metrics."""
    results = [result for everything in of_each for result in everything]
    budgeted = list(_budgeted(results))
    taken = {column.metric for column in budgeted}
    objectives = {OBJECTIVE_OF.get(name, name) for name in taken}
    measured = [name for name in METRICS if any(_valued(result, name) for result in results)]
    chosen = [
        next((name for name in (*_READ_FIRST.get(objective, ()), *names) if name in measured), "")
        for objective, names in OBJECTIVES.items()
        if objective not in objectives
    ]
    rows = [{name for name in METRICS if any(_valued(result, name) for result in each)} for each in of_each]
    named = [name for name in measured if METRICS[name].is_named(rows)]
    others = [name for name in named if name not in taken and name not in chosen]
    plain = [
        Column(
            metric=name,
            title=METRICS[name].title,
            unit=METRICS[name].unit,
            better=METRICS[name].better,
            percentile=_MEDIAN if METRICS[name].percentiles else None,
        )
        for name in (*filter(None, chosen), *others)
    ]
    return [replace(column, scale=_scale(column, results)) for column in (*budgeted, *plain)]


def _budgeted(results: Sequence[Result]) -> Iterator[Column]:
    """A column for each budget that has a verdict. What a bound of the budget's metric says stands in it too."""
    seen: dict[str, Verdict] = {}
    for verdict in (verdict for result in results for verdict in result.verdicts):
        if verdict.metric in METRICS:
            seen.setdefault(verdict.budget, verdict)
    for budget, verdict in seen.items():
        metric = METRICS[_about(verdict.metric)]
        output = _named(budget, metric.name, verdict.parameters)
        percentile = verdict.parameters.get("percentile")
        named = f" of {output}" if output else f" p{percentile}" if percentile else ""
        told = budget.removeprefix(f"{metric.name}{named}").strip()
        yield Column(
            metric=metric.name,
            title=f"{metric.title}{named}",
            unit=metric.unit,
            better=metric.better,
            percentile=int(percentile) if percentile else None,
            output=output,
            budget=budget,
            limit=None if verdict.against else verdict.limit,
            limit_text=f"{'' if verdict.against else f'{_SIGNS[metric.better]} '}{told}",
            origin=verdict.origin,
            scale=None if verdict.against else scale_for(metric.unit, verdict.limit, verdict.unit),
        )


def _scale(column: Column, results: Sequence[Result]) -> Scale | None:
    if column.scale is not None:
        return column.scale
    found = (metric.estimate.value for result in results for metric in _of(result, column))
    values = [value for value in found if value is not None]
    return common_scale(column.unit, values) if values else None


def row_of(name: str, candidate: Candidate, everything: Sequence[Result], columns: Sequence[Column]) -> Row:
    """A candidate's row. `everything`: what was measured of it, quality included."""
    job = everything[0].job
    figure = candidate.figures.get("quality")
    lost_nothing = figure is not None and figure.reference
    return Row(
        name=name,
        variant=job.variant,
        configuration=job.configuration.name or job.configuration.runtime,
        runtime=job.configuration.runtime,
        precision=job.precision or "",
        recipe=job.recipe,
        digest=job.digest,
        reference=job.is_reference,
        ships=job.ships,
        cells=tuple(_cell(column, everything, lost_nothing=lost_nothing) for column in columns),
        failures=tuple(_failures(everything)),
        unfit=tuple(candidate.unfit),
        dominated_by=candidate.dominated_by,
        results=tuple(everything),
    )


def _failures(everything: Sequence[Result]) -> Iterator[str]:
    """How jobs ended that failed; scenarios that ended alike are told together."""
    alike: dict[str, list[str]] = {}
    for each in everything:
        if not each.outcome.ok:
            alike.setdefault(str(each.outcome), []).append(each.job.scenario)
    for outcome, scenarios in alike.items():
        yield f"{', '.join(dict.fromkeys(scenarios))} {outcome}"


def _cell(column: Column, everything: Sequence[Result], *, lost_nothing: bool) -> Cell:
    found = [(result, metric) for result in everything for metric in _of(result, column)]
    if not found:
        if lost_nothing and column.metric in LOSSES:
            return Cell(is_reference=True, verdict=VerdictKind.PASS if column.budget else None)
        return Cell(estimate=_size(column, everything[0].job), reason=_why_none(column, everything))
    result, metric, verdict = _worst(column, found)
    doubt = no_evidence(result, metric)
    several = {part_of(each.parameters) for _, each in found}
    return Cell(
        estimate=metric.estimate if metric.estimate.value is not None else None,
        ratio=None if result.job.is_reference else metric.ratio,
        verdict=verdict.kind if verdict else None,
        reason=(verdict.reason if verdict else "") or (metric.estimate.reason if metric.estimate.value is None else ""),
        doubt=doubt,
        is_bound=bool(_bounds(metric.name)) and metric.name != column.metric,
        output=part_of(metric.parameters) if len(several) > 1 else "",
        job=result.job.key,
        scenario=result.job.scenario,
        attempts=tuple(each.attempt for each in metric.attempts),
    )


def _size(column: Column, job: Job) -> Estimate | None:
    """A file's size is known of a variant that nothing was measured of, too."""
    sizes = {"artefact_size": job.artefact_bytes, "download_size": job.download_bytes}
    size = None if job.files.get("unknown") else sizes.get(column.metric)
    return Estimate(value=float(size), low=float(size), high=float(size), statistic=EXACT) if size else None


def _of(result: Result, column: Column) -> list[MetricResult]:
    """A result's metrics that a column is about: what its budget judges, else the whole before single outputs."""
    found = [
        metric
        for metric in result.metrics
        if column.metric in (metric.name, _told_by(result, metric, column))
        and metric.parameters.get("percentile") == column.percentile
    ]
    if column.output:
        return [metric for metric in found if is_of(metric.parameters, column.output)]
    return [metric for metric in found if not part_of(metric.parameters)] or found


def _named(budget: str, metric: str, parameters: Parameters) -> str:
    """The part that a budget names: an output, a task, or one of its measures; "" where it is on all."""
    parts = (part_of(parameters), str(parameters.get("task", "")))
    return next((part for part in parts if part and budget.startswith(f"{metric} of {part} ")), "")


def _about(name: str) -> str:
    """The metric that a budget names, of whose limit a figure tells: its own, what it bounds, what it is of."""
    return METRICS[name].bounds or METRICS[name].of_reference or name


def _told_by(result: Result, metric: MetricResult, column: Column) -> str:
    """What a figure tells of beside its own metric: what it bounds, or what it is of the reference."""
    if result.job.is_reference and metric.name in METRICS and METRICS[metric.name].of_reference:
        return METRICS[metric.name].of_reference
    return _bounds(metric.name) if column.budget else ""


def _bounds(name: str) -> str:
    """The metric that one bounds; "" also for one that this version does not know."""
    return METRICS[name].bounds if name in METRICS else ""


def _valued(result: Result, name: str) -> bool:
    return any(metric.name == name and metric.estimate.value is not None for metric in result.metrics)


def _worst(column: Column, found: Sequence[tuple[Result, MetricResult]]) -> tuple[Result, MetricResult, Verdict | None]:
    """Of several figures, such as two peaks of memory, the one to reckon with."""
    judged = [(result, metric, _verdict(column, result, metric)) for result, metric in found]
    sign = -1.0 if column.better is not Better.HIGHER else 1.0

    def badness(each: tuple[Result, MetricResult, Verdict | None]) -> tuple[int, int, float]:
        _, metric, verdict = each
        value = metric.estimate.value
        kind = _WORST[verdict.kind] if verdict else len(_WORST)
        return kind, value is None, sign * (value if value is not None else 0.0)

    return min(judged, key=badness)


def _verdict(column: Column, result: Result, metric: MetricResult) -> Verdict | None:
    return next(
        (
            verdict
            for verdict in result.verdicts
            if verdict.budget == column.budget
            and (verdict.metric, verdict.parameters) == (metric.name, metric.parameters)
        ),
        None,
    )


def _why_none(column: Column, everything: Sequence[Result]) -> str:
    """Why a row has no figure: what was measured says so, or how its jobs ended."""
    bound = next(
        (each.name for result in everything for each in result.metrics if _bounds(each.name) == column.metric),
        None,
    )
    if bound is not None:
        return f"only bounded: {METRICS[bound].title}"
    if any(not result.effective.on_device for result in everything):
        return "reference execution, weights only"
    if reason := takes_text(column.metric, everything):
        return reason
    failed = next((result for result in everything if not result.outcome.ok and _could_have(result, column)), None)
    return f"{failed.job.scenario}: {failed.outcome.kind}" if failed else "not measured"


def takes_text(metric: str, everything: Sequence[Result]) -> str:
    """Why a runtime that takes texts only has no such metric; empty for others."""
    if metric == "model_ttft" and any(_valued(result, "request_ttft") for result in everything):
        return f"takes a text: {METRICS['request_ttft'].title} alone"
    return ""


def _could_have(result: Result, column: Column) -> bool:
    """Whether a result that failed is one of those that such a figure comes from: quality is a pass of its own."""
    return (result.job.scenario == "quality") != (METRICS[column.metric].unit in OF_DEVICE)


def excess(row: Row, columns: Sequence[Column]) -> float:
    """How far beyond the limits that it misses a row is: the sum of |ln(value / limit)|, 1 where there is no ratio."""
    return sum(
        _excess(cell.estimate.value if cell.estimate else None, column.limit or 0.0)
        for cell, column in zip(row.cells, columns, strict=True)
        if cell.verdict is VerdictKind.MISS
    )


def _excess(value: float | None, limit: float) -> float:
    if value is None or value <= 0 or limit <= 0 or not math.isfinite(value):
        return 1.0
    return abs(math.log(value / limit))
