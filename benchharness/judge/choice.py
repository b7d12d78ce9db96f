"""Which variant to ship: the Pareto front of what was measured, and the one that keeps every budget. Pure.

A candidate is a variant on a configuration, with a figure for each objective. It is *dominated* where another one is
clearly better in one objective and not clearly worse in any: whole intervals lie apart, and further than the suite
says (`tells_apart`); sizes are exact. What proves nothing (`evidence`) decides nothing here, for and against. It is
*fit* where it ships, everything about it was measured, and each budget that is set has its own word that it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchharness.judge.evidence import no_evidence
from benchharness.judge.processes import OF_THE_PROCESS, is_program
from benchharness.judge.ranking import Candidate, Figure, Ranking, Wish, held_together
from benchharness.metrics import METRICS, Better
from benchharness.results.result import TELLS_APART, Estimate, MetricResult, Result, Verdict, VerdictKind, part_of

#: What a variant is chosen by, the first metric of each that was measured.
OBJECTIVES: Mapping[str, Sequence[str]] = {
    "size": ("artefact_size",),
    "first token": ("model_ttft", "first_inference"),
    "speed": ("decode_rate", "steady_inference"),
    "memory": ("peak_memory",),
    "quality": ("kld", "kld_pooled", "cosine", "accuracy_loss", "score_loss", "bits_per_byte_loss"),
}
#: Which objective a budget on a metric speaks of.
OBJECTIVE_OF = {
    **{name: objective for objective, names in OBJECTIVES.items() for name in names},
    "download_size": "size",
    **dict.fromkeys(("cold_start_ttft", "cold_start_inference", "request_ttft"), "first token"),
    **dict.fromkeys(("itl", "tpot", "inference_rate"), "speed"),
    **dict.fromkeys(
        ("accuracy", "accuracy_change", "agreement", "perplexity", "same_top_token", "sqnr", "total_variation"),
        "quality",
    ),
    **dict.fromkeys(("task_accuracy", "task_score", "task_error"), "quality"),
    **dict.fromkeys(("bits_per_byte", "same_answer", "same_answer_normalised", "shared_beginning"), "quality"),
    "distillation_loss": "quality",
}
#: Budgets that the reference keeps by definition: on what was lost against it.
LOSSES = (
    *("accuracy_change", "class_accuracy_change", "agreement", "sqnr", "cosine", "largest_error", "similarity_ranks"),
    *("kld", "kld_pooled", "kld_percentile", "kld_largest", "total_variation", "log_perplexity_ratio"),
    *("probability_change", "probability_change_rms", "probability_change_percentile"),
    *("same_top_token", "greedy_prefix"),
    *("accuracy_loss", "score_loss", "bits_per_byte_loss"),
    *("same_answer", "same_answer_normalised", "shared_beginning"),
)
_MOST_NAMES = 6


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
    ties: Sequence[str] = ()  # the names of those that cannot be told from the recommended one in what is wished for
    tells_apart: float = TELLS_APART


def choices(
    results: Sequence[Result],
    wish: Wish = Wish.SMALLEST,
    unmeasured: Sequence[str] = (),
    tells_apart: float = TELLS_APART,
) -> list[Choice]:
    """A choice for each hardware target, model and workload. `unmeasured`: budgets that no result says anything on."""
    return [choice_of(of_each, results, wish, unmeasured, tells_apart) for of_each in by_candidate(results)]


def by_candidate(results: Sequence[Result]) -> list[list[list[Result]]]:
    """What there is of each candidate, quality included, for each hardware target, model and workload."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if not result.job.of_answers:
            groups.setdefault((result.job.hardware, result.job.model, result.job.workload.name), []).append(result)
    return [
        [[*measured, *_quality(measured[0], results)] for measured in _by_candidate(group).values()]
        for group in groups.values()
    ]


def quality_alone(results: Sequence[Result]) -> list[list[list[Result]]]:
    """The same for models of which nothing but quality was measured."""
    timed = {(result.job.hardware, result.job.model) for result in results if not result.job.of_answers}
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for job, result in ((result.job, result) for result in results):
        if (job.hardware, job.model) not in timed:
            groups.setdefault((job.hardware, job.model, job.workload.name), []).append(result)
    return [list(_by_candidate(group).values()) for group in groups.values()]


