"""Ranks among neighbours: against all signs counted out, scripted disturbances, and drawn noise of every kind."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from benchharness.judge import signed_ranks
from benchharness.judge.pair_ranks import estimate, interval, p_above

LEVEL = 0.0025  # of two primary metrics the first look's


def pairs(seed: int, count: int = 20, above: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(seed)
    return drawn.normal(0, 0.02, count), drawn.normal(above, 0.02, count)


def by_signed_ranks(differences: np.ndarray) -> float:
    return signed_ranks.chance_above(signed_ranks.doubled_ranks(np.round(differences, 12)))


def by_hand(base: Sequence[float], candidate: Sequence[float]) -> float:
    """Of up to seven pairs, which are all neighbours: every row of signs, with the ranks of all values."""
    middle = np.median([*base, *candidate])
    ranks = rankdata(np.round(np.array([*base, *candidate]) - middle, 12))
    moved = ranks[len(base) :] - ranks[: len(base)]
    sums = [np.dot(signs, moved) for signs in itertools.product((-1, 1), repeat=len(base))]
    return float(np.mean([each >= moved.sum() - 1e-9 for each in sums]))


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.9])] * 2), min_size=1, max_size=7))
@settings(max_examples=80, deadline=None)
@example(found=[(0.0, 0.0), (0.0, 0.0), (0.0, 0.2), (0.2, 0.3), (0.5, 0.2)])  # what decides is equal but for rounding
def test_all_signs_are_counted_with_ties_too(found: list[tuple[float, float]]) -> None:
    base, candidate = zip(*found, strict=True)
    differences = np.round(np.subtract(candidate, base), 12)
    among = np.abs(np.round(np.array([*base, *candidate]) - np.median([*base, *candidate]), 12))
    if np.median(among) > np.median(np.abs(differences)):
        assert p_above(base, candidate) == by_signed_ranks(differences)
    else:
        assert p_above(base, candidate) == pytest.approx(by_hand(base, candidate))


def test_turning_a_pair_turns_its_sign_and_nothing_else() -> None:
    """Whatever is turned, both p-values are of one distribution: that makes it exact under drift of any kind."""
    base, candidate = pairs(3)
    base, candidate = base + np.linspace(0, 1, 20) ** 2, candidate + np.linspace(0, 1, 20) ** 2
    turned = np.random.default_rng(4).random(20) < 0.5
    one, other = np.where(turned, candidate, base), np.where(turned, base, candidate)
    both = p_above(one, other), p_above(other, one)
    assert sum(both) == pytest.approx(1.0, abs=0.02)
    counted = [
        p_above(np.where(signs, candidate[:8], base[:8]), np.where(signs, base[:8], candidate[:8]))
        for signs in itertools.product((False, True), repeat=8)
    ]
    for level in (0.01, 0.05, 0.2):
        assert np.mean([each <= level for each in counted]) <= level


def test_one_disturbed_process_costs_no_more_than_the_last_rank() -> None:
    """Ten pairs 5 % apart, one base of which took half as long again: signed ranks see 43 / 1024, these 2 / 1024."""
    base, candidate = pairs(1, 10, above=0.05)
    base, candidate = np.sort(base) / 10, np.sort(candidate - 0.05) / 10 + 0.05
    base[4] += math.log(1.5)
    assert by_signed_ranks(candidate - base) == pytest.approx(43 / 1024)
    assert p_above(base, candidate) <= 3 / 1024
    more = base.copy()
    more[4] += 5.0
    assert p_above(more, candidate) == p_above(base, candidate)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_machine_that_drifts_hides_no_slowdown(share: float) -> None:
    base, candidate = pairs(5, above=0.05)
    drift = np.linspace(0, math.log1p(share), 20)
    assert p_above(base + drift, candidate + drift) <= 1e-3
    assert p_above(candidate + drift, base + drift) >= 0.99
    assert estimate(base + drift, candidate + drift) == pytest.approx(0.05, abs=0.015)


def test_pairs_of_one_mind_are_told_by_what_is_within_them() -> None:
    """Each pair has a level of its own, thirty times what its two differ by."""
    base, candidate = pairs(7, above=0.03)
    levels = np.random.default_rng(8).normal(0, 0.6, 20)
    assert p_above(base + levels, candidate + levels) == by_signed_ranks(candidate - base)


def test_nothing_is_no_evidence() -> None:
    assert p_above([], []) == 1.0
    assert p_above([0.3] * 20, [0.3] * 20) == 1.0
    assert interval([0.3] * 20, [0.3] * 20, LEVEL) == (0.0, 0.0)
    with pytest.raises(ValueError, match="0 pairs"):
        estimate([], [])
    assert interval([0.0] * 8, [1.0] * 8, LEVEL) is None, "2^-8 is more than the level"


def test_what_is_known_exactly_is_told_exactly() -> None:
    assert interval([1.0] * 12, [1.5] * 12, LEVEL) == (0.5, 0.5)
    assert estimate([1.0] * 12, [1.5] * 12) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("count", [10, 12, 20])
def test_an_interval_leaves_out_what_the_test_does(count: int) -> None:
    margin = math.log(1.05)
    for seed in range(30):
        base, candidate = pairs(seed, count, above=0.03)
        base[seed % count] += 0.3
        ends = interval(base, candidate, LEVEL, (-margin, 0.0, margin))
        assert ends is not None
        assert ends[0] <= estimate(base, candidate) <= ends[1]
        assert (ends[0] >= 0) == (p_above(base, candidate) <= LEVEL)
        assert (ends[1] <= margin) == (p_above(candidate - margin, base) <= LEVEL)
        low, high = interval(candidate, base, LEVEL, (-margin, 0.0, margin)) or (0.0, 0.0)
        assert (-high, -low) == pytest.approx(ends, abs=1e-6), "the same the other way round"


@pytest.mark.parametrize("noise", ["normal", "heavy", "disturbed", "drifting", "pairs of one mind"])
def test_it_is_wrong_as_seldom_as_it_says(noise: str) -> None:
    """1,000 comparisons of equal builds, whichever of a pair ran first by chance."""
    drawn = np.random.default_rng(11)
    both = drawn.normal(0, 0.02, (1000, 2, 14))
    if noise == "heavy":
        both = drawn.standard_t(1, both.shape) * 0.02
    if noise == "disturbed":
        both += (drawn.random(both.shape) < 0.15) * drawn.exponential(0.4, both.shape)
    if noise == "drifting":  # the later of a pair is slower, and the longer the more
        order = np.where(drawn.random((1000, 1, 14)) < 0.5, 1.0, -1.0)
        both += np.arange(14) ** 2 * 0.01 + np.concatenate((order, -order), axis=1) * 0.02
    if noise == "pairs of one mind":
        both += drawn.normal(0, 0.3, (1000, 1, 14))
    found = np.array([p_above(base, candidate) for base, candidate in both])
    for level in (0.05, 0.01):
        wrong = float(np.mean(found <= level))
        assert wrong <= level + 3 * math.sqrt(level / 1000)
        assert wrong > level / 3, "and it is not so by finding nothing"


def test_of_many_pairs_the_normal_chance_errs_to_the_safe_side() -> None:
    drawn = np.random.default_rng(13)
    for above in (0.25, 0.35):
        differences = drawn.normal(above, 1, 140)
        counted = signed_ranks.doubled_ranks(differences)
        table = signed_ranks._sums(np.abs(counted))
        exact = float(table[int(counted[counted > 0].sum()) :].sum())
        assert exact <= signed_ranks.chance_above(counted) <= 1.3 * exact


@pytest.mark.parametrize(("slower", "faster"), [(66, 36), (70, 40), (120, 80)])
def test_of_many_pairs_of_two_values_the_chance_is_no_smaller_than_that_of_as_many_coins(
    slower: int, faster: int
) -> None:
    """Memory that is either of two sizes: all ranks are alike, and the sum has steps that a normal one has not."""
    base = np.random.default_rng(2).permutation([0.0] * slower + [0.1] * faster)
    count = slower + faster
    exact = sum(math.comb(count, each) for each in range(slower, count + 1)) / 2**count
    assert exact <= p_above(base, 0.1 - base) <= 1.1 * exact


def test_pairs_that_only_rounding_tells_from_the_margin_are_no_evidence() -> None:
    """Each pair has a level of its own and a candidate 5 % above: less 5 % no pair has a difference."""
    base = np.log(1 + np.random.default_rng(6).exponential(30, 20))
    candidate = np.log(np.exp(base) * 1.05)
    assert p_above(candidate - math.log1p(0.05), base) == 1.0
    assert p_above(base, candidate - math.log1p(0.05)) == 1.0


def halved(is_before: Callable[[float], bool], least: float, most: float, near: float) -> float:
    """One middle after the other."""
    while most - least > near:
        middle = (least + most) / 2
        least, most = (middle, most) if is_before(middle) else (least, middle)
    return (least + most) / 2


@pytest.mark.parametrize("count", [1, 6, 7, 10, 33, 101])
@pytest.mark.parametrize("kind", ["drawn", "of one mind", "ties"])
def test_looking_ahead_changes_no_digit(count: int, kind: str) -> None:
    """An estimate and an interval are to the last bit those of one halving after the other."""
    base, candidate = pairs(count, count, 0.01)
    if kind == "of one mind":
        apart = np.random.default_rng(1).normal(0, 1, count)
        base, candidate = base + apart, candidate + apart
    elif kind == "ties":
        base, candidate = np.round(base, 2), np.round(candidate, 2)
    reach = (candidate - base).min() - 2e-7, (candidate - base).max() + 2e-7
    low = halved(lambda by: p_above(base, candidate - by) <= 0.05, *reach, 1e-7)
    high = -halved(lambda by: p_above(candidate + by, base) <= 0.05, -reach[1], -reach[0], 1e-7)
    found = interval(base, candidate, 0.05, ())
    if found is not None:
        exact = candidate - base
        for end, one in zip(found, (low, high), strict=True):
            nearest = float(exact[np.argmin(np.abs(exact - one))])
            assert end == (nearest if abs(nearest - one) <= 1e-7 else one)

    def moved(by: float) -> int:
        """One row alone, with ranks of scipy's."""
        other = candidate - by
        wide = min(7, count)
        middles = [
            np.median([base[at : at + wide], other[at : at + wide]])
            for at in (min(max(pair - wide // 2, 0), count - wide) for pair in range(count))
        ]
        among, apart = (np.round(each, 12) for each in (np.array([base, other]) - middles, other - base))
        if np.median(np.abs(among)) > np.median(np.abs(apart)):
            return int(2 * np.dot(rankdata(np.abs(apart)), np.sign(apart)))
        ranks = rankdata(among.ravel()).reshape(2, count)
        return int(2 * (ranks[1] - ranks[0]).sum())

    ends = [halved(lambda by: moved(by) > 0, *reach, 1e-11), halved(lambda by: moved(by) >= 0, *reach, 1e-11)]
    assert estimate(base, candidate) == sum(ends) / 2
