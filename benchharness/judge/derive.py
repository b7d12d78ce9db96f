"""Attempts -> results: what a job yields, with intervals, ratios to the reference, and warnings. Pure.

Nothing derived is ever stored, so taking an attempt away changes every number that stood on it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from benchharness.judge.compare import identity, ratios_of
from benchharness.judge.contrasts import contrasts
from benchharness.judge.intervals import over_attempts
from benchharness.judge.percentiles import carried, percentile_of
from benchharness.judge.unequal import Factor
from benchharness.judge.warnings import left_running, warnings_of
from benchharness.metrics import METRICS, ROWS, Metric
from benchharness.results.courses import Course
from benchharness.results.result import (
    EXACT,
    Attempt,
    AttemptValue,
    Estimate,
    Job,
    Measurement,
    MetricResult,
    Outcome,
    OutcomeKind,
    Parameters,
    Result,
)
from benchharness.results.told import Conditions, Effective
from benchharness.scenarios import SCENARIOS

#: Rows of a course or a ladder are no values: courses and ladders are made of them.
_RAW = {metric.name for metric in ROWS}
#: An outcome for a job that never got an attempt.
_NEVER_TRIED = Outcome(kind=OutcomeKind.TIMEOUT, reason="no attempt was made before the run ended")


def derive(jobs: Iterable[tuple[Job, str]], attempts: Sequence[Attempt]) -> list[Result]:
    """One result for every (job, why it stopped), in order, each compared with its reference."""
    by_job: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_job.setdefault(attempt.job, []).append(attempt)
    return together([derive_one(job, by_job.get(job.key, []), stopped) for job, stopped in jobs])


def together(alone: Sequence[Result]) -> list[Result]:
    """The results of one run, each derived by itself, with what holds them against each other."""
    results = [_told(_beside(result, alone)) for result in alone]
    references = {(result.job.variant, *_cell(result.job)): result for result in results if result.job.is_reference}
    compared = [_compared(result, references.get((result.job.reference, *_cell(result.job)))) for result in results]
    beside = [replace(result, contrasts=list(contrasts(result, compared))) for result in compared]
    return list(_with_references_own(beside))


def _with_references_own(results: Sequence[Result]) -> Iterator[Result]:
    """What quality a reference has of its own, such as its accuracy, stands on its first result of each workload.

    It is measured while variants are compared with it: a reference has no such job.
    """
    seen: set[tuple[str, str, str, str, str]] = set()
    for result in results:
        job = result.job
        place = (job.hardware, job.model, job.workload.name, job.variant, job.configuration.name)
        own = list(_own_of(job, results)) if job.is_reference and job.against is None and place not in seen else []
        seen.add(place)
        yield replace(result, metrics=[*result.metrics, *own]) if own else result


def _own_of(job: Job, results: Sequence[Result]) -> Iterator[MetricResult]:
    told: set[tuple[str, str]] = set()
    for other in results:
        held = other.job.against
        if held is None or (other.job.hardware, other.job.model, held.variant) != (
            job.hardware,
            job.model,
            job.variant,
        ):
            continue
        if held.configuration.apart_from_threads != job.configuration.apart_from_threads:
            continue
        for metric in other.metrics:
            if metric.name in METRICS and METRICS[metric.name].of_reference and identity(metric) not in told:
                told.add(identity(metric))
                yield metric


def derive_one(job: Job, attempts: Sequence[Attempt], stopped: str) -> Result:
    """The result of one job, not yet compared with its reference. One good attempt is all that quality needs."""
    good = [attempt for attempt in attempts if attempt.outcome.ok]
    scenario = SCENARIOS.of_stored(job.scenario)
    over_time = list(scenario.courses(good))
    last = (good or attempts)[-1] if attempts else None
    result = Result(
        job=job,
        outcome=good[-1].outcome if job.against is not None and good else _outcome(attempts),
        devices=sorted({attempt.device for attempt in attempts}),
        outcomes=dict(Counter(str(attempt.outcome.kind) for attempt in attempts)),
        stopped=stopped,
        metrics=[*_metrics(job, good, over_time), *sizes_of(job)] if good else [],
        effective=last.effective if last else Effective(),
        conditions=last.conditions if last else Conditions(),
        courses=over_time,
        ladders=list(scenario.ladders(good)),
    )
    given = [warning for attempt in attempts for warning in attempt.warnings]
    return replace(result, warnings=list(dict.fromkeys([*given, *warnings_of(result, good), *left_running(attempts)])))


def _metrics(job: Job, good: Sequence[Attempt], over_time: Sequence[Course]) -> Iterator[MetricResult]:
    """What the good attempts of a job measured, and what its scenario makes of their raw rows."""
    scenario = SCENARIOS.of_stored(job.scenario)
    if scenario.values:
        for grouped in _by_metric(good):
            yield from _metric_results(*grouped)
        yield from _no_itl(good)
        yield from _not_told(good)
    yield from scenario.derived(good, over_time)


def _no_itl(good: Sequence[Attempt]) -> Iterator[MetricResult]:
    """ITL of a runtime with stamps of its own that do not tell tokens apart: unknown, in the device's words."""
    reason, tpot = good[-1].effective.itl_unknown, _measured(good[-1], "tpot")
    told = tpot is not None and any(_measured(attempt, "itl") for attempt in good)
    if reason is not None and tpot is not None and not told:
        parameters = {**tpot.parameters, "percentile": 50}
        unknown = Estimate(value=None, statistic="geometric mean of attempts' p50", reason=reason[:200])
        yield MetricResult(name="itl", parameters=parameters, unit=METRICS["itl"].unit, estimate=unknown, attempts=())


