"""Which variant is recommended, which are dominated, and what is said where none is fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.errors import UsageError
from benchharness.judge.budgets import judged
from benchharness.judge.choice import LOSSES, choices
from benchharness.judge.derive import derive
from benchharness.judge.evidence import no_evidence
from benchharness.judge.ranking import Candidate, Figure, Wish, dominates
from benchharness.metrics.definition import Better
from benchharness.metrics.limits import parse
from benchharness.metrics.quality import QUALITY
from benchharness.results.courses import SessionState
from benchharness.results.result import Estimate, Job, MetricResult, Result, ResultWarning, VerdictKind, WarningKind
from benchharness.results.told import Effective
from tests.unit.made_up import attempt, job, measured
from tests.unit.report_course_samples import course
from tests.unit.test_terminal import printed

ROWS = [0.5, 0.5, 0.0, 1.0] * 60


def figures(**values: tuple[float, float, float]) -> dict[str, Figure]:
    metrics = {"size": "artefact_size", "speed": "decode_rate", "quality": "kld"}
    return {
        name: Figure(metric=metrics[name], estimate=Estimate(value=value, low=low, high=high))
        for name, (value, low, high) in values.items()
    }


def candidate(name: str, **values: tuple[float, float, float]) -> Candidate:
    return Candidate(
        hardware="here", model="m", workload="w", variant=name, configuration="c", figures=figures(**values)
    )


def test_better_in_one_and_worse_in_none_dominates() -> None:
    small = candidate("small", size=(1, 1, 1), speed=(100, 95, 105))
    large = candidate("large", size=(2, 2, 2), speed=(100, 96, 104))
    assert dominates(small, large)
    assert not dominates(large, small)


def test_intervals_that_meet_decide_nothing() -> None:
    one = candidate("one", size=(1, 1, 1), speed=(100, 90, 110))
    other = candidate("other", size=(1, 1, 1), speed=(120, 105, 135))
    assert not dominates(one, other)
    assert not dominates(other, one)


def test_a_trade_is_on_the_front() -> None:
    small = candidate("small", size=(1, 1, 1), quality=(0.5, 0.4, 0.6))
    good = candidate("good", size=(2, 2, 2), quality=(0.1, 0.05, 0.15))
    assert not dominates(small, good)
    assert not dominates(good, small)


def test_what_was_not_measured_dominates_nothing_that_was() -> None:
    assert not dominates(candidate("a", size=(1, 1, 1)), candidate("b", size=(2, 2, 2), speed=(1, 1, 1)))


def results_of(kld: Mapping[str, float], rates: Mapping[str, float], **changes: Any) -> list[Result]:
    """Speed and quality of variants of sizes 3000, 2000, 1000, in the order given."""
    jobs: list[tuple[Job, str]] = []
    attempts = []
    for number, variant in enumerate(rates):
        key = f"{number:016x}"
        jobs.append((job(key, variant=variant, artefact_bytes=3000 - 1000 * number, **changes), ""))
        attempts += [
            attempt(round_, measured("decode_rate", rates[variant] * (1 + round_ / 1000)), job=key)
            for round_ in range(5)
        ]
        if variant in kld:
            against = {"variant": "fp32", "configuration": job(key).configuration.to_json()}
            jobs.append((job(f"q{key[1:]}", variant=variant, scenario="quality", against=against), ""))
            rows = list(ROWS)
            rows[2::4] = [kld[variant] * (1 + index / 1000) for index in range(60)]
            parameters = {"scored": 6, "scored_from": 2, "chunks": 10}
            divergence = measured("token_divergence", kld[variant], rows, parameters=parameters, row_length=4)
            attempts.append(attempt(0, divergence, job=f"q{key[1:]}"))
    return derive(jobs, attempts)


RATES = {"fp32": 10.0, "int8": 20.0, "int4": 30.0}
DIVERGENCES = {"int8": 0.01, "int4": 0.4}


def chosen(results: list[Result], wish: Wish = Wish.SMALLEST, **budgets: str) -> tuple[str, str]:
    (choice,) = choices(judged(results, parse(budgets, "suite")), wish)
    return choice.recommended, choice.reason


def with_warning(results: list[Result], variant: str, kind: WarningKind) -> list[Result]:
    found = [ResultWarning(kind=kind, message=f"{kind} here")]
    return [replace(each, warnings=found) if each.job.variant == variant else each for each in results]


def disturbed(results: list[Result], variant: str) -> list[Result]:
    found = [course(), course(SessionState.CONTENTION)]
    return [replace(each, courses=found) if each.job.variant == variant else each for each in results]


def test_no_budget_is_called_kept_where_none_is_set() -> None:
    (choice,) = choices(results_of(DIVERGENCES, RATES))
    assert choice.reason == (
        "no budget is set: the smallest of 3 that ship and were measured; it is a trade-off with fp32 · onnxruntime, "
        "int8 · onnxruntime"
    )
    assert all(not each.kept and not each.unfit for each in choice.candidates)
    assert "kept" not in choice.reason


def test_a_budget_is_kept_only_by_a_verdict_of_its_own() -> None:
    results = results_of({"int8": 0.01}, RATES)  # nobody compared int4
    (choice,) = choices(judged(results, parse({"kld": "0.1 nats", "decode_rate": "15 tokens/s"}, "suite")))
    fp32, int8, int4 = choice.candidates
    assert list(int8.kept) == ["decode_rate 15 tokens/s", "kld 0.1 nats"]
    assert list(int4.unfit) == ["kld 0.1 nats was not measured"]
    assert list(fp32.unfit) == ["decode_rate 15 tokens/s miss"]  # it lost nothing: kld is not asked of the reference
    assert choice.recommended == "int8 · onnxruntime"


@pytest.mark.parametrize("why", ["disturbed (contention) in 1 of 2 sessions", f"{WarningKind.EARLIER_RULE} here"])
def test_what_is_no_evidence_is_neither_the_fastest_nor_keeps_a_budget(why: str) -> None:
    results = results_of(DIVERGENCES, RATES)
    before = why.startswith(WarningKind.EARLIER_RULE)
    results = with_warning(results, "int4", WarningKind.EARLIER_RULE) if before else disturbed(results, "int4")
    (choice,) = choices(judged(results, parse({"decode_rate": "15 tokens/s"}, "suite")), Wish.FASTEST)
    int4 = choice.candidates[2]
    assert "no evidence" in int4.figures["speed"].doubt
    assert int4.unfit[0].startswith(f"decode_rate 15 tokens/s undecided (no evidence: {why}")
    assert choice.recommended == "int8 · onnxruntime"
    (free,) = choices(results, Wish.FASTEST)
    assert free.recommended == "int8 · onnxruntime"
    assert "without evidence of speed, and so not ranked: int4 · onnxruntime" in free.reason
    assert not any(each.dominated_by == "int4 · onnxruntime" for each in free.candidates)
    assert choices(results)[0].recommended == "int4 · onnxruntime"  # its size is known whatever disturbed it


def test_a_disturbed_miss_is_no_miss() -> None:
    results = disturbed(results_of({}, RATES), "int8")
    found = judged(results, parse({"decode_rate": "1000 tokens/s"}, "suite"))
    assert [each.verdicts[0].kind for each in found] == [VerdictKind.MISS, VerdictKind.UNDECIDED, VerdictKind.MISS]


@pytest.mark.parametrize("kind", [WarningKind.CONTENDED, WarningKind.THROTTLED, WarningKind.FALLBACK])
def test_a_doubt_beside_an_attempt_of_seconds_leaves_its_miss_a_miss(kind: WarningKind) -> None:
    found = judged(with_warning(results_of({}, RATES), "int8", kind), parse({"decode_rate": "1000 tokens/s"}, "suite"))
    assert [each.verdicts[0].kind for each in found] == [VerdictKind.MISS] * 3


DISTURBING = (SessionState.QUOTA, SessionState.CORES, SessionState.CONTENTION, SessionState.STEAL)


def test_a_disturbed_course_is_no_evidence_and_a_hot_one_is() -> None:
    timed = results_of({}, {"fp32": 10.0})[0]
    rate = next(each for each in timed.metrics if each.name == "decode_rate")
    size = next(each for each in timed.metrics if each.name == "artefact_size")
    for state in SessionState:
        found = replace(timed, courses=[course(), course(state)])
        told = no_evidence(found, rate)
        assert bool(told) == (state in DISTURBING), state
        assert not told or f"{state} in 1 of 2 sessions" in told
        assert no_evidence(found, size) == ""


def test_a_reference_execution_keeps_no_budget_and_dominates_nothing() -> None:
    results = results_of(DIVERGENCES, RATES)
    results = [
        replace(each, effective=Effective.from_json({**each.effective.to_json(), "execution": "reference"}))
        if each.job.variant == "int8"
        else each
        for each in results
    ]
    (choice,) = choices(judged(results, parse({"kld": "0.1 nats"}, "suite")))
    int8 = choice.candidates[1]
    assert "weights" in int8.figures["quality"].doubt
    assert any(each.startswith("kld 0.1 nats undecided") for each in int8.unfit)
    assert choice.recommended != int8.name
    assert not any(each.dominated_by == int8.name for each in choice.candidates)


def test_ties_are_told_with_who_is_named_and_why() -> None:
    rates = {"fp32": 10.0, "int8": 20.0, "int4": 20.05}
    (choice,) = choices(results_of({}, rates), Wish.FASTEST)
    assert choice.recommended == "int4 · onnxruntime"  # the smaller one of both
    assert list(choice.ties) == ["int8 · onnxruntime"]
    assert "tied with int8 · onnxruntime as the fastest of 3 that ship and were measured" in choice.reason
    assert "named is the smallest of them where that is clear, else the first in the suite" in choice.reason
    (apart,) = choices(results_of({}, {**rates, "int4": 20.5}), Wish.FASTEST, tells_apart=0.01)
    assert not apart.ties
    (wide,) = choices(results_of({}, {**rates, "int4": 20.5}), Wish.FASTEST, tells_apart=0.05)
    assert list(wide.ties) == ["int8 · onnxruntime"]


def test_equal_sizes_are_a_tie_and_one_byte_is_none() -> None:
    def of_sizes(*sizes: int) -> list[Result]:
        made = results_of({}, {"fp32": 20.0, "int8": 20.0})
        exact = iter(sizes)
        return [
            replace(
                each,
                metrics=[
                    replace(metric, estimate=replace(metric.estimate, value=size, low=size, high=size))
                    if metric.name == "artefact_size"
                    else metric
                    for metric in each.metrics
                ],
            )
            for each, size in zip(made, exact, strict=True)
        ]

    (tied,) = choices(of_sizes(5000, 5000))
    assert (tied.recommended, list(tied.ties)) == ("fp32 · onnxruntime", ["int8 · onnxruntime"])
    (one_less,) = choices(of_sizes(5000, 4999))
    assert (one_less.recommended, list(one_less.ties)) == ("int8 · onnxruntime", [])
    assert one_less.candidates[0].dominated_by == "int8 · onnxruntime"


def test_one_attempt_has_no_interval_and_decides_nothing() -> None:
    made = [replace(each, metrics=[_bare(metric) for metric in each.metrics]) for each in results_of({}, RATES)]
    (choice,) = choices(made, Wish.FASTEST)
    assert len(choice.ties) == 2
    assert choice.recommended == "int4 · onnxruntime"  # the smallest of three that nothing tells apart
    assert "as far as the intervals tell" in choice.reason


def _bare(metric: MetricResult) -> MetricResult:
    exact = metric.estimate.statistic == "exact"
    return metric if exact else replace(metric, estimate=replace(metric.estimate, low=None, high=None))


@settings(max_examples=80, deadline=None)
@given(rates=st.lists(st.floats(1.0, 50.0), min_size=2, max_size=5), apart=st.sampled_from([0.001, 0.01, 0.1]))
def test_nobody_is_clearly_better_than_the_recommended_and_its_ties(rates: list[float], apart: float) -> None:
    made = results_of({}, {f"v{number}": rate for number, rate in enumerate(rates)})
    (choice,) = choices(made, Wish.FASTEST, tells_apart=apart)
    ends = {each.name: each.figures["speed"].estimate for each in choice.candidates}
    front = {choice.recommended, *choice.ties}
    for name in front:
        assert not any(ends[name].clearly_below(other, apart) for other in ends.values())
    for name in set(ends) - front:
        assert any(ends[name].clearly_below(other, apart) for other in ends.values())


def test_the_smallest_that_keeps_the_budgets_is_recommended() -> None:
    name, reason = chosen(results_of(DIVERGENCES, RATES), kld="0.1 nats", decode_rate="15 tokens/s")
    assert name == "int8 · onnxruntime"
    assert reason == "the only one that keeps every budget with its whole interval"


def test_without_a_budget_on_quality_that_is_said() -> None:
    name, reason = chosen(results_of(DIVERGENCES, RATES), decode_rate="5 tokens/s")
    assert name == "int4 · onnxruntime"
    assert "no budget on quality was set" in reason


def test_what_was_never_compared_is_said() -> None:
    _, reason = chosen(results_of({}, RATES))
    assert "what it lost was not measured" in reason


def test_the_fastest_is_another_wish() -> None:
    slow_and_small = {"fp32": 30.0, "int8": 20.0}
    assert chosen(results_of({}, slow_and_small), Wish.FASTEST)[0] == "fp32 · onnxruntime"
    assert chosen(results_of({}, slow_and_small), Wish.SMALLEST)[0] == "int8 · onnxruntime"


def test_where_none_is_fit_each_says_why() -> None:
    name, reason = chosen(results_of(DIVERGENCES, RATES), decode_rate="50 tokens/s")
    assert name == ""
    assert reason.startswith("no variant is fit: ")
    for variant in RATES:
        assert f"{variant} · onnxruntime: decode_rate 50 tokens/s miss" in reason


def test_a_variant_that_does_not_ship_is_not_recommended() -> None:
    assert chosen(results_of({}, RATES, ships=False))[0] == ""


def test_a_reference_lost_nothing_and_is_not_dominated_by_what_lost() -> None:
    (choice,) = choices(results_of(DIVERGENCES, RATES))
    reference, int8, _ = choice.candidates
    assert reference.figures["quality"].reference
    assert reference.figures["quality"].estimate.value == 0.0
    assert not int8.figures["quality"].reference
    assert not reference.dominated_by
    assert list(reference.figures)[-1] == "quality"  # in the order of every other candidate
    row = next(line for line in printed(results_of(DIVERGENCES, RATES)).splitlines() if line.startswith("fp32 *"))
    assert "reference" in row


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        *[("log_perplexity_ratio", "1 nats"), ("probability_change_rms", "90 %")],
        *[("kld", "1 nats"), ("same_top_token", "1 %")],
    ],
)
def test_no_limit_on_what_is_lost_is_open_for_the_reference(metric: str, limit: str) -> None:
    """Where no variant kept all, the answer named the reference, with all budgets kept but this one not measured."""
    (choice,) = choices(judged(results_of(DIVERGENCES, RATES), parse({metric: limit}, "suite")))
    assert not any("not measured" in why for why in choice.candidates[0].unfit)


def test_every_figure_that_is_held_against_the_reference_is_kept_by_it() -> None:
    of_itself = {metric.name for metric in QUALITY if metric.better is not Better.NEITHER}
    assert of_itself - set(LOSSES) == {"perplexity", "bits_per_byte", "accuracy", "distillation_loss"}


def test_without_quality_a_reference_has_no_figure_of_it() -> None:
    (choice,) = choices(results_of({}, RATES))
    assert "quality" not in choice.candidates[0].figures
    assert choice.candidates[0].dominated_by


def test_an_unknown_wish_is_told() -> None:
    with pytest.raises(UsageError, match="'cheapest' is no wish; the recommended variant is one of: smallest, fastest"):
        Wish("cheapest")


def test_a_lower_bound_of_what_was_lost_beats_nothing() -> None:
    def lost(metric: str, value: float, *, reference: bool = False) -> Candidate:
        figure = Figure(metric=metric, estimate=Estimate(value=value, low=value, high=value), reference=reference)
        return Candidate(
            hardware="h", model="m", workload="w", variant=metric, configuration="c", figures={"quality": figure}
        )

    assert not dominates(lost("kld_pooled", 0.001), lost("kld", 0.1))
    assert not dominates(lost("kld_pooled", 0.001), lost("kld_pooled", 0.1))
    assert dominates(lost("kld", 0.001), lost("kld_pooled", 0.1))
    assert dominates(lost("kld_pooled", 0.0, reference=True), lost("kld_pooled", 0.1))
