"""Two builds compared, pair by pair: right verdicts on pairs that are made up, at the looks and at no other time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest

from benchharness.judge import stored
from benchharness.judge.budgets import judged
from benchharness.judge.builds import Comparison, Twins, compared, settled, twins
from benchharness.judge.derive import derive
from benchharness.judge.design import Accepted, Design
from benchharness.judge.gate import Colour, Gated, gated
from benchharness.judge.pairs import Change, decided, rounds_of
from benchharness.judge.told import told_of
from benchharness.metrics.limits import parse
from benchharness.results.result import (
    BASE,
    CANDIDATE,
    Attempt,
    AttemptValue,
    Estimate,
    Job,
    Measurement,
    MetricResult,
    Outcome,
    OutcomeKind,
    Result,
)
from tests.unit.made_up import attempt, job, measured

DESIGN = Design(primary=("steady_inference",))
BEST_NS = 10e6
#: A process's best differs from the next one's by so much.
NOISE = 0.01
DAY = date(2026, 11, 30)

Values = Callable[[int], float]


def side(name: str, **changes: Any) -> Job:
    keys = {BASE: "b" * 16, CANDIDATE: "c" * 16}
    return job(keys[name], side=name, pair="p" * 16, task="tensor", **changes)


def timed(best_ns: float) -> Measurement:
    """An attempt's inferences: the best one, and others that were disturbed."""
    return measured("steady_inference", best_ns * 1.2, [best_ns * 1.1, best_ns, best_ns * 1.2, best_ns * 1.7])


def of(job_: Job, pairs: int, value: Values, make: Callable[[float], Measurement] = timed) -> list[Attempt]:
    return [attempt(round_, make(value(round_)), job=job_.key) for round_ in range(pairs)]


def pair(pairs: int, base: Values, candidate: Values, make: Callable[[float], Measurement] = timed) -> list[Result]:
    jobs = [side(BASE), side(CANDIDATE)]
    made = [*of(jobs[0], pairs, base, make), *of(jobs[1], pairs, candidate, make)]
    return derive([(each, "") for each in jobs], made)


def noisy(seed: int, slower: float = 1.0, noise: float = NOISE) -> Values:
    """Bests around 10 ms, the same for the same seed and round."""
    return lambda round_: BEST_NS * slower * math.exp(np.random.default_rng([seed, round_]).normal(0, noise))


def primary(results: Sequence[Result], design: Design = DESIGN) -> Comparison:
    (found,) = [each for each in compared(twins(results), design) if each.primary]
    return found


@pytest.mark.parametrize(
    ("slower", "pairs", "kind"),
    [
        (1.20, 10, Change.WORSE),
        (1.05, 20, Change.WORSE),
        (1.00, 10, Change.SAME),
        (0.80, 10, Change.BETTER),
        (1.20, 9, Change.UNDECIDED),  # nobody looks before the tenth
        (1.003, 20, Change.SAME),  # less than the least that counts
    ],
)
def test_what_became_of_a_metric(slower: float, pairs: int, kind: Change) -> None:
    found = primary(pair(pairs, noisy(1), noisy(2, slower)))
    assert found.kind is kind
    assert found.job.side == CANDIDATE
    if pairs >= DESIGN.looks[0]:
        assert found.ratio.value == pytest.approx(slower, abs=0.02)
        assert found.base == pytest.approx(BEST_NS, rel=0.02)


def test_a_rate_is_worse_where_it_is_lower() -> None:
    def rate(best_ns: float) -> Measurement:
        return measured("inference_rate", 1e9 / best_ns)

    design = Design(primary=("inference_rate",))
    found = primary(pair(10, noisy(1), noisy(2, 1.2), rate), design)
    assert found.kind is Change.WORSE
    assert found.ratio.value == pytest.approx(1 / 1.2, abs=0.02)
    assert told_of(found, design).startswith("slower: −1")


def test_a_drifting_machine_is_no_difference() -> None:
    """Both sides of a pair meet the same machine: 30 % in 20 pairs."""

    def drifting(seed: int) -> Values:
        return lambda round_: noisy(seed)(round_) * (1 + 0.015 * round_)

    assert primary(pair(20, drifting(1), drifting(2))).kind is Change.SAME


