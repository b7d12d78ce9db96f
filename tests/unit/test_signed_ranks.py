"""The signed-rank test against scipy where that is exact, and against all signs counted where it is not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from benchharness.judge.design import fewest_pairs
from benchharness.judge.signed_ranks import hodges_lehmann, interval, p_above


@pytest.mark.parametrize("count", [1, 2, 5, 10, 20, 50])
def test_without_ties_it_is_scipys(count: int) -> None:
    found = np.random.default_rng(count).normal(0.3, 1, count).tolist()
    assert p_above(found) == pytest.approx(wilcoxon(found, alternative="greater", method="exact").pvalue)


@given(st.lists(st.sampled_from([-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.3]), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_with_ties_and_zeros_all_signs_are_counted(found: list[float]) -> None:
    ranks = rankdata(np.abs(found))
    moved = [rank for rank, each in zip(ranks, found, strict=True) if each]
    reached = sum(rank for rank, each in zip(ranks, found, strict=True) if each > 0)
    sums = [sum(itertools.compress(moved, signs)) for signs in itertools.product((0, 1), repeat=len(moved))]
    assert p_above(found) == pytest.approx(sum(each >= reached - 1e-9 for each in sums) / len(sums))


def test_no_difference_at_all_is_no_evidence() -> None:
    assert p_above([]) == 1.0
    assert p_above([0.0] * 20) == 1.0


def test_so_many_pairs_it_takes() -> None:
    assert fewest_pairs(0.01) == 7
    assert p_above([1.0] * 7) <= 0.01 < p_above([1.0] * 6)


def test_the_estimate_is_the_median_of_walsh_averages() -> None:
    assert hodges_lehmann([1.0, 2.0, 6.0]) == pytest.approx(2.75)
    with pytest.raises(ValueError, match="0 pairs"):
        hodges_lehmann([])


def test_the_interval_is_that_of_the_tables() -> None:
    """Ten pairs, 97.3 %: P(sum <= 8) = 0.0244, so the ninth Walsh average from either end (Hollander and Wolfe)."""
    found = [0.1, -0.3, 0.25, 0.7, -0.05, 0.4, 1.3, -0.9, 0.55, 0.15]
    averages = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(found, 2))
    assert interval(found, 0.025) == pytest.approx((averages[8], averages[-9]))
    assert interval(found[:5], 0.025) is None


@pytest.mark.parametrize("count", [6, 10, 20])
def test_the_interval_misses_as_seldom_as_it_says(count: int) -> None:
    seeded = np.random.default_rng(7)
    missed = 0
    for _ in range(2000):
        found = interval((0.4 + seeded.standard_t(3, count)).tolist(), 0.05)
        assert found is not None
        missed += found[0] > 0.4
    assert missed / 2000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("count", [6, 12, 20])
def test_an_interval_above_nothing_is_a_small_p_value(count: int) -> None:
    """Both are of one distribution: the interval at a level leaves 0 out exactly where the p-value is at most that."""
    seeded = np.random.default_rng(count)
    for _ in range(200):
        found = seeded.normal(0.5, 1, count).tolist()
        ends = interval(found, 0.02)
        assert ends is not None
        assert (ends[0] > 0) == (p_above(found) <= 0.02)
