"""The signed-rank test against scipy where that is exact, and against all signs counted where it is not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from benchharness.judge.design import fewest_pairs
from benchharness.judge.signed_ranks import chance_above, doubled_ranks


def p_above(differences: Sequence[float]) -> float:
    return chance_above(doubled_ranks(np.array(differences, dtype=float)))


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