def test_half_a_pair_is_none() -> None:
    jobs = [side(BASE), side(CANDIDATE)]
    broken = [attempt(round_, job=jobs[1].key, outcome=OutcomeKind.CRASHED) for round_ in range(2)]
    good = of(jobs[1], 10, noisy(2, 1.2))[2:]
    results = derive([(each, "") for each in jobs], [*of(jobs[0], 10, noisy(1)), *broken, *good])
    assert primary(results).pairs == 8


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_what_has_no_logarithm_is_no_half_of_a_pair(value: float) -> None:
    base, candidate = (
        MetricResult(name="tpot", parameters={}, unit="ns", estimate=Estimate(value=1.0, statistic=""), attempts=tried)
        for tried in ([_value(each, 1e6 + each) for each in range(12)], [_value(0, value), _value(1, 1e6)])
    )
    assert rounds_of(base, candidate) == {1: (1e6 + 1, 1e6)}
    assert rounds_of(candidate, base) == {1: (1e6, 1e6 + 1)}


def _value(round_: int, value: float) -> AttemptValue:
    return AttemptValue(attempt=f"a{round_}", device="d", round=round_, value=value)


def test_a_verdict_stays_that_of_the_look_which_decided() -> None:
    """A later pair changes nothing: what stopped at a look is judged by what stood then."""

    def late(round_: int) -> float:
        return noisy(2, 1.2 if round_ < 10 else 0.5)(round_)

    assert primary(pair(10, noisy(1), late)).ratio == primary(pair(14, noisy(1), late)).ratio


def test_a_candidate_that_fails_is_worse_and_a_base_that_fails_decides_nothing() -> None:
    jobs = [side(BASE), side(CANDIDATE)]
    crashed = Outcome(kind=OutcomeKind.CRASHED, reason="signal 11")
    for failing, kind in ((1, Change.WORSE), (0, Change.UNDECIDED)):
        made = of(jobs[1 - failing], 2, noisy(1)) + [
            attempt(round_, job=jobs[failing].key, outcome=crashed) for round_ in range(2)
        ]
        found = primary(derive([(each, "") for each in jobs], made))
        assert found.kind is kind
        assert "signal 11" in found.reason


def test_other_work_is_refused_unless_it_is_allowed() -> None:
    jobs = [side(BASE), side(CANDIDATE)]
    threads = [{"accelerators": ["cpu"], "threads": count} for count in (2, 1)]
    made = [
        attempt(round_, timed(noisy(seed)(round_)), job=each.key, effective=effective)
        for seed, (each, effective) in enumerate(zip(jobs, threads, strict=True))
        for round_ in range(10)
    ]
    results = derive([(each, "") for each in jobs], made)
    found = primary(results)
    assert found.kind is Change.UNDECIDED
    assert "1 thread against 2" in found.reason
    assert primary(results, Design(primary=("steady_inference",), allow=("threads",))).kind is Change.SAME


def test_operators_that_run_elsewhere_are_counted_exactly() -> None:
    jobs = [side(BASE), side(CANDIDATE)]

    def kinds(base: dict[str, Any], candidate: dict[str, Any], **allowed: Any) -> list[Change]:
        facts = ({"threads": 2, **told} for told in (base, candidate))
        made = [
            attempt(round_, timed(noisy(seed)(round_)), job=each.key, effective=effective)
            for seed, (each, effective) in enumerate(zip(jobs, facts, strict=True))
            for round_ in range(10)
        ]
        found = compared(
            twins(derive([(each, "") for each in jobs], made)), Design(primary=("peak_memory",), **allowed)
        )
        return [each.kind for each in found if each.primary]

    all_there, some = {"placement": {"npu": {"Conv": 3}}}, {"fallback": {"operators_elsewhere": 2}}
    assert kinds(all_there, some) == [Change.WORSE]
    assert kinds(some, all_there) == [Change.BETTER]
    assert kinds(some, {"fallback": {"operators_elsewhere": 2}}) == []
    assert kinds({}, some) == [], "what nobody tells is no zero"
    assert kinds(all_there, some, allow=("operators",)) == []