def choice_of(
    of_each: Sequence[Sequence[Result]],
    results: Sequence[Result],
    wish: Wish,
    unmeasured: Sequence[str],
    tells_apart: float,
) -> Choice:
    """What is chosen among candidates, given what there is of each, and all results of their run."""
    budgets = _budgets(of_each)
    candidates = [_candidate(everything, results, budgets, unmeasured) for everything in of_each]
    candidates = held_together(candidates, tells_apart)
    ranking = Ranking([each for each in candidates if not each.unfit], wish, tells_apart)
    best, ties = ranking.first()
    reason = ""
    if best is not None:
        reason = _why(best, ties, ranking, candidates, bool(budgets or unmeasured)) + _unasked(best, budgets)
    job = of_each[0][0].job
    return Choice(
        hardware=job.hardware,
        model=job.model,
        workload=job.workload.name,
        wish=wish,
        candidates=candidates,
        recommended=best.name if best else "",
        reason=reason or _why_none(candidates, ranking),
        ties=[each.name for each in ties],
        tells_apart=tells_apart,
    )


def _budgets(of_each: Sequence[Sequence[Result]]) -> dict[str, str]:
    """The budgets that any candidate has a verdict on, each with its metric."""
    verdicts = (verdict for everything in of_each for result in everything for verdict in result.verdicts)
    return {verdict.budget: verdict.metric for verdict in verdicts}


