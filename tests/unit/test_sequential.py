"""What looks may spend together, against all orders and signs counted out, and against noise that is drawn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchharness.judge.design import Design
from benchharness.judge.pair_ranks import p_above
from benchharness.judge.pairs import Change, decided
from benchharness.judge.sequential import levels
from benchharness.judge.signed_ranks import chances_at_most

LOOKS = (10, 12, 16, 20)


def spent(looks: tuple[int, int], level: tuple[float, ...]) -> list[float]:
    """By look the chance that it or an earlier one ends, over every order of so many magnitudes and every sign."""
    most = [int(np.count_nonzero(chances_at_most(pairs) <= at)) for pairs, at in zip(looks, level, strict=True)]
    ended = [0, 0]
    signs = np.array(list(itertools.product((0, 1), repeat=looks[-1])))
    for order in itertools.permutations(range(looks[-1])):
        first, second = (signs[:, :pairs] @ (np.argsort(np.argsort(order[:pairs])) + 1) for pairs in looks)
        early = first < most[0]
        ended[0] += int(np.count_nonzero(early))
        ended[1] += int(np.count_nonzero(early | (second < most[1])))
    return [count / (math.factorial(looks[-1]) * len(signs)) for count in ended]


def test_looks_together_spend_what_they_may_and_as_much_of_it_as_ranks_allow() -> None:
    looks, error = (4, 6), 0.2
    level = levels(looks, error)
    assert [spent_ <= error * pairs / 6 for spent_, pairs in zip(spent(looks, level), looks, strict=True)] == [True] * 2
    for look, pairs in enumerate(looks):
        chances = chances_at_most(pairs)
        more = list(level)
        more[look] = float(chances[np.count_nonzero(chances <= level[look])])  # the next larger one there is
        assert spent(looks, tuple(more))[look] > error * pairs / 6


def test_a_look_alone_has_all_of_the_error() -> None:
    assert levels((5,), 0.05) == (1 / 32,)
    assert levels((20,), 0.05)[0] == pytest.approx(0.0487, abs=1e-4)  # Wilcoxon's tables: a sum of 60


def test_looks_that_see_too_little_have_none() -> None:
    assert levels((3, 6), 0.05)[0] == 0.0


@pytest.mark.parametrize(("disturbed", "kind"), [((3,), Change.SAME), ((3, 7), Change.SAME), ((1, 3, 7), None)])
def test_disturbed_processes_of_ten_keep_no_build_from_being_no_worse(
    disturbed: tuple[int, ...], kind: Change | None
) -> None:
    """By signed ranks one was too many: the sum that it leaves, 10 of 55, has 4.2 %, and 2.4 % are asked."""
    pairs = {
        round_: (1.0 + round_ * 3 % 10 / 1000, (1.5 if round_ in disturbed else 1.0) + round_ * 7 % 10 / 1000)
        for round_ in range(10)
    }
    found = decided(pairs, 10, "tpot", Design(primary=("tpot",)), 1)
    assert found.kind is (kind or Change.UNDECIDED)


@pytest.mark.parametrize("noise", ["normal", "heavy", "growing", "disturbed", "pairs apart"])
def test_a_metric_at_the_margin_is_called_no_worse_as_seldom_as_promised(noise: str) -> None:
    """1,000 comparisons whose candidate is slower by the margin exactly: some of them have to be missed."""
    drawn = np.random.default_rng(7)
    both = drawn.normal(0, 0.02, (1000, 2, 20))
    if noise == "heavy":
        both = drawn.standard_t(1, both.shape) * 0.02
    if noise == "growing":
        both *= np.linspace(1, 3, 20)
    if noise == "disturbed":
        both += (drawn.random(both.shape) < 0.1) * drawn.exponential(0.3, both.shape)
    if noise == "pairs apart":  # so far that some looks sum up signed ranks, and others ranks among neighbours
        both += drawn.normal(0, 0.05, (1000, 1, 20))
    looks = list(zip(LOOKS, levels(LOOKS, 0.05), strict=True))
    wrong = sum(any(p_above(b[:pairs], a[:pairs]) <= level for pairs, level in looks) for a, b in both)
    assert 0.025 < wrong / 1000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_so_many_metrics_as_there_are_divide_alpha_and_never_beta() -> None:
    """A gate is green where all are no worse: one that is worse has to be missed itself."""
    drawn = np.random.default_rng(3)
    pairs = {round_: (1.0, math.exp(drawn.normal(0.015, 0.02))) for round_ in range(10)}
    design = Design(primary=("tpot",))
    found = [decided(pairs, 10, "tpot", design, hypotheses) for hypotheses in (1, 30)]
    assert {each.kind for each in found} == {Change.NO_WORSE} or {each.kind for each in found} == {Change.SAME}
    assert found[0].ratio == found[1].ratio