def test_another_runtime_version_is_what_a_comparison_may_be_about() -> None:
    jobs = [side(BASE), side(CANDIDATE)]
    made = [
        attempt(round_, timed(noisy(seed)(round_)), job=each.key, effective={"threads": 2, "runtime_version": version})
        for seed, (each, version) in enumerate(zip(jobs, ("1.19", "1.32"), strict=True))
        for round_ in range(10)
    ]
    assert primary(derive([(each, "") for each in jobs], made)).kind is Change.SAME


def test_too_many_primary_metrics_can_never_be_told_and_say_so() -> None:
    design = Design(primary=("steady_inference",), looks=(5,))
    found = primary(pair(5, noisy(1), noisy(2, 1.5)), design)
    assert found.kind is Change.UNDECIDED
    assert "more pairs, or fewer primary metrics" in found.reason


def test_a_run_is_settled_when_something_is_worse_or_nothing_is_open() -> None:
    (same,) = [each for each in compared(twins(pair(10, noisy(1), noisy(2))), DESIGN) if each.primary]
    worse = primary(pair(10, noisy(1), noisy(2, 1.3)))
    open_ = primary(pair(9, noisy(1), noisy(2)))
    assert settled([same])
    assert settled([open_, worse])
    assert not settled([same, open_])
    assert not settled([])


# The error that a design promises.


def test_a_build_without_a_change_is_called_worse_as_seldom_as_promised() -> None:
    """1,000 comparisons of equal builds with heavy tails, at an alpha of 10 % so that they are enough to tell."""
    design = Design(primary=("steady_inference",), alpha=0.1, least=0.0)
    ratios = np.exp(np.random.default_rng(5).standard_t(3, (1000, 20)) * NOISE * 3)
    kinds = [
        decided({round_: (1.0, ratio) for round_, ratio in enumerate(each)}, 20, "steady_inference", design, 1).kind
        for each in ratios.tolist()
    ]
    wrong = kinds.count(Change.WORSE) + kinds.count(Change.BETTER)
    assert 0 < wrong / 1000 <= 2 * 0.1 + 3 * math.sqrt(0.2 * 0.8 / 1000)


def test_levels_spend_all_of_the_error_and_no_more() -> None:
    design = Design()
    assert sum(design.alpha_at(look, 3) for look in range(4)) * 3 == pytest.approx(design.alpha)
    assert sum(design.beta_at(look) for look in range(4)) > design.beta, "looks at the same pairs are wrong together"
    assert [design.pairs_needed(count) for count in (1, 3, 5, 6)] == [10, 10, 10, 16]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"looks": ()}, "looks"),
        ({"looks": (5, 5)}, "looks"),
        ({"looks": (0, 5)}, "looks"),
        ({"alpha": 0.0}, "alpha"),
        ({"beta": 0.7}, "beta"),
        ({"least": 0.05}, "least"),
    ],
)
def test_a_design_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Design(**changes)


# Two stored runs


def unpaired(base: Values, candidate: Values, **changes: Any) -> Comparison:
    jobs = [job(task="tensor"), job(task="tensor")]
    sides = [
        derive([(each, "")], [attempt(n, timed(value(n)), job=each.key, **more) for n in range(8)])[0]
        for each, value, more in zip(jobs, (base, candidate), ({}, changes), strict=True)
    ]
    (found,) = stored.compared([Twins(base=sides[0], candidate=sides[1])], DESIGN)
    return found


def test_stored_runs_are_only_told_apart_beyond_the_margin_and_never_called_the_same() -> None:
    assert unpaired(noisy(1), noisy(2, 1.2)).kind is Change.WORSE
    assert unpaired(noisy(1), noisy(2, 0.8)).kind is Change.BETTER
    assert unpaired(noisy(1), noisy(2)).kind is Change.UNDECIDED
    assert unpaired(noisy(1), noisy(2, 1.03)).kind is Change.UNDECIDED


