"""What a run in the lab says of the same: its quantiles beside the field's, and a tally of it in the same bins."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from benchharness.device.tally import HISTOGRAMS, MOST_VARIANTS, NAME, Tally
from benchharness.errors import UsageError
from benchharness.judge.percentiles import asked_for
from benchharness.results.result import Estimate, MetricResult, Result, Run
from benchharness.telemetry.figures import QUANTILES
from benchharness.telemetry.shares import share
from benchharness.telemetry.votes import Place


@dataclass(frozen=True, kw_only=True)
class LabFigure:
    """A figure of one job; its interval is over attempts, fresh processes on the lab's own devices."""

    whose: str  # configuration and workload
    estimate: Estimate


def lab_figures(results: Sequence[Result]) -> Mapping[tuple[Place, str], Sequence[LabFigure]]:
    """By place and figure ("p50", or a kind of ending) what each job says. What has no value says why."""
    found: dict[tuple[Place, str], list[LabFigure]] = {}
    endings: dict[tuple[str, str], Counter[str]] = {}
    for result in results:
        job = result.job
        whose = f"{job.scenario} · {job.configuration.name} · {job.workload.name}"
        for histogram, what, estimate in _quantiles(result):
            place = (job.hardware, job.variant, histogram)
            found.setdefault((place, what), []).append(LabFigure(whose=whose, estimate=estimate))
        endings.setdefault((job.hardware, job.variant), Counter()).update(result.outcomes)
    for (hardware, variant), outcomes in endings.items():
        for what, estimate in _shares(outcomes):
            told = LabFigure(whose="attempts of all jobs", estimate=estimate)
            found[(hardware, variant, "session_end"), what] = [told]
    return found


def _quantiles(result: Result) -> Iterator[tuple[str, str, Estimate]]:
    for name, histogram in HISTOGRAMS.items():
        metrics = [metric for metric in result.metrics if metric.name == name]
        if histogram.kinds or not metrics:
            continue
        for percent in QUANTILES:
            for metric in _of(metrics, name, percent):
                yield name, f"p{percent}", metric.estimate


def _of(metrics: Sequence[MetricResult], name: str, percent: int) -> Sequence[MetricResult]:
    """A percentile as it was derived, or an attempt's own median, or made now of the samples behind that."""
    told = [metric for metric in metrics if metric.parameters.get("percentile") == percent]
    own = [metric for metric in metrics if percent == 50 and "percentile" not in metric.parameters]
    return told or own or asked_for(metrics, name, percent)


def _shares(outcomes: Mapping[str, int]) -> Iterator[tuple[str, Estimate]]:
    """How attempts ended, as shares of all: exact binomial intervals."""
    total = sum(outcomes.values())
    for kind in HISTOGRAMS["session_end"].kinds if total else ():
        count = outcomes.get(kind, 0)
        told = share(count, 1, total - count, 1, 0.0)
        yield (
            kind,
            Estimate(value=told.value, low=told.low, high=told.high, count=total, statistic="share of attempts"),
        )


def tallies_of(run: Run, results: Sequence[Result]) -> list[Tally]:
    """What a device would have counted in a run: a tally for each hardware target and model, in the field's bins.

    Each sample of each attempt is an event. What a run does not tell of a session is counted as unknown. Raises
    `UsageError` for a name that no tally can hold, or more variants than one can.
    """
    made: dict[tuple[str, str], Tally] = {}
    for result in results:
        job = result.job
        for what, name in (("hardware target", job.hardware), ("model", job.model), ("variant", job.variant)):
            if not NAME.fullmatch(name):
                raise UsageError(f"{what} {name[:60]!r} fits in no tally, whose names match {NAME.pattern}; rename it")
        tally = made.setdefault((job.hardware, job.model), _begun(run, job.hardware, job.model))
        _count(tally, result)
        if job.variant not in tally.counts and len(tally.counts) == MOST_VARIANTS:
            raise UsageError(f"a tally holds {MOST_VARIANTS} variants, and this run has more of {job.model}")
    return [tally for tally in made.values() if tally.events]


def _begun(run: Run, hardware: str, model: str) -> Tally:
    """An empty one, whose id is the run's: made twice, it is one device's file that comes twice."""
    device = hashlib.sha256(f"{run.id} {hardware} {model}".encode()).hexdigest()[:32]
    return Tally(device, f"{run.started.astimezone(UTC):%Y-%m}", hardware, model)


def _count(tally: Tally, result: Result) -> None:
    variant = result.job.variant
    for metric in result.metrics:
        if metric.name in HISTOGRAMS and metric.parameters.get("percentile") in (None, 50):
            for attempt in metric.attempts:
                whole = attempt.samples and not attempt.why_no_samples
                for value in attempt.samples if whole else (attempt.value,):
                    tally.add(variant, metric.name, value)
    fallback = "none" if result.job.configuration.accelerator is None else "unknown"
    for kind, count in result.outcomes.items():
        for _ in range(count):
            tally.add(variant, "session_end", kind)
            tally.add(variant, "memory_pressure", "unknown")
            tally.add(variant, "throttling", "unknown")
            tally.add(variant, "fallback", fallback)
