"""What would decide a budget: counts that really do, and no promise where none would."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from benchharness.judge.budgets import judged
from benchharness.judge.deciding import what_would_decide
from benchharness.judge.derive import derive
from benchharness.judge.exact_shares import CLOPPER_PEARSON, clopper_pearson
from benchharness.judge.intervals import estimate
from benchharness.judge.means import AS_IF_ONE, mean_over, ratio_over, slow_cosines
from benchharness.metrics.limits import parse
from benchharness.results.requested import Opened
from benchharness.results.result import Estimate, Measurement, Verdict, VerdictKind
from tests.unit.made_up import attempt, job


def over_inputs(value: float, low: float, high: float, drawn: int = 500) -> Estimate:
    return Estimate(value=value, low=low, high=high, count=1, drawn=drawn, drawn_unit="inputs")


def test_inputs_narrow_with_the_square_root() -> None:
    # The lower end is 1.567 below the value and has to come to 1.0: (1.567 / 1.0) squared times 500.
    told = what_would_decide(over_inputs(31.0, 29.433, 32.6), 30.0)
    assert told == "about 1,228 inputs would decide it; there are 500"


def test_the_end_towards_the_limit_counts() -> None:
    assert what_would_decide(over_inputs(2.0, 1.9, 3.0), 2.5).startswith("about 2,000 inputs")
    assert what_would_decide(over_inputs(2.0, 1.0, 2.1), 1.5).startswith("about 2,000 inputs")


def test_a_value_on_the_limit_is_decided_by_no_number() -> None:
    told = what_would_decide(over_inputs(30.0, 29.0, 31.0), 30.0)
    assert told == "the value lies on it, so that no number of inputs would decide it"


def test_no_absurd_number_is_named() -> None:
    told = what_would_decide(over_inputs(30.0, 29.0, 31.0), 30.0001)
    assert told == "more than 1,000,000 inputs would decide it; there are 500"


@pytest.mark.parametrize(("hits", "trials", "limit"), [(199, 200, 0.98), (200, 200, 0.99), (90, 100, 0.93)])
def test_as_many_answers_really_decide_a_share(hits: int, trials: int, limit: float) -> None:
    low, high = clopper_pearson(hits, trials)
    assert low < limit <= high
    share = Estimate(
        value=hits / trials, low=low, high=high, count=1, statistic=CLOPPER_PEARSON, drawn=trials, drawn_unit="inputs"
    )
    needed = int(what_would_decide(share, limit).split()[1].replace(",", ""))

    def decides(count: int) -> bool:
        low, high = clopper_pearson(hits / trials * count, count)
        return low >= limit or high < limit

    assert decides(needed)
    assert not decides(needed - 1)


def test_as_many_attempts_really_decide() -> None:
    found = estimate([100.0, 108.0, 93.0, 104.0, 97.0], statistic="")
    assert found.value is not None
    assert found.high is not None
    told = what_would_decide(found, 102.0)
    more = int(told.split()[1])
    total = 5 + more
    t = special.stdtrit
    error = math.log(found.high / found.value) / t(4, 0.975) * math.sqrt(5)
    ends = [found.value * math.exp(t(count - 1, 0.975) * error / math.sqrt(count)) for count in (total, total - 1)]
    assert ends[0] <= 102.0 < ends[1]
    assert told.endswith("would decide it; there are 5")


@pytest.mark.parametrize("in_a_row", [True, False])
def test_as_many_chunks_or_documents_really_decide(in_a_row: bool) -> None:
    values = np.random.default_rng(3).gamma(4.0, size=12)
    found = mean_over(values, statistic="", unit="chunks", in_a_row=in_a_row, positive=True)
    value, high = found.value, found.high
    assert value is not None
    assert high is not None
    limit = math.sqrt(value * high)
    needed = int(what_would_decide(found, limit).split()[1].replace(",", ""))

    def end(count: int) -> float:
        freedom = slow_cosines(count) if in_a_row else count - 1
        now = slow_cosines(12) if in_a_row else 11
        narrower = special.stdtrit(freedom, 0.975) / special.stdtrit(now, 0.975) * math.sqrt(12 / count)
        return float(value * (high / value) ** narrower)

    assert end(needed) <= limit < end(needed - 1)
    assert needed < 48, "with the square root of their number alone it would take four times as many"


@pytest.mark.parametrize("through", [float, math.exp, math.sqrt, lambda each: 1 - each])
def test_a_figure_is_decided_on_the_scale_that_its_interval_was_made_on(through: Callable[[float], float]) -> None:
    """Such as a perplexity, or a share of tokens that are the same, of which logarithms are of how many are not."""
    values = np.random.default_rng(4).gamma(2.0, 0.02, size=30)
    plain = mean_over(values, statistic="", unit="chunks", in_a_row=True, positive=True)
    made = mean_over(values, statistic="", unit="chunks", in_a_row=True, positive=True, through=through)
    assert plain.value is not None
    for end in (plain.low, plain.high):
        assert end is not None
        limit = math.sqrt(plain.value * end)
        assert what_would_decide(made, through(limit)) == what_would_decide(plain, limit)


def test_documents_of_unequal_length_bring_the_freedom_that_they_bring() -> None:
    lengths = np.array([400.0, *np.ones(19) * 40])
    values = np.random.default_rng(5).gamma(4.0, size=20)
    found = ratio_over(values * lengths, lengths, statistic="", unit="documents")
    assert found.value is not None
    assert found.high is not None
    limit = (found.value + found.high) / 2
    needed = int(what_would_decide(found, limit).split()[1])
    kish = lengths.sum() ** 2 / (lengths**2).sum()

    def half(count: int) -> float:
        return float(special.stdtrit(kish * count / 20 - 1, 0.975) / math.sqrt(count))

    assert half(needed + 1) < half(20) / 2 < half(needed - 1)


def test_where_no_token_differs_twice_as_many_leave_half_as_much_room() -> None:
    found = Estimate(
        value=1.0,
        low=0.99,
        high=1.0,
        count=1,
        statistic=f"mean, interval over 32 chunks, Student's t of logarithms, 31 degrees of freedom, {AS_IF_ONE}",
        drawn=32,
        drawn_unit="chunks",
    )
    assert what_would_decide(found, 0.995) == "about 64 chunks would decide it; there are 32"


def test_attempts_beyond_what_a_suite_may_ask_for_are_not_asked_for() -> None:
    found = estimate([100.0, 120.0, 80.0], statistic="")
    told = what_would_decide(found, (found.value or 0) * 1.001)
    assert told == "no number of attempts that a suite can ask for (1000) would decide it"


def test_what_an_interval_is_over_must_be_known() -> None:
    assert what_would_decide(Estimate(value=5, low=4, high=6, count=1), 5.5) == ""


def verdicts(measurement: Measurement, **budgets: str) -> list[Verdict]:
    jobs = [replace(job("a"), scenario="quality", against=Opened(variant="fp32"))]
    (result,) = judged(
        derive([(jobs[0], "done")], [replace(attempt(0, measurement), job="a")]), parse(budgets, "suite")
    )
    return list(result.verdicts)


def classes(*rows: tuple[float, float, float]) -> Measurement:
    samples = [number for row in rows for number in row]
    return Measurement(metric="class_divergence", parameters={}, value=0.0, samples=samples, row_length=3)


def tensors(*rows: tuple[float, float, float, float]) -> Measurement:
    samples = [number for row in rows for number in row]
    return Measurement(metric="tensor_error", parameters={}, value=0.0, samples=samples, row_length=4)


def test_a_bound_of_kld_may_miss_a_limit_on_it_and_never_keeps_it() -> None:
    pooled = [(0.1 + 0.001 * index, 0.1, 3.0) for index in range(40)]
    (missed,) = verdicts(classes(*pooled), kld="0.05 nats")
    assert (missed.kind, missed.metric) == (VerdictKind.MISS, "kld_pooled")
    (open_,) = verdicts(classes(*pooled), kld="0.5 nats")
    assert open_.kind is VerdictKind.UNDECIDED
    assert "a lower bound, which no number of inputs makes a pass" in open_.reason
    (own,) = verdicts(classes(*pooled), kld_pooled="0.5 nats")
    assert own.kind is VerdictKind.PASS


def test_a_budget_on_sqnr_is_decided_by_its_interval() -> None:
    rows = [(100.0 + index, 0.01 * (1 + index % 3), 0.999, 0.5) for index in range(60)]
    (kept,) = verdicts(tensors(*rows), sqnr="30 dB")
    (missed,) = verdicts(tensors(*rows), sqnr="45 dB")
    (open_,) = verdicts(tensors(*rows), sqnr="38.2 dB")
    assert (kept.kind, missed.kind) == (VerdictKind.PASS, VerdictKind.MISS)
    assert open_.kind is VerdictKind.UNDECIDED
    assert open_.reason.startswith("the interval spans the budget: about ")
    assert open_.reason.endswith(" inputs would decide it; there are 60")
    (few,) = verdicts(tensors(*rows[:10]), sqnr="30 dB")
    assert few.reason == "10 inputs, and an interval needs 20"


def test_the_largest_error_may_miss_and_is_never_said_to_be_kept() -> None:
    rows = [(100.0, 0.01, 0.999, 0.5)] * 30
    (missed,) = verdicts(tensors(*rows), largest_error="0.4")
    (open_,) = verdicts(tensors(*rows), largest_error="0.6")
    assert missed.kind is VerdictKind.MISS
    assert open_.kind is VerdictKind.UNDECIDED
    assert "no number of inputs would decide it" in open_.reason
