"""What a sustained attempt tells: its course window by window, the verdict on it, and its metrics. Pure.

The worker reports windows, the supervisor what it read meanwhile; both with stamps of one clock. What counts upwards
(waits, stops, energy) is read off at the windows' ends by linear interpolation between two looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchharness.judge.intervals import independent_ratio
from benchharness.judge.unequal import Factor, differences
from benchharness.metrics import METRICS
from benchharness.metrics.percentiles import samples_for_percentile
from benchharness.records import SUSTAINED_WINDOW
from benchharness.results.courses import Course, SessionState, Window
from benchharness.results.result import (
    Attempt,
    Estimate,
    Job,
    Measurement,
    MetricResult,
    Result,
)
from benchharness.results.samples import mean
from benchharness.scenarios.sustained import detect
from benchharness.scenarios.sustained.battery import charged, drains
from benchharness.scenarios.sustained.energy import energies
from benchharness.scenarios.sustained.held import Held
from benchharness.scenarios.sustained.over_attempts import over_attempts
from benchharness.scenarios.sustained.power import power_of
from benchharness.scenarios.sustained.readings import Readings, Series, known

#: Losses whose time is told, in percent.
LOSSES = (10, 25)
_PERCENTILES = {50: "p50_wall", 90: "p90_wall", 99: "p99_wall"}
#: Where the calling thread computes for less than this share of an inference, something else does.
_HOST_COMPUTES = 0.5
_MEDIAN = 50
_SETTLED = ("settled_decode_rate", "settled_inference_rate")
_RATES = {"tokens/s": "decode_rate", "inferences/s": "inference_rate"}


def courses(attempts: Sequence[Attempt]) -> Iterator[Course]:
    """The course of every attempt that has one."""
    for attempt in attempts:
        rows = _measured(attempt, SUSTAINED_WINDOW.metric)
        if rows is not None and SUSTAINED_WINDOW.count(rows.samples):
            yield _course(attempt, rows)


def _measured(attempt: Attempt, metric: str) -> Measurement | None:
    return next((each for each in attempt.measurements if each.metric == metric), None)


def _course(attempt: Attempt, measured: Measurement) -> Course:
    column = SUSTAINED_WINDOW.by_name(np.asarray(measured.samples, dtype=np.float64))
    readings = Readings(attempt)
    starts = column["start"]
    in_seconds = readings.since(starts[0])
    elsewhere = "computed_in" in attempt.effective.facts  # then the worker's own CPU time is not the model's
    windows = _for_detection(column, readings, elsewhere=elsewhere)
    held = Held(attempt, float(starts[0]), float(column["end"][-1]))
    judged = detect.judge(windows, readings.heat(), held.cut())
    burst = float(np.median(windows.rate[slice(*judged.baseline)]))
    last = windows.rate[slice(*judged.settled)]
    settled = float(np.median(last)) if len(last) >= detect.FEWEST_WINDOWS else None
    return Course(
        attempt=attempt.id,
        device=attempt.device,
        unit=str(measured.parameters.get("unit", "")),
        windows=_windows(column, readings, windows, judged, elsewhere=elsewhere),
        baseline=judged.baseline,
        settled=judged.settled,
        state=judged.state,
        evidence=(*_evidence(judged, held), *_blind(judged.state, readings), *held.told(judged.evidence)),
        burst_rate=burst,
        settled_rate=settled,
        retention=None if settled is None else settled / burst,
        below_10_s=detect.fell_for_good(windows, burst, 0.10),
        below_25_s=detect.fell_for_good(windows, burst, 0.25),
        change_s=detect.change_point(windows.rate, windows.start_s),
        events=held.events(),
        power_of=power_of(readings, starts, column["end"])[0],
        drained_watts=None if charged(attempt) else readings.drained_watts(starts[0], column["end"][-1]),
        sensors=in_seconds,
        sensors_unknown=_unknown(attempt.conditions.sensors),
    )


def _evidence(judged: detect.Judgement, held: Held) -> tuple[str, ...]:
    """Why, and of a quota which one, where it could be seen."""
    return (*(held.quota() if judged.state is SessionState.QUOTA else ()), *judged.evidence)


def _blind(state: SessionState, readings: Readings) -> tuple[str, ...]:
    """A slow core may be a hot one; where nothing could tell, that is said."""
    if state is SessionState.SLOW_CORE and not readings.could_tell_heat():
        return ("no sensor of this device could say whether heat did it",)
    return ()


def _for_detection(column: Mapping[str, Series], readings: Readings, *, elsewhere: bool) -> detect.Windows:
    starts, ends = column["start"], column["end"]
    computes = not elsewhere and bool(np.median(column["least_cpu"] - _HOST_COMPUTES * column["least_wall"]) > 0)
    stolen, wanted = (readings.grown(name, starts, ends) for name in ("stolen_ticks", "wanted_ticks"))
    possible = (wanted > 0) & (stolen <= wanted)
    steal = np.where(possible, stolen, math.nan) / np.where(possible, wanted, 1.0)
    return detect.Windows(
        start_s=starts / 1e9,
        end_s=ends / 1e9,
        rate=column["inferences"] / column["busy"] * 1e9,
        busy_ns=column["busy"],
        least_ns=column["least_cpu" if computes else "least_wall"],
        waited_ns=readings.grown("waited_ns", starts, ends),
        ran_ns=readings.grown("ran_ns", starts, ends),
        stops=readings.grown("quota_throttled_times", starts, ends),
        steal_share=steal,
        by_cpu_time=computes,
    )


def _windows(
    column: Mapping[str, Series],
    readings: Readings,
    detected: detect.Windows,
    judged: detect.Judgement,
    *,
    elsewhere: bool,
) -> list[Window]:
    starts, ends = column["start"], column["end"]
    celsius = readings.level(readings.names("celsius."), starts, ends)
    clocks = readings.level(readings.names("khz."), starts, ends)
    _, watts = power_of(readings, starts, ends)
    with np.errstate(divide="ignore", invalid="ignore"):
        waits = detected.waited_ns / (detected.waited_ns + detected.ran_ns)
    return [
        Window(
            start_s=float((starts[at] - starts[0]) / 1e9),
            end_s=float((ends[at] - starts[0]) / 1e9),
            inferences=int(column["inferences"][at]),
            rate=float(detected.rate[at]),
            latency_ns={
                percentile: float(column[name][at])
                for percentile, name in _PERCENTILES.items()
                if column["inferences"][at] >= samples_for_percentile(percentile)
            },
            ttft_ns=float(column["ttft"][at]) or None,
            cpu_ns=None if elsewhere else float(column["process_cpu"][at] / column["inferences"][at]),
            least_cpu_ns=None if elsewhere else float(column["least_cpu"][at]),
            wait_share=known(waits[at]),
            throttled=known(detected.stops[at]),
            steal_share=known(detected.steal_share[at]),
            celsius=celsius[at],
            clock_khz=clocks[at],
            watts=known(watts[at]),
            state=judged.windows[at],
        )
        for at in range(len(starts))
    ]


def _unknown(sensors: Mapping[str, Any]) -> dict[str, str]:
    """Why a sensor could not be read, by its name."""
    return {
        str(name): str(entry.get("reason", "not told"))
        for name, entry in sensors.items()
        if isinstance(entry, Mapping) and not entry.get("found")
    }


def sustained_metrics(attempts: Sequence[Attempt], found: Sequence[Course]) -> Iterator[MetricResult]:
    """Burst and steady-state rates, retention, and the times until a loss: each over the attempts that have it."""
    if not found:
        return
    by_attempt = {attempt.id: attempt for attempt in attempts}
    found = [course for course in found if course.unit == found[0].unit]  # rates of two units have no mean
    rate = _RATES.get(found[0].unit)
    figures: dict[str, tuple[dict[str, float], dict[str, float | None]]] = {}
    if rate is not None:
        figures[f"burst_{rate}"] = {}, {each.attempt: each.burst_rate for each in found}
        figures[f"settled_{rate}"] = {}, {each.attempt: each.settled_rate for each in found}
    figures["retention"] = {}, {each.attempt: each.retention for each in found}
    for name, (parameters, values) in figures.items():
        yield over_attempts(name, parameters, values, by_attempt, missing="too short for a steady state")
    for loss in LOSSES:
        lost = {each.attempt: each.below_10_s if loss == 10 else each.below_25_s for each in found}
        in_ns = {attempt: seconds * 1e9 for attempt, seconds in lost.items() if seconds is not None}
        yield over_attempts("time_to_loss", {"percent": loss}, in_ns, by_attempt, of=len(found))
    yield from energies(found, by_attempt)
    yield from drains(found, by_attempt)


def retention_of_steady(session: Result, others: Sequence[Result]) -> MetricResult | None:
    """A course's steady-state rate over what `steady` measured of the same; None where nothing of it was measured.

    The two are no pairs: a course takes long, and rounds of different scenarios lie apart.
    """
    settled = next((each for each in session.metrics if each.name in _SETTLED and each.attempts), None)
    steady = next((other for other in others if other.metrics and _same_but_steady(session.job, other.job)), None)
    if settled is None or steady is None:
        return None
    name = "retention_of_steady"
    apart = "; ".join(differences(session, steady, Factor.SCENARIO))
    if apart:
        withheld = Estimate(value=None, reason=f"not the same work: {apart}")
        return MetricResult(name=name, parameters={}, unit=METRICS[name].unit, estimate=withheld, attempts=())
    cool = _decode_rates(steady) if settled.name == "settled_decode_rate" else _inference_rates(steady)
    ratio = independent_ratio(
        [value.value for value in settled.attempts],
        cool,
        statistic="geometric mean of sessions / geometric mean of attempts of scenario steady",
    )
    return MetricResult(name=name, parameters={}, unit=METRICS[name].unit, estimate=ratio, attempts=())


def _same_but_steady(session: Job, other: Job) -> bool:
    same = ("hardware", "model", "variant", "configuration", "workload")
    return other.scenario == "steady" and all(getattr(session, name) == getattr(other, name) for name in same)


def _decode_rates(steady: Result) -> list[float]:
    return [value.value for metric in steady.metrics if metric.name == "decode_rate" for value in metric.attempts]


def _inference_rates(steady: Result) -> list[float]:
    """From the inferences' own time, as in a course; `inference_rate` counts what lies between them, too."""
    medians = (
        metric
        for metric in steady.metrics
        if metric.name == "steady_inference" and metric.parameters.get("percentile") == _MEDIAN
    )
    return [1e9 / mean(value.samples) for metric in medians for value in metric.attempts if value.samples]