def _not_told(good: Sequence[Attempt]) -> Iterator[MetricResult]:
    """What a program that measures itself does not tell: unknown, in its reader's words."""
    for name, reason in good[-1].effective.unknown_metrics.items():
        if name in METRICS and not any(_measured(attempt, name) for attempt in good):
            percentiles = METRICS[name].percentiles
            parameters = {"percentile": percentiles[0]} if percentiles else {}
            unknown = Estimate(value=None, statistic="told by the program", reason=str(reason)[:200])
            yield MetricResult(name=name, parameters=parameters, unit=METRICS[name].unit, estimate=unknown, attempts=())


def _measured(attempt: Attempt, metric: str) -> Measurement | None:
    return next((each for each in attempt.measurements if each.metric == metric), None)


def _beside(result: Result, others: Sequence[Result]) -> Result:
    """A result with what its scenario holds against other jobs."""
    kept = list(SCENARIOS.of_stored(result.job.scenario).beside(result, others))
    return replace(result, metrics=[*result.metrics, *kept]) if kept else result


def _told(result: Result) -> Result:
    """A result with what its scenario says of it."""
    said = list(SCENARIOS.of_stored(result.job.scenario).told(result))
    return replace(result, told=said) if said else result


def sizes_of(job: Job) -> list[MetricResult]:
    """What is known exactly, without an attempt."""
    unknown = str(job.files.get("unknown", ""))
    sizes = {"artefact_size": None if unknown else job.artefact_bytes, "download_size": job.download_bytes}
    found = []
    for name, size in sizes.items():
        reason = "" if size is not None else unknown or "the artefact is too large to be compressed in passing"
        exact = Estimate(value=size, low=size, high=size, statistic=EXACT, reason=reason)
        found.append(MetricResult(name=name, parameters={}, unit=METRICS[name].unit, estimate=exact, attempts=()))
    return found


def _outcome(attempts: Sequence[Attempt]) -> Outcome:
    """`ok` if most attempts were; else how most of the others ended, in the words of the last such one."""
    if not attempts:
        return _NEVER_TRIED
    failed = [attempt.outcome for attempt in attempts if not attempt.outcome.ok]
    if len(failed) * 2 < len(attempts):
        return Outcome(kind=OutcomeKind.OK)
    commonest, _ = Counter(outcome.kind for outcome in failed).most_common(1)[0]
    return next(outcome for outcome in reversed(failed) if outcome.kind is commonest)


def _by_metric(
    attempts: Sequence[Attempt],
) -> list[tuple[Metric, Parameters, list[tuple[Attempt, Measurement]]]]:
    """The measurements of all attempts, grouped by metric and parameters, in the order first met."""
    groups: dict[tuple[str, str], list[tuple[Attempt, Measurement]]] = {}
    spelled: dict[int, str] = {}  # by the very object, which attempts of one store share
    for attempt in attempts:
        for measurement in attempt.measurements:
            parameters = measurement.parameters
            if id(parameters) not in spelled:
                spelled[id(parameters)] = json.dumps(dict(parameters), sort_keys=True)
            groups.setdefault((measurement.metric, spelled[id(parameters)]), []).append((attempt, measurement))
    shown = METRICS.keys() - _RAW  # a scenario of another package brings metrics when it is loaded
    return [(METRICS[name], group[0][1].parameters, group) for (name, _), group in groups.items() if name in shown]


def _metric_results(
    metric: Metric, parameters: Parameters, group: Sequence[tuple[Attempt, Measurement]]
) -> list[MetricResult]:
    values = [_attempt_value(attempt, measurement) for attempt, measurement in group]
    if metric.percentiles:
        return [percentile_of(metric.name, parameters, values, percentile) for percentile in metric.percentiles]
    # Samples in rows are no repeats of the value: its maker says what it is of them.
    sampled = any(len(measurement.samples) > 1 and not measurement.row_length for _, measurement in group)
    statistic = "geometric mean of attempts' " + ("medians" if sampled else "values")
    tails = [percentile for percentile in metric.tails if carried(values, percentile)]
    return [
        _metric_result(metric, parameters, values, statistic),
        *(percentile_of(metric.name, parameters, values, percentile) for percentile in tails),
    ]


def _attempt_value(attempt: Attempt, measurement: Measurement) -> AttemptValue:
    return AttemptValue(
        attempt=attempt.id,
        device=attempt.device,
        round=attempt.round,
        value=measurement.value,
        samples=measurement.samples,
        row_length=measurement.row_length,
    )


def _metric_result(
    metric: Metric, parameters: Parameters, values: Sequence[AttemptValue], statistic: str
) -> MetricResult:
    return MetricResult(
        name=metric.name,
        parameters=parameters,
        unit=metric.unit,
        estimate=over_attempts(values, statistic=statistic),
        attempts=values,
    )


def _cell(job: Job) -> tuple[str, ...]:
    """What two jobs must share to be compared as variants: everything else, and the build."""
    parts = (job.configuration.to_json(), job.workload.to_json(), dict(job.settings))
    return (job.side, job.hardware, job.model, job.scenario, *(json.dumps(part, sort_keys=True) for part in parts))


def _compared(result: Result, reference: Result | None) -> Result:
    if reference is None or reference is result:
        return result
    ratios = ratios_of(result, reference, apart_from=Factor.VARIANT, called="reference")
    if result.job.of_answers:  # paired with the reference's answers already: a ratio of two KLDs means nothing
        ratios = {key: ratio for key, ratio in ratios.items() if ratio.statistic == EXACT}
    return replace(result, metrics=[replace(metric, ratio=ratios.get(identity(metric))) for metric in result.metrics])
