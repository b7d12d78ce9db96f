"""Intervals of differences between two that answered the same, held against other ways to compute them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from benchharness.judge.exact_shares import exact_mcnemar
from benchharness.judge.paired import (
    difference_of_draws,
    difference_of_quotients,
    difference_of_shares,
    interval_of_draws,
    score_interval,
)

Z = float(norm.ppf(0.975))


def score_by_search(difference: float, first: int, second: int, pairs: int) -> float:
    """Tango's statistic with the restricted likelihood maximised by search instead of by its formula."""

    def loss(share: float) -> float:
        cells = (share + difference, share, 1 - 2 * share - difference)
        counts = (first, second, pairs - first - second)
        return -sum(count * math.log(max(cell, 1e-300)) for count, cell in zip(counts, cells, strict=True) if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    share = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return float((first - second - pairs * difference) / np.sqrt(pairs * (2 * share + difference * (1 - difference))))


@pytest.mark.parametrize(
    ("first", "second", "pairs"), [(12, 2, 50), (3, 7, 40), (1, 0, 30), (20, 20, 100), (5, 1, 200)]
)
def test_ends_of_tangos_interval_are_where_the_score_is_the_quantile(first: int, second: int, pairs: int) -> None:
    low, high = score_interval(first, second, pairs)
    assert low < (first - second) / pairs < high
    assert score_by_search(low, first, second, pairs) == pytest.approx(Z, abs=1e-3)
    assert score_by_search(high, first, second, pairs) == pytest.approx(-Z, abs=1e-3)


def test_pairs_that_all_agree_leave_room_either_way() -> None:
    low, high = difference_of_shares(0, 0, 200)
    assert high == -low == pytest.approx(Z**2 / (200 + Z**2), abs=1e-9)


def test_a_difference_of_shares_turns_round_with_its_sides() -> None:
    low, high = difference_of_shares(7, 2, 60)
    assert difference_of_shares(2, 7, 60) == pytest.approx((-high, -low))


def test_an_interval_leaves_nothing_out_where_mcnemars_exact_test_sees_none() -> None:
    for lost, gained in itertools.product(range(12), range(12)):
        low, high = difference_of_shares(lost, gained, 100)
        if exact_mcnemar(gained, lost) >= 0.05:
            assert low <= 0 <= high, (lost, gained)
        assert low <= score_interval(lost, gained, 100)[0] <= score_interval(lost, gained, 100)[1] <= high
    assert score_interval(5, 0, 200)[0] > 0 > difference_of_shares(5, 0, 200)[0]


def test_intervals_of_shares_hold_the_truth_as_often_as_they_say() -> None:
    """9 % lost, 4 % gained of 200."""
    chance = np.random.default_rng(1)
    draws = chance.multinomial(200, (0.09, 0.04, 0.87), 600)
    held = [
        low <= 0.05 <= high
        for low, high in (difference_of_shares(int(one), int(other), 200) for one, other, _ in draws)
    ]
    assert 0.93 < np.mean(held) < 0.99


def test_a_difference_of_quotients_is_of_the_same_documents() -> None:
    chance = np.random.default_rng(2)
    weights = chance.integers(5, 50, 300).astype(np.float64)
    hard = chance.gamma(2.0, 1.0, 300)  # what a document has on both sides cancels
    these, those = weights * (hard + 0.1 + chance.normal(0, 1e-9, 300)), weights * hard
    found = difference_of_quotients((these, weights), (those, weights), statistic="", unit="documents")
    assert found.value == pytest.approx(0.1)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 1e-9
    assert found.low <= 0.1 + 1e-9
    uneven = np.array([100.0, *np.ones(9)])
    freedom = 109**2 / (100**2 + 9) - 1
    of_few = difference_of_quotients((these[:10], uneven), (those[:10], uneven), statistic="", unit="documents")
    assert f"{max(1.0, freedom):.3g} degree" in of_few.statistic, "one long document is all that there is"
    alike = difference_of_quotients((weights * 2, weights), (weights, weights), statistic="", unit="documents")
    assert (alike.value, alike.low) == (1.0, None)
    assert "differ alike" in alike.reason


@pytest.mark.parametrize("count", [5, 80])
def test_a_difference_holds_the_truth_as_often_as_it_says(count: int) -> None:
    chance = np.random.default_rng(3)
    ones = np.ones(count)
    held = []
    for _ in range(1000):
        those = chance.normal(0, 1, count)
        these = those + chance.normal(0.2, 0.5, count)
        found = difference_of_quotients((these, ones), (those, ones), statistic="", unit="documents")
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= 0.2 <= found.high)
    assert 0.93 < np.mean(held) < 0.97