def test_stored_runs_under_other_conditions_are_refused_by_name() -> None:
    found = unpaired(noisy(1), noisy(2, 1.2), conditions={"governor": "powersave"}, device="another")
    assert found.kind is Change.UNDECIDED
    assert "device another against" in found.reason


# The gate


def gate(results: Sequence[Result], repeated: Sequence[Result] | None = None, **changes: Any) -> Gated:
    design = Design(primary=("steady_inference",), **changes)
    again = None if repeated is None else compared(twins(repeated), design)
    return gated(compared(twins(results), design), again, results, design=design, today=DAY, pair_s=3.0)


def test_a_red_gate_that_is_not_red_again_is_not_red() -> None:
    slow, equal = pair(10, noisy(1), noisy(2, 1.2)), pair(10, noisy(3), noisy(4))
    assert gate(slow).colour is Colour.RED
    assert gate(slow, slow).colour is Colour.RED
    told = gate(slow, equal)
    assert told.colour is Colour.UNDECIDED, "a build that is worse has no second chance to be missed"
    assert "not so when repeated: the same within" in told.findings[0].told
    assert gate(slow, pair(9, noisy(3), noisy(4))).colour is Colour.UNDECIDED


def test_a_gate_that_could_not_decide_says_what_it_would_take() -> None:
    told = gate(pair(20, noisy(1, noise=0.1), noisy(2, 1.02, noise=0.1)))
    assert told.colour is Colour.UNDECIDED
    assert "pairs would decide it" in told.findings[0].told
    assert "minutes" in told.findings[0].told


@pytest.mark.parametrize(
    ("accepted", "colour", "said"),
    [
        ({}, Colour.GREEN, ""),
        ({"worse_by": 0.5}, Colour.GREEN, ""),
        ({"worse_by": 0.1}, Colour.RED, "more than the 10"),
        ({"until": date(2026, 11, 29)}, Colour.RED, "until 2026-11-29, which is over"),
        ({"variant": "another"}, Colour.RED, "slower"),
    ],
)
def test_a_known_regression_is_accepted_until_a_day(accepted: dict[str, Any], colour: Colour, said: str) -> None:
    facts = {"metric": "steady_inference", "owner": "ann", "reason": "new tokenizer", "until": DAY}
    told = gate(pair(10, noisy(1), noisy(2, 1.2)), accepted=(Accepted(**{**facts, **accepted}),))
    assert told.colour is colour
    assert said in told.findings[0].told
    if colour is Colour.GREEN:
        assert told.findings[0].accepted == "ann until 2026-11-30: new tokenizer"


def test_what_the_repetition_does_not_say_again_confirms_nothing() -> None:
    jobs = [side(BASE), side(CANDIDATE)]
    crashed = [attempt(round_, job=jobs[0].key, outcome=OutcomeKind.CRASHED) for round_ in range(2)]
    baseless = derive([(each, "") for each in jobs], [*crashed, *of(jobs[1], 2, noisy(1))])
    assert gate(pair(10, noisy(1), noisy(2, 1.2)), baseless).colour is Colour.UNDECIDED


def test_an_accepted_change_excuses_no_absolute_limit() -> None:
    known = Accepted(metric="steady_inference", owner="ann", reason="new tokenizer", until=DAY)
    results = judged(pair(10, noisy(1), noisy(2, 1.2)), parse({"steady_inference": {"p50": "1 ms"}}, "suite"))
    told = gate(results, accepted=(known,))
    assert told.colour is Colour.RED
    assert [each.told.startswith("budget") for each in told.of(Colour.RED)] == [True]


def test_an_exact_metric_fails_past_its_limit_alone() -> None:
    jobs = [side(BASE), side(CANDIDATE, artefact_bytes=1020)]
    made = [*of(jobs[0], 10, noisy(1)), *of(jobs[1], 10, noisy(2))]
    results = derive([(each, "") for each in jobs], made)
    assert gate(results, limits={"artefact_size": 0.05}).colour is Colour.GREEN
    found = gate(results, limits={"artefact_size": 0.01})
    assert found.colour is Colour.RED
    assert found.findings[0].name == "artefact_size"