def _by_candidate(group: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    found: dict[tuple[str, str], list[Result]] = {}
    for result in group:
        found.setdefault((result.job.variant, result.job.configuration.name), []).append(result)
    return found


def _quality(result: Result, results: Sequence[Result]) -> list[Result]:
    """The quality results of the same variant on the same configuration; threads change no answer."""
    return [
        other
        for other in results
        if other.job.of_answers
        and (other.job.hardware, other.job.model, other.job.variant)
        == (result.job.hardware, result.job.model, result.job.variant)
        and other.job.configuration.apart_from_threads == result.job.configuration.apart_from_threads
    ]


def _held_against(everything: Sequence[Result], results: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    """What a reference lost: nothing, in the metric that the others were compared with it by."""
    job = everything[0].job
    others = [
        other
        for other in results
        if other.job.against is not None
        and (other.job.hardware, other.job.model, other.job.against.variant) == (job.hardware, job.model, job.variant)
        and other.job.against.configuration.apart_from_threads == job.configuration.apart_from_threads
    ]
    others = others or list(_paired_with(everything, results))
    for metric in (metric for name in OBJECTIVES["quality"] for metric in _named(others, name)):
        best = 1.0 if METRICS[metric.name].better is Better.HIGHER else 0.0
        exact = Estimate(value=best, low=best, high=best, statistic="it is the reference itself")
        yield "quality", Figure(metric=metric.name, estimate=exact, reference=True)
        return


def _paired_with(everything: Sequence[Result], results: Sequence[Result]) -> Iterator[Result]:
    """The results that tasks hold against this reference: it was asked itself, and held against nobody."""
    asked = [each.job for each in everything if each.job.of_answers and each.job.against is None and each.outcome.ok]
    if not asked or not asked[0].is_reference or any(_named(everything, name) for name in OBJECTIVES["quality"]):
        return
    for other in results:
        if (other.job.hardware, other.job.model, other.job.reference) == (
            asked[0].hardware,
            asked[0].model,
            asked[0].variant,
        ) and any(other.job.workload == each.workload for each in asked):
            yield other


def _candidate(
    everything: Sequence[Result], results: Sequence[Result], budgets: Mapping[str, str], unmeasured: Sequence[str]
) -> Candidate:
    """`everything`: what was measured of it, quality included. `budgets`: those that are set, and their metrics."""
    job = everything[0].job
    figures = dict([*_figures(everything), *_held_against(everything, results)])
    is_reference = "quality" in figures and figures["quality"].reference
    verdicts = {
        budget: [each for result in everything for each in result.verdicts if each.budget == budget]
        for budget in budgets
    }
    unasked = [
        budget for budget, metric in budgets.items() if not verdicts[budget] and not (is_reference and metric in LOSSES)
    ]
    kept = [budget for budget, told in verdicts.items() if told and all(each.kind is VerdictKind.PASS for each in told)]
    unfit = ["it does not ship"]
    if job.ships:
        not_measured = (f"{budget} was not measured" for budget in (*unasked, *unmeasured))
        unfit = [*_failures(everything), *_misses(verdicts.values()), *not_measured]
    return Candidate(
        hardware=job.hardware,
        model=job.model,
        workload=job.workload.name,
        variant=job.variant,
        configuration=job.configuration.name,
        figures=figures,
        kept=kept if job.ships else (),
        unfit=unfit,
    )


def _figures(results: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    for objective, names in OBJECTIVES.items():
        found = [(result, metric) for name in names for result in results for metric in _named([result], name)]
        if found:
            alike = [each for each in found if each[1].name == found[0][1].name]
            whole = [each for each in alike if not part_of(each[1].parameters)]
            result, metric = _worst(whole or alike)
            outputs = {part_of(each.parameters) for _, each in alike} if not whole else set()
            used = [str(each.parameters["used"]) for _, each in alike if "used" in each.parameters]
            yield (
                objective,
                Figure(
                    metric=metric.name,
                    estimate=metric.estimate,
                    output=part_of(metric.parameters) if len(outputs) > 1 else "",
                    used="; ".join(dict.fromkeys(used)),
                    doubt=no_evidence(result, metric),
                    of_program=metric.name.startswith(OF_THE_PROCESS) and is_program(result),
                ),
            )


def _named(results: Sequence[Result], name: str) -> list[MetricResult]:
    """The metrics of a name that have a value; of percentiles the median."""
    return [
        metric
        for result in results
        for metric in result.metrics
        if metric.name == name and metric.estimate.value is not None and metric.parameters.get("percentile", 50) == 50
    ]


def _worst(found: Sequence[tuple[Result, MetricResult]]) -> tuple[Result, MetricResult]:
    """Several figures of one objective, such as two peaks of memory: the one to reckon with."""
    lower = METRICS[found[0][1].name].better is not Better.HIGHER
    return (max if lower else min)(found, key=lambda each: each[1].estimate.value or 0.0)


def _failures(results: Sequence[Result]) -> Iterator[str]:
    if any(not result.effective.on_device for result in results):
        yield "a reference execution: what it costs was not measured"
    for result in results:
        if not result.outcome.ok:
            reason = f" ({result.outcome.reason})" if result.outcome.reason else ""
            yield f"{result.job.scenario}: {result.outcome.kind}{reason}"


def _misses(of_budgets: Iterable[Sequence[Verdict]]) -> Iterator[str]:
    for of_budget in of_budgets:
        worst = next((each for each in of_budget if each.kind is VerdictKind.MISS), None)
        worst = worst or next((each for each in of_budget if each.kind is VerdictKind.UNDECIDED), None)
        if worst is not None:
            yield _told(worst)


def _told(verdict: Verdict) -> str:
    return f"{verdict.budget} {verdict.kind}" + (f" ({verdict.reason})" if verdict.reason else "")


def _why(
    best: Candidate, ties: Sequence[Candidate], ranking: Ranking, candidates: Sequence[Candidate], budgets: bool
) -> str:
    """What the recommended one has before the others; nothing is said of budgets that are not set."""
    count = len(ranking.fit)
    if budgets:
        whom = "that keep every budget with their whole interval"
        only = "the only one that keeps every budget with its whole interval"
    else:
        whom = "that ship and were measured"
        only = "the only one that ships and was measured"
    told = only if count == 1 else f"the {ranking.wish} of {count} {whom}"
    if ties:
        how = "of the same size" if ranking.wish is Wish.SMALLEST else "as fast, as far as the intervals tell"
        told = f"tied with {_names(ties)} as the {ranking.wish} of {count} {whom}, {how}; {ranking.rule}"
    if not budgets:
        told = f"no budget is set: {told}"
        front = [each for each in candidates if each is not best and not each.dominated_by and each not in ties]
        told += f"; it is a trade-off with {_names(front)}" if front else ""
    if ranking.unranked:
        told += f"; without evidence of {ranking.objective}, and so not ranked: {_names(ranking.unranked)}"
    return told


def _names(candidates: Sequence[Candidate]) -> str:
    more = f" and {len(candidates) - _MOST_NAMES} more" if len(candidates) > _MOST_NAMES else ""
    return ", ".join(each.name for each in candidates[:_MOST_NAMES]) + more


def _unasked(best: Candidate, budgets: Mapping[str, str]) -> str:
    """What a reader must know before shipping on this word."""
    quality = best.figures.get("quality")
    if quality is None:
        return "; what it lost was not measured"
    if quality.doubt:
        return f"; what it lost: {quality.doubt}"
    on_quality = any(OBJECTIVE_OF.get(metric) == "quality" for metric in budgets.values())
    return "; no budget on quality was set" if budgets and not on_quality else ""


def _why_none(candidates: Sequence[Candidate], ranking: Ranking) -> str:
    """What keeps each candidate from being recommended, one after the other."""
    told = [f"{each.name}: {'; '.join(each.unfit)}" for each in candidates if each.unfit]
    told += [f"{each.name}: {_unshown(each, ranking.objective)}" for each in ranking.unranked]
    return "no variant is fit: " + " | ".join(told) if told else "nothing was measured"


def _unshown(candidate: Candidate, objective: str) -> str:
    figure = candidate.figures.get(objective)
    return f"{objective}: {figure.doubt}" if figure and figure.doubt else f"{objective} was not measured"