def test_an_interval_that_no_number_is_large_enough_for_is_none() -> None:
    ones = np.ones(6)
    found = difference_of_quotients(
        (np.array([1e200, 2e200, 1.0, 1.0, 1.0, 3e200]), ones), (ones, ones), statistic="", unit="documents"
    )
    assert found.value == pytest.approx(1e200)
    assert (found.low, found.high) == (None, None)
    assert "larger than any number" in found.reason


def test_equal_documents_have_no_interval_and_few_have_none() -> None:
    ones = np.ones(10)
    same = difference_of_quotients((ones, ones), (ones, ones), statistic="", unit="documents")
    assert (same.value, same.low) == (0.0, None)
    assert "none of the 10 documents differs" in same.reason
    few = difference_of_quotients((ones[:3] * 2, ones[:3]), (ones[:3], ones[:3]), statistic="", unit="documents")
    assert (few.value, few.low) == (1.0, None)
    assert "3 documents" in few.reason


def test_draws_of_two_are_held_against_each_other_one_by_one() -> None:
    chance = np.random.default_rng(4)
    shared = chance.normal(0.5, 0.2, 500)
    found = difference_of_draws(shared + 0.1, shared, 0.1, statistic="", count=100, unit="documents")
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)
    alone = interval_of_draws(shared, 0.5, statistic="", count=10_000, unit="documents")
    assert alone.low == pytest.approx(float(np.quantile(shared, 0.025)), rel=0.01)


def test_draws_of_few_documents_are_widened_to_students_t() -> None:
    """Hesterberg's expanded percentiles: those of eight documents hold 89 % as they are; of fewer there are none."""
    chance, held, plain = np.random.default_rng(12), 0, 0
    for _ in range(400):
        seen = chance.normal(size=8)
        drawn = seen[chance.integers(0, 8, (1000, 8))].mean(axis=1)
        found = interval_of_draws(drawn, float(seen.mean()), statistic="", count=8, unit="documents")
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
        low, high = np.quantile(drawn, (0.025, 0.975))
        plain += low <= 0 <= high
    assert held / 400 >= 0.92
    assert plain / 400 <= 0.905
    few = interval_of_draws(np.linspace(0, 1, 500), 0.5, statistic="", count=7, unit="documents")
    assert (few.low, few.reason) == (None, "7 documents, and an interval of what is drawn needs 8")


def test_a_handful_of_draws_makes_no_interval() -> None:
    found = interval_of_draws(np.linspace(0.4, 0.6, 40), 0.5, statistic="", count=100, unit="documents")
    assert found.low is None
    assert "40 draws" in found.reason


def test_two_perplexities_that_no_number_holds_have_no_difference() -> None:
    tokens = np.full(6, 2.0)
    broken = np.full(6, 2000.0), tokens
    for other in (broken, (np.full(6, 4.0), tokens)):
        found = difference_of_quotients(broken, other, statistic="", unit="documents", through=exp_of)
        assert (found.value, found.reason) == (None, "one of the two has no value over these documents")


def exp_of(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        found: np.ndarray = np.exp(values)
    return found
