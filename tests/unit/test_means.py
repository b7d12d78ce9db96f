"""Intervals of means over documents, and over chunks in a row, against other formulas and against known truths."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from benchharness.judge.means import mean_over, ratio_over, slow_cosines
from benchharness.results.result import Estimate
from benchmarks import texts

TIMES = 800


def ends(found: Estimate) -> tuple[float, float]:
    assert found.low is not None, found.reason
    assert found.high is not None
    return found.low, found.high


@pytest.mark.parametrize(
    ("count", "alike"), [(8, 0.0), (8, 0.3), (30, 0.0), (30, 0.3), (30, 0.6), (200, 0.3), (200, 0.6)]
)
def test_chunks_of_one_text_promise_what_they_hold(count: int, alike: float) -> None:
    """The whole simulation, and what others hold, is `python -m benchmarks texts`."""
    world = texts.Row(count=count, alike=alike)
    held = texts.held(world, seed=1, times=TIMES)
    assert held / TIMES >= 0.93 - 2 * math.sqrt(0.93 * 0.07 / TIMES)
    assert held / TIMES <= 0.99


def test_one_by_one_they_would_promise_too_much() -> None:
    world = texts.Row(count=30, alike=0.3)
    assert texts.held(world, seed=1, times=TIMES, in_a_row=False) / TIMES <= 0.89


@pytest.mark.parametrize(("count", "lengths"), [(5, 0.0), (5, 1.0), (20, 0.0), (20, 1.0)])
def test_documents_of_any_length_promise_what_they_hold(count: int, lengths: float) -> None:
    held = texts.held(texts.Documents(count=count, lengths=lengths), seed=1, times=TIMES)
    assert held / TIMES >= 0.92 - 2 * math.sqrt(0.92 * 0.08 / TIMES)


def test_what_is_not_alike_pays_little_for_it() -> None:
    drawn, wider = np.random.default_rng(5), []
    for _ in range(200):
        values = drawn.normal(size=200)
        (low, high), (least, most) = (
            ends(mean_over(values, statistic="", unit="chunks", in_a_row=row)) for row in (True, False)
        )
        wider.append((high - low) / (most - least))
    assert min(wider) >= 1 - 1e-9, "no narrower than one by one, however small its cosines happen to be"
    assert 1.02 < np.mean(wider) < 1.2


def test_a_row_is_told_by_its_slow_cosines() -> None:
    """As Lazarus, Lewis, Stock and Watson write them, and by SciPy's Student's t."""
    drawn = np.random.default_rng(6)
    values = drawn.normal(size=50).cumsum()
    low, high = ends(mean_over(values, statistic="mean", unit="chunks", in_a_row=True))
    most = slow_cosines(50)
    slow = [
        math.sqrt(2 / 50)
        * sum(value * math.cos(math.pi * wave * (at - 0.5) / 50) for at, value in enumerate(values, 1))
        for wave in range(1, most + 1)
    ]
    half = stats.t.ppf(0.975, most) * math.sqrt(np.square(slow).mean() / 50)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-9)


def test_many_chunks_take_no_more_memory_than_they_are() -> None:
    values = np.random.default_rng(12).normal(size=200_000)
    tracemalloc.start()
    found = mean_over(values, statistic="", unit="chunks", in_a_row=True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    low, high = ends(found)
    assert (high - low) / 2 == pytest.approx(1.96 / math.sqrt(len(values)), rel=0.1)
    assert most < 30 * values.nbytes, "a matrix of all cosines is 1368 times as large"


def test_what_rounding_leaves_is_of_any_sign() -> None:
    """Of divergences of 1e-16 and -1e-16 a scale of logarithms made an end of 0.0001."""
    rounded = [-1e-16, 2e-16, -1e-16, 3e-16, -2.5e-16]
    low, high = ends(mean_over(rounded, statistic="", unit="chunks", in_a_row=True, positive=True))
    assert -1e-14 < low < 0 < high < 1e-14
    beside = mean_over([-1e-17, 0.02, 0.03, 0.01, 0.02], statistic="", unit="chunks", positive=True)
    assert "of logarithms" in beside.statistic


@pytest.mark.parametrize("in_a_row", [True, False])
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1e308] * 5 + [1e307], "larger than 2e+308, the largest number that is stored"),
        ([1e308, 1e308, -1e308, -1e308, 1e308, 1e308], "larger than 2e+308, the largest number that is stored"),
        ([1e-300, 1e300, 1.0, 1.0, 1.0, 1.0], "the interval's end is larger than any number that is stored"),
    ],
)
def test_what_is_larger_than_any_number_has_a_reason(values: list[float], reason: str, in_a_row: bool) -> None:
    found = mean_over(values, statistic="", unit="chunks", in_a_row=in_a_row, positive=True)
    assert (found.low, found.high, found.reason) == (None, None, reason)
    assert (found.value is None) == reason.startswith("larger")


def test_documents_of_one_length_are_told_by_students_t() -> None:
    values = np.random.default_rng(7).normal(size=9)
    expected = stats.t.interval(0.95, 8, values.mean(), stats.sem(values))
    assert ends(mean_over(values, statistic="", unit="documents")) == pytest.approx(expected, rel=1e-9)


def test_documents_are_left_out_one_by_one_with_their_length() -> None:
    drawn = np.random.default_rng(8)
    lengths = drawn.integers(1, 60, 12).astype(np.float64)
    sums = drawn.normal(size=12) * lengths
    found = ratio_over(sums, lengths, statistic="", unit="documents")
    without = [np.delete(sums, at).sum() / np.delete(lengths, at).sum() for at in range(12)]
    freedom = lengths.sum() ** 2 / (lengths**2).sum() - 1
    half = stats.t.ppf(0.975, freedom) * math.sqrt(11 / 12 * ((without - np.mean(without)) ** 2).sum())
    value = sums.sum() / lengths.sum()
    assert ends(found) == pytest.approx((value - half, value + half), rel=1e-9)


def test_what_is_never_below_zero_is_told_by_logarithms() -> None:
    values = np.random.default_rng(9).gamma(0.5, size=6)
    found = mean_over(values, statistic="mean", unit="documents", positive=True)
    low, high = ends(found)
    half = stats.t.ppf(0.975, 5) * stats.sem(values) / values.mean()
    assert (low, high) == pytest.approx((values.mean() * math.exp(-half), values.mean() * math.exp(half)), rel=1e-9)
    assert low > 0
    plain = ends(mean_over(values, statistic="", unit="documents"))
    assert sum(plain) / 2 == pytest.approx(values.mean()), "what may be below 0 is so where by chance none is"
    assert found.statistic == "mean, interval over 6 documents, Student's t of logarithms, 5 degrees of freedom"


def test_a_function_that_falls_turns_the_ends_round() -> None:
    values = np.random.default_rng(10).uniform(0, 0.2, 10)
    low, high = ends(mean_over(values, statistic="", unit="documents"))
    turned = mean_over(values, statistic="", unit="documents", through=lambda share: 1 - share)
    assert ends(turned) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("count", "most"), [(5, 1), (8, 2), (12, 2), (20, 3), (32, 4), (130, 10), (200, 14)])
def test_how_many_cosines_are_slow(count: int, most: int) -> None:
    assert slow_cosines(count) == most


def test_what_is_too_few_or_all_alike_has_no_interval() -> None:
    ones = np.ones(6)
    few = ratio_over(ones[:4], ones[:4], statistic="", unit="documents")
    assert (few.value, few.low, few.reason) == (1.0, None, "4 documents, and an interval needs 5")
    assert ratio_over(ones[:1], ones[:1], statistic="", unit="documents").reason.startswith("1 document,")
    for value in (0.0, 2.0, 0.1):
        alike = ratio_over(ones * value, ones, statistic="", unit="documents")
        assert alike.value == pytest.approx(value)
        assert (alike.low, alike.high) == (None, None)
        assert alike.reason.startswith("none of the 6 documents differs")
    lengths = np.array([3.0, 7.0, 11.0, 13.0, 17.0])
    assert ratio_over(lengths * 0.1, lengths, statistic="", unit="documents").low is None
    one_has_all = ratio_over(np.arange(6.0), np.array([1.0, 1, 1, 1, 0, 0]), statistic="", unit="documents")
    assert one_has_all.reason == "4 of 6 documents have any weight, and an interval needs 5"


def test_what_hangs_on_one_long_document_is_hardly_known() -> None:
    drawn = np.random.default_rng(11)
    even, long = np.ones(20), np.array([200.0, *np.ones(19)])
    values = 1 + 0.1 * drawn.normal(size=20)
    widths = [np.ptp(ends(ratio_over(values * each, each, statistic="", unit="documents"))) for each in (even, long)]
    assert widths[1] > 4 * widths[0]
