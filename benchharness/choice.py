"""Which variant to ship: the Pareto front of what was measured, and the one that keeps every budget. Pure.

A candidate is a variant on a configuration, with a figure for each objective. It is *dominated* where another one is
better beyond doubt (the intervals do not meet) in one objective and not worse beyond doubt in any. It is *fit* where
all budgets pass with their whole interval, everything about it was measured, and it ships.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from benchharness.contract import EXECUTION_DEVICE
from benchharness.errors import UsageError
from benchharness.metrics import METRICS, Better
from benchharness.result import THREADS_BY, Estimate, MetricResult, Result, Verdict, VerdictKind


class Wish(StrEnum):
    """What the best of several fit candidates has most of."""

    SMALLEST = "smallest"
    FASTEST = "fastest"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise UsageError(f"{value!r} is no wish; the recommended variant is one of: {', '.join(cls)}")


#: What a variant is chosen by, the first metric of each that was measured.
OBJECTIVES: Mapping[str, Sequence[str]] = {
    "size": ("artefact_size",),
    "first token": ("model_ttft", "first_inference"),
    "speed": ("decode_rate", "steady_inference"),
    "memory": ("peak_memory",),
    "quality": ("kld", "kld_pooled", "cosine"),
}
#: Which objective a budget on a metric speaks of.
OBJECTIVE_OF = {
    **{name: objective for objective, names in OBJECTIVES.items() for name in names},
    **dict.fromkeys(
        ("accuracy", "accuracy_change", "agreement", "perplexity", "same_top_token", "sqnr", "total_variation"),
        "quality",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A candidate's figure for one objective. The `reference` lost nothing, by definition and not by measurement."""

    metric: str
    estimate: Estimate
    reference: bool = False
    output: str = ""  # the worst of several outputs
    used: str = ""  # how much of the evaluation data it stands on


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A variant on a configuration. `dominated_by` names another one; `unfit` says why it is not to be shipped."""

    hardware: str
    model: str
    workload: str
    variant: str
    configuration: str
    figures: Mapping[str, Figure]
    unfit: Sequence[str] = ()
    dominated_by: str = ""

    @property
    def name(self) -> str:
        """`int8 · onnxruntime 2 threads`."""
        return f"{self.variant} · {self.configuration}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The candidates of one model on one hardware target and workload, and the one recommended, or why none is."""

    hardware: str
    model: str
    workload: str
    wish: Wish
    candidates: Sequence[Candidate]
    recommended: str  # a candidate's name; "" where none is fit
    reason: str


