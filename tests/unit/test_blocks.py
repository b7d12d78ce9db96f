"""Intervals over things whose neighbours are alike, against simulations of which the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchharness.judge.blocks import neighbours, ratio_in_blocks
from benchharness.judge.bootstrap import ratio_over

TRUTH, TIMES = 0.1, 150


def in_a_row(drawn: np.random.Generator, count: int, alike: float) -> np.ndarray:
    """Losses a byte whose neighbours have this correlation."""
    found = drawn.normal(size=count)
    for at in range(1, count):
        found[at] = alike * found[at - 1] + math.sqrt(1 - alike**2) * found[at]
    return TRUTH + 0.05 * found


def held(count: int, alike: float, block: int | None) -> float:
    """The share of intervals that hold the truth; without a block as they are where each is drawn by itself."""
    drawn, hits = np.random.default_rng(11), 0
    for _ in range(TIMES):
        sizes = drawn.integers(300, 700, count).astype(np.float64)
        bits = in_a_row(drawn, count, alike) * sizes
        if block is None:
            found = ratio_over(bits, sizes, statistic="", unit="stretches")
        else:
            found = ratio_in_blocks(bits, sizes, statistic="", unit="stretches", block=block)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= TRUTH <= found.high
    return hits / TIMES


def test_stretches_of_one_text_promise_about_what_they_hold() -> None:
    assert held(32, 0.35, neighbours(32)) >= 0.88
    assert held(32, 0.35, None) <= 0.85, "drawn one by one they promise too much"


def test_what_is_not_alike_loses_little_by_it() -> None:
    assert 0.91 <= held(32, 0.0, neighbours(32)) <= 0.99


def test_few_documents_are_widened_as_students_t_is() -> None:
    assert held(5, 0.0, 1) >= 0.88
    assert held(5, 0.0, None) <= 0.87


@pytest.mark.parametrize(("count", "block"), [(1, 1), (5, 2), (8, 2), (9, 3), (27, 3), (32, 4), (1000, 10), (1001, 11)])
def test_as_many_neighbours_as_the_cube_root(count: int, block: int) -> None:
    assert neighbours(count) == block


def test_what_is_too_few_or_all_alike_has_no_interval() -> None:
    ones = np.ones(6)
    few = ratio_in_blocks(ones[:4], ones[:4], statistic="", unit="documents")
    assert (few.value, few.low, few.reason) == (1.0, None, "4 documents, and an interval needs 5")
    for value in (0.0, 2.0):
        alike = ratio_in_blocks(ones * value, ones, statistic="", unit="documents")
        assert (alike.value, alike.low, alike.high) == (value, None, None)
        assert alike.reason.startswith("none of the 6 documents differs")
    signed = ratio_in_blocks(np.array([-2.0, 1.0, -3.0, 0.5, -1.0]), ones[:5], statistic="", unit="documents")
    assert signed.value == pytest.approx(-0.9)
    assert signed.low is not None
    assert signed.high is not None
    assert signed.low < -0.9 < signed.high