def choices(results: Sequence[Result], wish: Wish = Wish.SMALLEST, unmeasured: Sequence[str] = ()) -> list[Choice]:
    """A choice for each hardware target, model and workload. `unmeasured`: budgets that no result says anything on."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.job.against is None:
            groups.setdefault((result.job.hardware, result.job.model, result.job.workload["name"]), []).append(result)
    return [_choice(key, group, results, wish, unmeasured) for key, group in groups.items()]


def _choice(
    key: tuple[str, str, str], group: Sequence[Result], results: Sequence[Result], wish: Wish, unmeasured: Sequence[str]
) -> Choice:
    hardware, model, workload = key
    candidates = [_candidate(of_one, results, unmeasured) for of_one in _by_candidate(group).values()]
    candidates = [_judged(candidate, candidates) for candidate in candidates]
    recommended, reason = _recommended([each for each in candidates if not each.unfit], wish)
    if recommended:
        reason += _unasked(
            [*group, *(each for each in results if each.job.against is not None and each.job.model == model)]
        )
    return Choice(
        hardware=hardware,
        model=model,
        workload=workload,
        wish=wish,
        candidates=candidates,
        recommended=recommended,
        reason=reason or _why_none(candidates),
    )


def _by_candidate(group: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    found: dict[tuple[str, str], list[Result]] = {}
    for result in group:
        found.setdefault((result.job.variant, result.job.configuration["name"]), []).append(result)
    return found


def _quality(result: Result, results: Sequence[Result]) -> list[Result]:
    """The quality results of the same variant on the same configuration; threads change no answer."""
    return [
        other
        for other in results
        if other.job.against is not None
        and (other.job.hardware, other.job.model, other.job.variant)
        == (result.job.hardware, result.job.model, result.job.variant)
        and _apart_from_threads(other.job.configuration) == _apart_from_threads(result.job.configuration)
    ]


def _apart_from_threads(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in configuration.items() if key not in ("name", "threads", THREADS_BY)}


def _held_against(result: Result, results: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    """What a reference lost: nothing, in the metric that the others were compared with it by."""
    job = result.job
    others = [
        other
        for other in results
        if other.job.against is not None
        and (other.job.hardware, other.job.model, other.job.against["variant"])
        == (job.hardware, job.model, job.variant)
        and _apart_from_threads(other.job.against["configuration"]) == _apart_from_threads(job.configuration)
    ]
    for metric in (metric for name in OBJECTIVES["quality"] for metric in _named(others, name)):
        best = 1.0 if METRICS[metric.name].better is Better.HIGHER else 0.0
        exact = Estimate(value=best, low=best, high=best, statistic="it is the reference itself")
        yield "quality", Figure(metric=metric.name, estimate=exact, reference=True)
        return


def _candidate(measured: Sequence[Result], results: Sequence[Result], unmeasured: Sequence[str]) -> Candidate:
    everything = [*measured, *_quality(measured[0], results)]
    job = measured[0].job
    return Candidate(
        hardware=job.hardware,
        model=job.model,
        workload=job.workload["name"],
        variant=job.variant,
        configuration=job.configuration["name"],
        figures=dict([*_figures(everything), *_held_against(measured[0], results)]),
        unfit=[*_failures(everything), *_misses(everything), *(f"{budget} was not measured" for budget in unmeasured)]
        if job.ships
        else ["it does not ship"],
    )


def _figures(results: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    for objective, names in OBJECTIVES.items():
        found = [metric for name in names for metric in _named(results, name)]
        if found:
            name = found[0].name
            alike = [each for each in found if each.name == name]
            whole = [each for each in alike if "output" not in each.parameters]
            worst = _worst(whole or alike)
            outputs = {each.parameters.get("output") for each in alike} if not whole else set()
            output = str(worst.parameters["output"]) if len(outputs) > 1 else ""
            used = "; ".join(dict.fromkeys(str(each.parameters["used"]) for each in alike if "used" in each.parameters))
            yield objective, Figure(metric=name, estimate=worst.estimate, output=output, used=used)


def _named(results: Sequence[Result], name: str) -> list[MetricResult]:
    """The metrics of a name that have a value; of percentiles the median."""
    return [
        metric
        for result in results
        for metric in result.metrics
        if metric.name == name and metric.estimate.value is not None and metric.parameters.get("percentile", 50) == 50
    ]


def _worst(metrics: Sequence[MetricResult]) -> MetricResult:
    """Several figures of one objective, such as two peaks of memory or two outputs: the one to reckon with."""
    lower = METRICS[metrics[0].name].better is not Better.HIGHER
    return (max if lower else min)(metrics, key=lambda metric: metric.estimate.value or 0.0)


def _failures(results: Sequence[Result]) -> Iterator[str]:
    if any(result.effective.get("execution", EXECUTION_DEVICE) != EXECUTION_DEVICE for result in results):
        yield "a reference execution: what it costs was not measured"
    for result in results:
        if not result.outcome.ok:
            yield f"{result.job.scenario}: {result.outcome}"


def _misses(results: Sequence[Result]) -> Iterator[str]:
    verdicts = [verdict for result in results for verdict in result.verdicts]
    for budget in dict.fromkeys(verdict.budget for verdict in verdicts):
        of_budget = [verdict for verdict in verdicts if verdict.budget == budget]
        worst = next((each for each in of_budget if each.kind is VerdictKind.MISS), None)
        worst = worst or next((each for each in of_budget if each.kind is VerdictKind.UNDECIDED), None)
        if worst is not None:
            yield _told(worst)


def _told(verdict: Verdict) -> str:
    return f"{verdict.budget} {verdict.kind}" + (f" ({verdict.reason})" if verdict.reason else "")


def _judged(candidate: Candidate, candidates: Sequence[Candidate]) -> Candidate:
    better = [other for other in candidates if other is not candidate and dominates(other, candidate)]
    front = [other for other in better if not any(dominates(third, other) for third in candidates)]
    named = next(iter(front or better), None)
    return replace(candidate, dominated_by=named.name if named else "")


def dominates(one: Candidate, other: Candidate) -> bool:
    """Whether `one` is better beyond doubt somewhere and nowhere worse beyond doubt, on what both have."""
    shared = [objective for objective in one.figures if objective in other.figures]
    if len(shared) < len(other.figures):
        return False  # it has not shown itself in everything the other has
    better = [_surely_better(one.figures[each], other.figures[each]) for each in shared]
    worse = [_surely_better(other.figures[each], one.figures[each]) for each in shared]
    return any(better) and not any(worse)


def _surely_better(one: Figure, other: Figure) -> bool:
    if METRICS[one.metric].bounds and not one.reference:
        return False  # a lower bound of what was lost: it may be any amount more
    low, high = _ends(one.estimate)
    their_low, their_high = _ends(other.estimate)
    return low > their_high if METRICS[one.metric].better is Better.HIGHER else high < their_low


def _ends(estimate: Estimate) -> tuple[float, float]:
    value = estimate.value or 0.0
    return (value if estimate.low is None else estimate.low, value if estimate.high is None else estimate.high)


def _recommended(fit: Sequence[Candidate], wish: Wish) -> tuple[str, str]:
    objective = "size" if wish is Wish.SMALLEST else "speed"
    ranked = [each for each in fit if objective in each.figures]
    if not ranked:
        return "", ""
    metric = ranked[0].figures[objective].metric
    sign = -1.0 if METRICS[metric].better is Better.HIGHER else 1.0
    best = min(ranked, key=lambda each: (sign * (each.figures[objective].estimate.value or 0.0), _tie(each, objective)))
    told = f"the {wish} of {len(fit)} that keep every budget with their whole interval"
    if len(fit) == 1:
        told = "the only one that keeps every budget with its whole interval"
    return best.name, told


def _unasked(results: Sequence[Result]) -> str:
    """What a reader must know before shipping on this word."""
    judged = {OBJECTIVE_OF.get(verdict.metric) for result in results for verdict in result.verdicts}
    if not any(result.job.against is not None for result in results):
        return "; what it lost was not measured"
    return "" if "quality" in judged else "; no budget on quality was set"


def _tie(candidate: Candidate, objective: str) -> float:
    """Between equals in size the faster one is taken, and the other way round."""
    other = candidate.figures.get("speed" if objective == "size" else "size")
    if other is None:
        return 0.0
    sign = -1.0 if METRICS[other.metric].better is Better.HIGHER else 1.0
    return sign * (other.estimate.value or 0.0)


def _why_none(candidates: Sequence[Candidate]) -> str:
    """What keeps each candidate from being recommended, one after the other."""
    told = [f"{candidate.name}: {'; '.join(candidate.unfit)}" for candidate in candidates if candidate.unfit]
    return "no variant is fit: " + " | ".join(told) if told else "nothing was measured"
